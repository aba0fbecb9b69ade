package linkstate

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
	"ouroboros/qos"
)

// slip ends what is between two members, and those of the other kind do not
// notice: what carries flows of theirs need not tell them.
func (l *layer) slip(a, b wire.Addr) {
	c := l.cables[pairOf(a, b)]
	c.up = false
	for i, p := range []party{c.a, c.b} {
		if m, ours := p.(*member); ours {
			m.Down([]party{c.b, c.a}[i].address())
		}
	}
	synctest.Wait()
	c.fa.End(flow.EventDealloc)
	c.fa, c.fb = nil, nil
}

func TestANeighbourThatHasMissedNothingRoutesOverTheNewConnection(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 20 * time.Second, 3 * time.Minute} {
		for name, c := range map[string]func(wire.Addr) bool{
			"in the middle": func(a wire.Addr) bool { return a == 2 },
			"but for one":   func(a wire.Addr) bool { return a != 3 },
		} {
			t.Run(name+", "+away.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := mixed(t, line(3), c)
					defer l.close()
					pause(5 * time.Second)
					l.check("at first")
					for range 3 {
						l.slip(2, 3)
						pause(away)
						l.connect(2, 3)
						pause(nudgePause + 50*time.Millisecond)
						l.check("again")
						pause(30 * time.Second)
					}
					pause(2 * time.Minute)
					l.check("in the end")
					l.sameLinks("in the end")
					if m := l.parties[3].(*member); m.phantoms != 0 || len(m.db.all) != 4 {
						t.Errorf("%d phantoms are left, %d links in the data base", m.phantoms, len(m.db.all))
					}
				})
			})
		}
	}
}

// strange are the links that never were, of what came: to nobody.
func strange(hs []heard, own wire.Addr, known ...wire.Addr) (ends []wire.Addr) {
	for _, h := range hs {
		if h.Src == own && !slices.Contains(known, h.Dst) && !slices.Contains(ends, h.Dst) {
			ends = append(ends, h.Dst)
		}
	}
	return ends
}

func TestANeighbourIsNudgedOnceAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, b := ready(t, m, 2), ready(t, m, 3)
		m.Up(2, 0)
		m.Connected(2)
		a.send(lsa.Update{Src: 2, Dst: 1, Seq: 4})
		pause(nudgePause - time.Millisecond)
		if got := strange(a.take(), 1, 2, 3); got != nil {
			t.Errorf("nudged before it can know the connection: %v", got)
		}
		pause(2 * time.Millisecond)
		got := a.take()
		if ends := strange(got, 1, 2, 3); len(ends) != 1 || !withdrawal(got[0].Update) || m.counter("nudges") != 1 {
			t.Errorf("nudged with %v", got)
		}
		if ends := strange(b.take(), 1, 2, 3); len(ends) != 1 {
			t.Errorf("another neighbour, which may be the way to it, got %v", ends)
		}
		pause(10 * time.Minute)
		if n := m.counter("nudges"); n != 1 || m.phantoms != 0 {
			t.Errorf("nudged %d times, %d phantoms are left", n, m.phantoms)
		}
		a.send(lsa.Update{Src: 2, Dst: 1, Seq: 50})
		m.Connected(2)
		pause(nudgePause)
		if n := m.counter("nudges"); n != 2 {
			t.Errorf("nudged %d times after a second connection", n)
		}
	})
}

func TestANeighbourIsNudgedWhenItCanBeTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		other := ready(t, m, 9)
		m.Up(2, 0)
		m.Connected(2)
		other.send(lsa.Update{Src: 2, Dst: 1, Seq: 4})
		pause(5 * time.Second) // no Management connection yet
		if n := m.counter("nudges"); n != 0 {
			t.Errorf("nudged %d times without a connection", n)
		}
		a := newStation(t, m, 2)
		pause(firstPause + time.Millisecond)
		if got := strange(a.take(), 1, 2, 9); len(got) != 1 {
			t.Errorf("nudged with %v", got)
		}
	})
}

func TestOnlyThoseOfTheOtherKindAreNudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, b := ready(t, m, 2), ready(t, m, 3)
		for _, nb := range []wire.Addr{2, 3, 4} {
			m.Up(nb, 0)
			m.Connected(nb)
		}
		a.send(lsa.Update{Src: 2, Dst: 1, Seq: lsa.Make(1, 1496, false)})
		pause(time.Minute)
		if got := strange(append(a.take(), b.take()...), 1, 2, 3, 4); got != nil {
			t.Errorf("nudged with %v", got) // what 3 and 4 are is not known
		}
		m.Down(3)
		b.send(lsa.Update{Src: 3, Dst: 1, Seq: 4})
		pause(5 * time.Second)
		if n := m.counter("nudges"); n != 0 {
			t.Errorf("nudged %d times over a connection that is gone", n)
		}
	})
}

func TestNudgesAreFewHoweverManyConnectionsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		var all []*station
		for i := range 100 {
			nb := wireAddr(10 + i)
			s := ready(t, m, nb)
			s.send(lsa.Update{Src: nb, Dst: 1, Seq: 4})
			all = append(all, s)
		}
		for _, s := range all {
			m.Up(s.addr, 0)
			m.Connected(s.addr)
		}
		pause(time.Second)
		if n := m.counter("nudges"); n != 1 {
			t.Errorf("%d nudges for all at a time", n)
		}
		for range 1000 { // one that connects and connects
			m.Connected(all[0].addr)
			pause(nudgePause + 10*time.Millisecond)
		}
		if n := m.counter("nudges"); n > 1000/4+nudgeBurst || m.phantoms > maxPhantoms {
			t.Errorf("%d nudges in 210 s, %d phantoms", n, m.phantoms)
		}
	})
}

// Members of the C implementation keep routes over links that have aged out, until
// a link is new to them: one member of ours is enough to give them one.
func TestALinkThatIsLostIsRecalledByOne(t *testing.T) {
	for name, lose := range map[string]func(l *layer){
		"withdrawn":    func(l *layer) { l.cut(4, 5, false) },
		"of the other": func(l *layer) { l.cut(5, 6, false) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := mixed(t, append(line(6), pair{1, 6}), func(a wire.Addr) bool { return a > 4 })
				defer l.close()
				pause(5 * time.Minute)
				before := l.nudges()
				lose(l)
				pause(cTimeout + cUpdate + recallPause + recallLot + time.Second)
				if n := l.nudges() - before; n < 1 || n > 2 {
					t.Errorf("nudged %d times", n)
				}
				l.check("after that")
				pause(10 * time.Minute)
				if n := l.nudges() - before; n > 3 {
					t.Errorf("nudged %d times in the end", n)
				}
				l.check("in the end")
			})
		})
	}
}

// nudges are those of all members.
func (l *layer) nudges() (n int) {
	for _, p := range l.parties {
		if m, ours := p.(*member); ours {
			n += m.counter("nudges")
		}
	}
	return n
}

func TestALayerOfOurKindRecallsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer(t)
		defer l.close()
		l.build(append(line(6), pair{1, 6}))
		pause(time.Minute)
		l.cut(2, 3, false)
		pause(5 * time.Minute)
		if n := l.nudges(); n != 0 {
			t.Errorf("nudged %d times", n)
		}
	})
}

func TestALinkThatFlapsIsRecalledNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mixed(t, append(line(4), pair{1, 4}), func(a wire.Addr) bool { return a == 4 })
		defer l.close()
		pause(time.Minute)
		before := l.nudges()
		for range 100 {
			l.cut(2, 3, false)
			pause(5 * time.Second)
			l.connect(2, 3)
			pause(5 * time.Second)
		}
		if n := l.nudges() - before; n < 5 || n > 60 {
			t.Errorf("nudged %d times in 1000 s", n)
		}
	})
}

// reader notes the lengths of what comes, and when.
type reader struct {
	mu      sync.Mutex
	lengths []int
	at      []time.Time
}

// take gives what has come and forgets it.
func (r *reader) take() (lengths []int, at []time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lengths, at = r.lengths, r.at
	r.lengths, r.at = nil, nil
	return lengths, at
}

func (r *reader) Receive(batch []*packet.Buffer) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range batch {
		r.lengths = append(r.lengths, b.Len())
		r.at = append(r.at, time.Now())
	}
	packet.ReleaseAll(batch)
	return len(batch)
}

func (r *reader) Event(flow.Event) {}

// timed is a Management connection with a peer time-out.
func timed(t *testing.T, m *member, nb wire.Addr, timeout time.Duration) (far *flow.Pipe, r *reader) {
	spec := qos.Raw
	spec.Timeout = uint32(timeout.Milliseconds())
	near, far := flow.NewPipe(flow.PipeOptions{QoS: spec})
	r = &reader{}
	far.Attach(r)
	if _, err := m.connect(near, nb); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Dealloc)
	return far, r
}

func TestNoKeepAliveComesDueOnAConnectionToTheOtherKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		const timeout = 16 * time.Second
		_, spare := timed(t, m, 2, timeout) // not the one that is used
		far, used := timed(t, m, 2, timeout)
		m.Up(2, 0)
		_, never := timed(t, m, 3, 0)
		_, hasty := timed(t, m, 4, time.Millisecond)
		begin := time.Now()
		pause(10 * time.Minute)
		for i, r := range []*reader{spare, used} {
			last := begin
			lengths, times := r.take()
			for j, at := range times {
				if d := at.Sub(last); d > timeout/fillerPart+firstPause {
					t.Fatalf("connection %d: nothing came for %v", i, d)
				}
				if n := lengths[j]; n != fillerSize && n != lsa.Size {
					t.Fatalf("connection %d: a packet of %d bytes", i, n)
				}
				last = at
			}
			if time.Since(last) > timeout/fillerPart {
				t.Errorf("connection %d: nothing came for %v", i, time.Since(last))
			}
			if n := len(times); n > 10*60/2+100 {
				t.Errorf("connection %d: %d packets", i, n)
			}
		}
		if lengths, _ := never.take(); slices.Contains(lengths, fillerSize) {
			t.Error("a flow without a time-out, which has no keep-alives, got fillers")
		}
		if lengths, _ := hasty.take(); len(lengths) > 10*60*10+100 {
			t.Errorf("who has asked for a time-out of a millisecond got %d packets", len(lengths))
		}
		// From now on it is known to be of our kind.
		u := lsa.Update{Src: 2, Dst: 1, Seq: lsa.Make(1, 1496, false)}
		b := packet.Get(lsa.Size)
		u.Put(b.Bytes())
		far.Send([]*packet.Buffer{b})
		pause(timeout / fillerPart)
		spare.take()
		used.take()
		pause(10 * time.Minute)
		on, _ := used.take()
		beside, _ := spare.take()
		if slices.Contains(on, fillerSize) || len(beside) > 0 {
			t.Error("a neighbour of our kind got fillers")
		}
	})
}
