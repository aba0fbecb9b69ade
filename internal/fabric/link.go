package fabric

import (
	"errors"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/ring"
)

// maxIdle is how many links without flows are kept for an owner. A flow to a
// process that one has talked to before then costs one descriptor and not
// four, and a process that talks to thousands in turn does not keep them all.
const maxIdle = 64

// pair is a client and a server: side 0 and side 1 of their link.
type pair [2]*Owner

// link carries the doorbells of the flows from one owner to another. The
// Fabric guards its fields.
//
//	made ──► flows come and go ──► retired ──► last flow gone: closed
//	             (in f.links)       an owner left, the process lost its
//	                                descriptors, or too many idle ones
type link struct {
	id      uint64
	pair    pair
	ring    *ring.Link // nil when closed
	slots   slots
	flows   [2]int  // open ends of each side
	passed  [2]bool // the process of that side has it
	told    [2]bool // and was told to give it back
	retired bool
}

// enter makes a flow from a to b use their link, made now if need be.
func (f *Fabric) enter(a, b *Owner) (*link, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.left || b.left {
		return nil, 0, errno.New(errno.Pipe, "cannot make a flow: the process is gone")
	}
	l := f.links[pair{a, b}]
	if l == nil {
		r, err := ring.NewLink(a.remote() || b.remote())
		if err != nil {
			return nil, 0, noMemory(err)
		}
		f.last++
		l = &link{id: f.last, pair: pair{a, b}, ring: r}
		f.links[l.pair] = l
		a.links[l] = struct{}{}
		b.links[l] = struct{}{}
		f.idle(l, 1)
	}
	slot, ok := l.slots.take()
	if !ok {
		return nil, 0, errno.New(errno.NoBufs, "cannot make a flow: %d flows from %s to %s exist",
			ring.MaxSlots, a.name, b.name).Next("deallocate some")
	}
	if l.flows == [2]int{} {
		f.idle(l, -1)
	}
	l.flows[0]++
	l.flows[1]++
	return l, slot, nil
}

// idle counts a link as having no flows, or not any more.
func (f *Fabric) idle(l *link, n int) {
	l.pair[0].idle += n
	if l.pair[1] != l.pair[0] {
		l.pair[1].idle += n
	}
}

// leave takes the end of a side off the link.
func (f *Fabric) leave(l *link, side int, done *cleanup) {
	l.flows[side]--
	if l.retired {
		f.release(l, done)
		return
	}
	if l.flows != [2]int{} {
		return
	}
	f.idle(l, 1)
	if l.pair[0].idle > maxIdle || l.pair[1].idle > maxIdle {
		f.retire(l, done)
	}
}

// retire keeps new flows away from a link.
func (f *Fabric) retire(l *link, done *cleanup) {
	if l.retired {
		return
	}
	l.retired = true
	if l.flows == [2]int{} {
		f.idle(l, -1)
	}
	delete(f.links, l.pair)
	for _, o := range l.pair {
		delete(o.links, l)
	}
	f.release(l, done)
}

// release tells each side of a retired link whose flows are gone, and closes
// the link when those of both are.
func (f *Fabric) release(l *link, done *cleanup) {
	for side, o := range l.pair {
		if l.flows[side] == 0 && l.passed[side] && !l.told[side] && !o.left {
			l.told[side] = true
			done.add(func() { o.unlink(l.id, side) })
		}
	}
	if l.flows == [2]int{} {
		f.closeLink(l, done)
	}
}

// closeLink releases a link. The last end of a port is closed on the poller
// of its link, which Close waits for: a link that has one is closed aside.
func (f *Fabric) closeLink(l *link, done *cleanup) {
	r := l.ring
	if r == nil {
		return
	}
	l.ring = nil
	if l.pair[0].remote() && l.pair[1].remote() {
		done.add(func() { r.Close() })
		return
	}
	f.closing.Add(1)
	done.add(func() {
		go func() {
			defer f.closing.Done()
			r.Close()
		}()
	})
}

// hand notes that a side has the link. When both sides are other programs and
// have it, only what new flows need stays here.
func (f *Fabric) hand(l *link, side int, done *cleanup) {
	l.passed[side] = true
	for side, o := range l.pair {
		if !o.remote() || !l.passed[side] {
			return
		}
	}
	l.ring.Slim()
}

// cleanup is what is to be done after the lock has been given back.
type cleanup []func()

func (c *cleanup) add(f func()) { *c = append(*c, f) }

func (c cleanup) run() {
	for _, f := range c {
		f()
	}
}

// noMemory says why the memory of a flow could not be made.
func noMemory(err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return errno.New(errno.NoFiles, "cannot make a flow: the node has no file descriptors left").
			Next("raise the limit of the daemon (LimitNOFILE, ulimit -n)")
	}
	return errno.New(errno.NoMemory, "cannot make a flow: %v", err)
}
