// Package relay is a cable with faults: it joins two network namespaces at the
// Ethernet level and loses, doubles, delays, reorders and damages frames, on a
// seed.
//
//	 namespace a          namespace of the relay          namespace b
//	┌─────────────┐      ┌───────────────────────┐      ┌─────────────┐
//	│       veth0 ┼──────┼ a ──▶ Impairment ──▶ b ┼──────┼ veth0       │
//	│             │      │ a ◀── Impairment ◀── b │      │             │
//	└─────────────┘      └───────────────────────┘      └─────────────┘
//
// It carries every kind of frame. Each direction has one thread, which takes
// frames in batches from a packet socket, gives each its fate and its hour, and
// sends those whose hour has come in batches.
//
// Segmentation and checksum offloads of the ends are off, so that what passes
// is what a cable would carry. A full queue of the kernel loses frames beyond
// those of the Impairment: Stats tells them apart.
package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/netns"
)

// Direction of frames through a relay.
type Direction int

const (
	AtoB Direction = iota
	BtoA
)

func (d Direction) String() string { return [...]string{"a to b", "b to a"}[d] }

// Stats counts the frames of one direction.
type Stats struct {
	Taken      uint64 // arrived at the relay
	Lost       uint64
	Duplicated uint64
	Reordered  uint64
	Damaged    uint64
	Overflowed uint64 // lost because the Queue of a Rate was full
	Sent       uint64
	Unsent     uint64 // refused by the kernel: the far interface is down
	Missed     uint64 // lost by the kernel before the relay took them
}

// Relay joins two spaces. It starts as a faultless cable.
type Relay struct {
	space *netns.Space
	ways  [2]*way
	wg    sync.WaitGroup
	once  sync.Once
}

// Pair makes two namespaces for a test, joined by a relay, with the addresses
// of netns.Pair.
func Pair(tb testing.TB, seed uint64, options ...netns.Option) (a, b *netns.Space, r *Relay) {
	tb.Helper()
	a, b = netns.Empty(tb), netns.Empty(tb)
	r, err := Connect(a, b, seed, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("relay with seed %d: %v %+v, %v %+v", seed, AtoB, r.Stats(AtoB), BtoA, r.Stats(BtoA))
		}
		r.Close()
	})
	return a, b, r
}

// Connect joins two spaces that have no interface netns.Dev yet.
func Connect(a, b *netns.Space, seed uint64, options ...netns.Option) (*Relay, error) {
	middle, err := netns.New()
	if err != nil {
		return nil, err
	}
	r := &Relay{space: middle}
	err = r.start(a, netns.Dev, b, netns.Dev, seed)
	if err == nil {
		err = netns.Dress(a, b, options...)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Join joins two spaces by interfaces of the given names, without addresses: for
// spaces with several of them.
func Join(a *netns.Space, devA string, b *netns.Space, devB string, seed uint64) (*Relay, error) {
	middle, err := netns.New()
	if err != nil {
		return nil, err
	}
	r := &Relay{space: middle}
	if err := errors.Join(r.start(a, devA, b, devB, seed), a.Quiet(devA), b.Quiet(devB)); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// start makes the two cables and begins to carry.
func (r *Relay) start(a *netns.Space, devA string, b *netns.Space, devB string, seed uint64) error {
	if err := errors.Join(
		netns.Join(a, devA, r.space, "a"),
		netns.Join(b, devB, r.space, "b"),
		r.space.Quiet("a"), r.space.Quiet("b"),
		r.space.SetMTU("a", maxMTU), r.space.SetMTU("b", maxMTU),
		a.Offloads(devA, false), b.Offloads(devB, false),
		r.space.Offloads("a", false), r.space.Offloads("b", false),
	); err != nil {
		return err
	}
	var ends [2]int
	err := r.space.Do(func() (err error) {
		if ends[0], err = open("a"); err != nil {
			return err
		}
		if ends[1], err = open("b"); err != nil {
			unix.Close(ends[0])
		}
		return err
	})
	if err != nil {
		return err
	}
	for d := range r.ways {
		wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return fmt.Errorf("eventfd: %w", err)
		}
		w := &way{in: ends[d], out: ends[1-d], wake: wake, rand: rand.New(rand.NewPCG(seed, uint64(d)))}
		w.fate.Store(&Impairment{})
		r.ways[d] = w
	}
	for _, w := range r.ways {
		r.wg.Go(w.run)
	}
	return nil
}

// Impair gives both directions a character from now on. Frames on their way
// keep their hour.
func (r *Relay) Impair(i Impairment) {
	r.ImpairOne(AtoB, i)
	r.ImpairOne(BtoA, i)
}

// ImpairOne gives one direction a character from now on.
func (r *Relay) ImpairOne(d Direction, i Impairment) { r.ways[d].fate.Store(&i) }

// Unplug pulls the cable out of both spaces: their interfaces have no carrier
// until Plug.
func (r *Relay) Unplug() error { return errors.Join(r.space.Down("a"), r.space.Down("b")) }

// Plug puts it back.
func (r *Relay) Plug() error { return errors.Join(r.space.Up("a"), r.space.Up("b")) }

// Watch has f see every frame of a direction as it arrives, before its fate;
// nil ends that. f is called by the relay's thread and must not keep the frame.
func (r *Relay) Watch(d Direction, f func(frame []byte)) {
	if f == nil {
		r.ways[d].watch.Store(nil)
		return
	}
	r.ways[d].watch.Store(&f)
}

// Inject sends a frame out at the end of a direction, as if it had passed.
func (r *Relay) Inject(d Direction, frame []byte) error {
	_, err := unix.Write(r.ways[d].out, frame)
	return err
}

// Stats of a direction until now.
func (r *Relay) Stats(d Direction) Stats {
	w := r.ways[d]
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Close pulls the cable for good: the interfaces of both spaces go with it.
func (r *Relay) Close() error {
	var err error
	r.once.Do(func() {
		for _, w := range r.ways {
			if w != nil {
				w.stop.Store(true)
				unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			}
		}
		r.wg.Wait()
		for _, w := range r.ways {
			if w != nil {
				unix.Close(w.wake)
				unix.Close(w.in) // the out of the other
			}
		}
		err = r.space.Close()
	})
	return err
}

// way is one direction. Only its thread uses what has no lock.
type way struct {
	in, out, wake int
	rand          *rand.Rand
	fate          atomic.Pointer[Impairment]
	watch         atomic.Pointer[func([]byte)]
	stop          atomic.Bool

	mu    sync.Mutex
	stats Stats

	queue  queue
	burst  int       // frames still to lose
	clear  time.Time // when the last frame of a Rate has left
	queued int       // frames that wait for the Rate
}
