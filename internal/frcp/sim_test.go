package frcp

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// path is a simulated network path in one direction.
type path struct {
	delay   time.Duration
	jitter  time.Duration // each packet is late by up to this: reordering
	loss    float64       // the beginning of a row of losses
	row     int           // its length; 0 = 1
	double  float64
	rate    float64                         // packets a second; 0 = any
	buffer  int                             // packets that wait for the rate; 0 = any
	batches bool                            // what arrives at the same time is received in one call
	drop    func(h wire.Header, n int) bool // n counts the packets of this direction
	observe func(p []byte)                  // may change it

	mu    *sync.Mutex
	turn  *sync.Mutex // to deliver
	rng   *rand.Rand
	gone  int // left of a row of losses
	n     int
	hold  time.Time // nothing arrives before it
	free  time.Time // when the rate allows the next packet
	sent  int
	lost  int
	queue []arrival // in order, when nothing reorders
	other *end
}

// arrival is a packet on its way.
type arrival struct {
	at time.Time
	b  *packet.Buffer
}

// end is one end of a simulated flow. What is sent arrives at the other one
// later, on a timer.
type end struct {
	spec qos.Spec
	mtu  int
	to   *path

	mu      sync.Mutex
	h       flow.Handler
	closed  bool
	early   []*packet.Buffer
	limit   int // packets that Send takes at a time; 0 = any
	blocked bool
}

// network is two ends and the paths between them.
type network struct {
	a, b   *end
	ab, ba *path
}

func newNetwork(seed uint64, spec qos.Spec, ab, ba path) *network {
	n := &network{ab: &ab, ba: &ba}
	n.ab.rng, n.ba.rng = rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
	n.a = &end{spec: spec, mtu: 1500, to: n.ab}
	n.b = &end{spec: spec, mtu: 1500, to: n.ba}
	n.ab.mu, n.ba.mu = new(sync.Mutex), new(sync.Mutex)
	n.ab.turn, n.ba.turn = new(sync.Mutex), new(sync.Mutex)
	n.ab.other, n.ba.other = n.b, n.a
	return n
}

func (e *end) Send(batch []*packet.Buffer) int {
	n := len(batch)
	if e.limit > 0 && n > e.limit {
		n = e.limit
		if !e.blocked {
			e.blocked = true
			time.AfterFunc(time.Millisecond, func() {
				e.mu.Lock()
				e.blocked = false
				h := e.h
				e.mu.Unlock()
				h.Event(flow.EventWritable)
			})
		}
	}
	for _, b := range batch[:n] {
		e.to.carry(b)
	}
	return n
}

func (p *path) carry(b *packet.Buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	p.n++
	if p.observe != nil {
		p.observe(b.Bytes())
	}
	lost := false
	if h, ok := wire.Parse(b.Bytes()); p.drop != nil && ok && p.drop(h, p.n) {
		lost = true
	}
	switch {
	case p.gone > 0:
		p.gone--
		lost = true
	case p.loss > 0 && p.rng.Float64() < p.loss:
		p.gone = max(0, p.row-1)
		lost = true
	}
	now := time.Now()
	wait := max(p.delay, p.hold.Sub(now))
	if p.rate > 0 && !lost {
		gap := time.Duration(float64(time.Second) / p.rate)
		if p.free.Before(now) {
			p.free = now
		}
		if p.buffer > 0 && p.free.Sub(now) > time.Duration(p.buffer)*gap {
			lost = true
		} else {
			p.free = p.free.Add(gap)
			wait += p.free.Sub(now)
		}
	}
	if lost {
		p.lost++
		b.Release()
		return
	}
	copies := 1
	if p.double > 0 && p.rng.Float64() < p.double {
		copies = 2
	}
	for i := range copies {
		c := b
		if i < copies-1 {
			c = b.Clone()
		}
		if p.jitter == 0 {
			// Timers of the same time fire in any order, a path keeps it.
			p.queue = append(p.queue, arrival{now.Add(wait), c})
			time.AfterFunc(wait, func() {
				p.turn.Lock()
				defer p.turn.Unlock()
				p.other.deliver(p.arrived()...)
			})
			continue
		}
		w := wait + time.Duration(p.rng.Int64N(int64(p.jitter)))
		time.AfterFunc(w, func() { p.other.deliver(c) })
	}
}

// arrived takes the next packet that has arrived, or all that have.
func (p *path) arrived() (batch []*packet.Buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 && !p.queue[0].at.After(time.Now()) && (p.batches || len(batch) == 0) {
		batch = append(batch, p.queue[0].b)
		p.queue = p.queue[1:]
	}
	return batch
}

func (e *end) deliver(batch ...*packet.Buffer) {
	e.mu.Lock()
	h, closed := e.h, e.closed
	e.mu.Unlock()
	if closed || h == nil {
		packet.ReleaseAll(batch)
		return
	}
	flow.Deliver(h, batch)
}

func (e *end) Attach(h flow.Handler) { e.mu.Lock(); e.h = h; e.mu.Unlock() }
func (e *end) Resume()               {}
func (e *end) MTU() int              { return e.mtu }
func (e *end) QoS() qos.Spec         { return e.spec }
func (e *end) QueueLen() int         { return 0 }
func (e *end) Dealloc()              { e.mu.Lock(); e.closed = true; e.mu.Unlock() }

// user is a Handler that checks that what comes is numbered, once and in order.
type user struct {
	t     testing.TB
	f     *Flow
	mu    sync.Mutex
	next  uint32
	bytes int
	gaps  bool // numbers may be missing
	room  int  // packets that are taken; negative = all
	got   []string
	evs   []flow.Event
	done  chan struct{} // closed when want bytes have come
	want  int
	told  chan struct{} // one token: writable
	reply func(p []byte)
}

func newUser(t testing.TB, f *Flow) *user {
	u := &user{t: t, f: f, room: -1, done: make(chan struct{}), told: make(chan struct{}, 1)}
	f.Attach(u)
	return u
}

func (u *user) Receive(batch []*packet.Buffer) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, b := range batch {
		if u.room == 0 {
			return i
		}
		if u.room > 0 {
			u.room--
		}
		p := b.Bytes()
		if len(p) >= 4 {
			n := binary.BigEndian.Uint32(p)
			if n != u.next && !(u.gaps && n > u.next) {
				u.t.Errorf("packet %d, want %d", n, u.next)
			}
			u.next = n + 1
		}
		if u.reply != nil {
			u.reply(p)
		}
		u.bytes += len(p)
		if u.want > 0 && u.bytes >= u.want {
			u.want = 0
			close(u.done)
		}
		b.Release()
	}
	return len(batch)
}

func (u *user) Event(e flow.Event) {
	u.mu.Lock()
	u.evs = append(u.evs, e)
	u.mu.Unlock()
	select {
	case u.told <- struct{}{}:
	default:
	}
}

func (u *user) give(n int) {
	u.mu.Lock()
	u.room = n
	u.mu.Unlock()
	u.f.Resume()
}

func (u *user) received() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return int(u.next)
}

func (u *user) had(e flow.Event) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, x := range u.evs {
		if x == e {
			n++
		}
	}
	return n
}

// stream sends packets first..first+n-1 of size bytes, waiting for room.
func (u *user) stream(first, n, size int) {
	for k := first; k < first+n; {
		var batch []*packet.Buffer
		for i := k; i < min(k+32, first+n); i++ {
			batch = append(batch, numbered(i, size))
		}
		sent := u.f.Send(batch)
		packet.ReleaseAll(batch[sent:])
		k += sent
		if sent < len(batch) {
			select {
			case <-u.told:
			case <-time.After(300 * time.Second):
				u.t.Errorf("no room for packet %d", k)
				return
			}
		}
	}
}

func numbered(i, size int) *packet.Buffer {
	b := packet.Get(max(size, 4))
	clear(b.Bytes())
	binary.BigEndian.PutUint32(b.Bytes(), uint32(i))
	return b
}

// pair is two machines on a network and a user at each.
type pair struct {
	*network
	x, y   *Flow
	ux, uy *user
}

func newPair(t testing.TB, seed uint64, spec qos.Spec, ab, ba path, change ...func(c *Config)) *pair {
	n := newNetwork(seed, spec, ab, ba)
	c := Config{QoS: spec}
	for _, f := range change {
		f(&c)
	}
	cx, cy := c, c
	p := &pair{network: n, x: New(n.a, cx), y: New(n.b, cy)}
	p.ux, p.uy = newUser(t, p.x), newUser(t, p.y)
	return p
}

// end deallocates both ends and waits for it.
func (p *pair) end() {
	p.x.Dealloc()
	p.y.Dealloc()
	<-p.x.Done()
	<-p.y.Done()
	time.Sleep(10 * time.Second) // what is on the way
}
