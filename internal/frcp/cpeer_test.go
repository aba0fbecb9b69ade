package frcp

import (
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

// cPeer is an end that behaves as a C peer does, faults included: it
// acknowledges what its application has read, 10 ms later; takes any packet for
// a sign that its run is alive, so that data after a bare acknowledgement is
// never accepted; repeats each packet on a timer of its own; and believes every
// acknowledgement and every window.
type cPeer struct {
	t   testing.TB
	e   *end
	rtx bool

	mu         sync.Mutex
	rcvLwe     wire.Seq
	rcvRwe     wire.Seq
	rcvAcked   wire.Seq
	rcvAct     time.Time
	queue      map[wire.Seq][]byte
	sndSeq     wire.Seq
	sndLwe     wire.Seq
	sndRwe     wire.Seq
	sndAct     time.Time
	isn        wire.Seq
	kept       map[wire.Seq][]byte
	rto        time.Duration
	srtt       int64
	mdev       int64
	probe      bool
	probeSeq   wire.Seq
	probeAt    time.Time
	down       bool
	reading    bool // the application reads as soon as it can
	next       uint32
	rtxCount   int
	badPackets int
	closed     bool
}

const cWindow = 256

func newCPeer(t testing.TB, e *end, rtx bool, isn wire.Seq) *cPeer {
	c := &cPeer{t: t, e: e, rtx: rtx, isn: isn, queue: map[wire.Seq][]byte{}, kept: map[wire.Seq][]byte{},
		rto: time.Second, mdev: int64(10 * time.Millisecond), reading: true}
	c.sndRwe = startWindow
	c.rcvAct = time.Now().Add(-time.Hour)
	c.sndAct = c.rcvAct
	e.Attach(c)
	return c
}

func (c *cPeer) Event(flow.Event) {}

// Receive implements flow.Handler.
func (c *cPeer) Receive(batch []*packet.Buffer) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range batch {
		c.one(b.Bytes())
		b.Release()
	}
	if c.reading {
		c.read(1 << 20)
	}
	return len(batch)
}

func (c *cPeer) one(p []byte) {
	h, ok := wire.Parse(p)
	if !ok {
		c.t.Errorf("a packet of %d bytes would break a C peer", len(p))
		return
	}
	if h.Flags&^(wire.DATA|wire.DRF|wire.ACK|wire.FC|wire.RDVS) != 0 {
		c.t.Errorf("reserved flags %#x", h.Flags)
	}
	// What a C peer does not look at may say something to ours: a hint.
	hint := h.Flags == wire.ACK && h.Seq != 0
	if !h.Flags.Has(wire.ACK) && h.Ack != 0 || !h.Flags.Has(wire.FC) && h.Window != 0 && !hint {
		c.t.Errorf("a field without its flag: %+v", h)
	}
	now := time.Now()
	if now.Sub(c.rcvAct) > 131*time.Second {
		if h.Flags.Has(wire.DRF) {
			c.rcvLwe, c.rcvAcked, c.rcvRwe = h.Seq, h.Seq, h.Seq+cWindow
		} else if h.Flags.Has(wire.DATA) {
			c.answer(now)
			return
		}
	}
	c.rcvAct = now
	if h.Flags.Has(wire.RDVS) {
		c.control(wire.Header{Flags: wire.FC, Window: uint32(c.rcvRwe)})
		return
	}
	if h.Flags.Has(wire.ACK) {
		if h.Ack.After(c.sndSeq) {
			c.t.Errorf("acknowledgement %#x of what was never sent, %#x is next", h.Ack, c.sndSeq)
		}
		if h.Ack.After(c.sndLwe) {
			c.sndLwe = h.Ack
			for q := range c.kept {
				if q.Before(h.Ack) {
					delete(c.kept, q)
				}
			}
		}
		if c.probe && h.Ack.After(c.probeSeq) {
			c.sample(int64(now.Sub(c.probeAt)))
			c.probe = false
		}
	}
	if h.Flags.Has(wire.FC) {
		rwe := wire.Seq(h.Window | uint32(c.sndRwe)&0xff000000)
		if rwe.Before(c.sndRwe) && c.sndRwe-rwe > 0x7fffff {
			rwe += 0x01000000
		}
		c.sndRwe = rwe
	}
	switch {
	case !h.Flags.Has(wire.DATA):
		c.answer(now)
	case h.Seq.Before(c.rcvLwe):
		c.rcvAcked = h.Seq
		c.answer(now)
	case c.rtx && (!h.Seq.Before(c.rcvRwe) || !h.Seq.Before(c.rcvLwe+cWindow)):
		c.badPackets++
		c.answer(now)
	case c.rtx && c.queue[h.Seq] != nil:
		c.answer(now)
	default:
		if !c.rtx {
			c.rcvLwe = h.Seq
		}
		c.queue[h.Seq] = append([]byte(nil), p[wire.HeaderLen:]...)
		if c.rtx {
			time.AfterFunc(12*time.Millisecond, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.answer(time.Now())
			})
		}
	}
}

func (c *cPeer) sample(m int64) {
	e := estimator{srtt: c.srtt, mdev: c.mdev}
	e.sample(m)
	c.srtt, c.mdev, c.rto = e.srtt, e.mdev, time.Duration(e.base())
}

// answer sends an acknowledgement if there is something to acknowledge and no
// data was sent just now.
func (c *cPeer) answer(now time.Time) {
	if c.rtx && c.rcvLwe.After(c.rcvAcked) && now.Sub(c.sndAct) >= 5*time.Millisecond {
		c.rcvAcked = c.rcvLwe
		c.control(wire.Header{Flags: wire.ACK | wire.FC, Window: uint32(c.rcvRwe), Ack: c.rcvLwe})
	}
}

func (c *cPeer) control(h wire.Header) {
	b := packet.Get(wire.HeaderLen)
	h.Put(b.Bytes())
	c.out(b)
}

func (c *cPeer) out(b *packet.Buffer) {
	if c.closed {
		b.Release()
		return
	}
	c.e.Send([]*packet.Buffer{b})
}

// read is the application: it takes up to n messages and checks their order.
func (c *cPeer) read(n int) {
	for ; n > 0 && c.queue[c.rcvLwe] != nil; n-- {
		p := c.queue[c.rcvLwe]
		delete(c.queue, c.rcvLwe)
		c.rcvLwe++
		c.rcvRwe++
		if k := binary.BigEndian.Uint32(p); k != c.next {
			c.t.Errorf("the C peer read %d, want %d", k, c.next)
		}
		c.next++
	}
}

func (c *cPeer) got() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.next)
}

// send writes message k; false when the window is closed.
func (c *cPeer) send(k int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.sndAct.Before(now.Add(-131*time.Second)) && c.sndSeq == c.sndLwe {
		c.sndSeq, c.sndLwe, c.sndRwe = c.isn, c.isn, c.isn+startWindow
		c.isn += 0x1234567
	}
	if !c.sndSeq.Before(c.sndRwe) {
		return false
	}
	h := wire.Header{Flags: wire.DATA, Seq: c.sndSeq}
	if c.sndSeq == c.sndLwe {
		h.Flags |= wire.DRF
	}
	if now.Sub(c.rcvAct) < 131*time.Second {
		h.Flags |= wire.FC
		h.Window = uint32(c.rcvRwe) & 0xffffff
	}
	if c.rtx {
		if !c.probe {
			c.probe, c.probeSeq, c.probeAt = true, c.sndSeq, now
		}
		if now.Sub(c.rcvAct) < 10*time.Second {
			h.Flags |= wire.ACK
			h.Ack = c.rcvLwe
			c.rcvAcked = c.rcvLwe
		}
	} else {
		c.sndLwe++
	}
	p := make([]byte, wire.HeaderLen+100)
	h.Put(p)
	binary.BigEndian.PutUint32(p[wire.HeaderLen:], uint32(k))
	c.sndSeq++
	c.sndAct = now
	if c.rtx {
		c.kept[h.Seq] = p
		c.again(h.Seq, now)
	}
	c.out(packet.From(p))
	return true
}

// again is the timer of packet q.
func (c *cPeer) again(q wire.Seq, first time.Time) {
	time.AfterFunc(c.rto+time.Millisecond, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		p := c.kept[q]
		if p == nil || c.closed {
			return
		}
		if time.Since(first) > 120*time.Second {
			c.down = true
			return
		}
		if c.probeSeq == q {
			c.rto *= 2
			c.probe = false
		}
		binary.BigEndian.PutUint32(p[8:], uint32(c.rcvLwe)) // also with ACK off
		c.rtxCount++
		c.out(packet.From(p))
		c.again(q, first)
	})
}

func (c *cPeer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
}

// withCPeer runs f with a machine of ours at one end and a C peer at the other.
func withCPeer(t *testing.T, spec qos.Spec, ab, ba path, f func(n *network, u *user, c *cPeer)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(7, spec, ab, ba)
		c := newCPeer(t, n.b, spec.Loss == 0, 0x10000000)
		x := New(n.a, Config{QoS: spec})
		u := newUser(t, x)
		f(n, u, c)
		x.Dealloc()
		<-x.Done()
		c.close()
		time.Sleep(300 * time.Second)
	})
}

var lan = path{delay: time.Millisecond}

func TestACPeerReadsWhatWeSend(t *testing.T) {
	for name, ab := range map[string]path{"perfect": lan, "lossy": {delay: time.Millisecond, loss: 0.05}, "reordered": {delay: time.Millisecond, jitter: time.Millisecond, double: 0.05}} {
		t.Run(name, func(t *testing.T) {
			withCPeer(t, qos.Data, ab, ab, func(n *network, u *user, c *cPeer) {
				begin := time.Now()
				u.stream(0, 2000, 500)
				for c.got() < 2000 && time.Since(begin) < 100*time.Second {
					time.Sleep(10 * time.Millisecond)
				}
				if c.got() != 2000 || c.badPackets > 0 {
					t.Errorf("%d of 2000 read after %v, %d outside of the window", c.got(), time.Since(begin), c.badPackets)
				}
				t.Logf("%v", time.Since(begin))
			})
		})
	}
}

func TestWeReadWhatACPeerSends(t *testing.T) {
	for name, ba := range map[string]path{"perfect": lan, "lossy": {delay: time.Millisecond, loss: 0.05}, "reordered": {delay: time.Millisecond, jitter: time.Millisecond, double: 0.05}} {
		t.Run(name, func(t *testing.T) {
			withCPeer(t, qos.Data, ba, ba, func(n *network, u *user, c *cPeer) {
				begin := time.Now()
				for k := 0; k < 2000 && time.Since(begin) < 100*time.Second; {
					if c.send(k) {
						k++
					} else {
						time.Sleep(time.Millisecond)
					}
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if u.received() != 2000 || c.down {
					t.Errorf("%d of 2000 received, down %v", u.received(), c.down)
				}
				if name == "perfect" && c.rtxCount > 0 {
					t.Errorf("%d packets sent again on a perfect path", c.rtxCount)
				}
			})
		})
	}
}

func TestAnAnswerAfterTheAcknowledgementReachesACPeer(t *testing.T) {
	for _, delay := range []time.Duration{0, 9 * time.Millisecond, 11 * time.Millisecond, 50 * time.Millisecond, 5 * time.Second, 200 * time.Second} {
		for _, spec := range []qos.Spec{qos.Data, qos.BestEffort} {
			t.Run(delay.String()+" "+spec.String(), func(t *testing.T) {
				withCPeer(t, spec, lan, lan, func(n *network, u *user, c *cPeer) {
					for k := range 40 { // so many that a window is announced too
						c.send(k)
					}
					time.Sleep(delay)
					u.stream(0, 3, 100)
					time.Sleep(5 * time.Second)
					synctest.Wait()
					if c.got() != 3 {
						t.Errorf("the C peer read %d of 3 messages", c.got())
					}
				})
			})
		}
	}
}

func TestACPeerAnswersOurFirstMessageLate(t *testing.T) {
	for _, delay := range []time.Duration{0, 9 * time.Millisecond, 11 * time.Millisecond, 50 * time.Millisecond, 5 * time.Second, 200 * time.Second} {
		t.Run(delay.String(), func(t *testing.T) {
			withCPeer(t, qos.Data, lan, lan, func(n *network, u *user, c *cPeer) {
				u.stream(0, 1, 100)
				time.Sleep(delay)
				c.send(0)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if c.got() != 1 || u.received() != 1 {
					t.Errorf("%d and %d messages arrived", c.got(), u.received())
				}
			})
		})
	}
}

func TestACPeerThatIsIdleBeginsANewRun(t *testing.T) {
	withCPeer(t, qos.Data, lan, lan, func(n *network, u *user, c *cPeer) {
		for k := range 5 {
			c.send(k)
			u.stream(k, 1, 100)
			time.Sleep(140 * time.Second)
			synctest.Wait()
			if u.received() != k+1 || c.got() != k+1 {
				t.Fatalf("after %d idle times: %d and %d messages", k, u.received(), c.got())
			}
		}
	})
}

func TestACPeerThatSendsOneWayIsNeverStopped(t *testing.T) {
	withCPeer(t, qos.BestEffort, lan, lan, func(n *network, u *user, c *cPeer) {
		for k := range 10000 {
			for !c.send(k) {
				t.Fatalf("the C peer is stopped after %d packets", k)
			}
			if k%8 == 7 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if u.received() != 10000 {
			t.Errorf("%d of 10000 arrived", u.received())
		}
	})
}

func TestASlowReaderAtACPeerSlowsUsAndKillsNothing(t *testing.T) {
	withCPeer(t, qos.Data, lan, lan, func(n *network, u *user, c *cPeer) {
		c.mu.Lock()
		c.reading = false
		c.mu.Unlock()
		go u.stream(0, 500, 100)
		for range 400 {
			time.Sleep(time.Second)
			c.mu.Lock()
			c.read(1)
			c.mu.Unlock()
		}
		c.mu.Lock()
		c.reading = true
		c.read(1000)
		c.mu.Unlock()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if c.got() != 500 || u.had(flow.EventDown) > 0 {
			t.Errorf("%d of 500 read, events %v", c.got(), u.evs)
		}
	})
}

func TestOneWayForLongAndThenBack(t *testing.T) {
	withCPeer(t, qos.Data, lan, lan, func(n *network, u *user, c *cPeer) {
		for k := range 320 {
			c.send(k)
			time.Sleep(time.Second)
		}
		u.stream(0, 1, 100)
		time.Sleep(time.Second)
		synctest.Wait()
		if u.received() != 320 || c.got() != 1 {
			t.Errorf("%d and %d messages", u.received(), c.got())
		}
	})
}
