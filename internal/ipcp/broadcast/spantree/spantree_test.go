package spantree

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ouroboros/internal/wire/tree"
)

func TestTwoMembersForwardToEachOther(t *testing.T) {
	s := newSim(t, 1)
	l := s.link(1, 2)
	if l.ports[0].Forwards() || l.ports[1].Forwards() {
		t.Error("a port forwards before anything was agreed")
	}
	s.pass(20 * time.Millisecond)
	s.agreed("two")
	if !l.ports[0].Settled() || !l.ports[1].Settled() {
		t.Error("it is not settled")
	}
	if l.ports[0].Role() != "child" || l.ports[1].Role() != "parent" {
		t.Errorf("the ports are %q and %q", l.ports[0].Role(), l.ports[1].Role())
	}
}

func TestAClosedLoopDisturbsNothing(t *testing.T) {
	for n := uint64(3); n < 30; n++ {
		s := newSim(t, n)
		for i := uint64(1); i < n; i++ {
			s.link(i, i+1)
		}
		s.pass(time.Second)
		s.agreed("a line")
		var before []uint64
		for _, id := range s.ids() {
			before = append(before, s.nodes[id].Parents, uint64(s.nodes[id].epoch))
		}
		l := s.link(1, n)
		s.pass(10 * time.Second)
		s.agreed("a ring")
		var after []uint64
		for _, id := range s.ids() {
			after = append(after, s.nodes[id].Parents, uint64(s.nodes[id].epoch))
		}
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("ring of %d: from %v to %v", n, before, after)
		}
		if l.ports[0].Role() != "spare" || l.ports[1].Role() != "spare" {
			t.Errorf("ring of %d: the new ports are %q and %q", n, l.ports[0].Role(), l.ports[1].Role())
		}
	}
}

func TestANewcomerThatIsYoungerDisturbsNobody(t *testing.T) {
	s := newSim(t, 1)
	ring(s, 5)
	s.pass(time.Second)
	epoch := s.nodes[3].epoch
	s.link(3, 100)
	s.link(4, 100)
	s.pass(time.Second)
	s.agreed("with the newcomer")
	if s.nodes[3].epoch != epoch || s.nodes[4].root != 1 {
		t.Error("the tree has changed for others")
	}
}

func TestASpareWayIsTakenAtOnce(t *testing.T) {
	for n := uint64(3); n < 12; n++ {
		for cut := range n {
			s := newSim(t, n)
			ring(s, n)
			s.pass(time.Second)
			s.cut(s.find(cut+1, (cut+1)%n+1))
			s.pass(20 * time.Millisecond) // no timer of the protocol is that short
			s.agreed(fmt.Sprintf("ring of %d without %d", n, cut+1))
		}
	}
}

func TestTheEndOfTheRootIsSurvived(t *testing.T) {
	for n := uint64(3); n < 12; n++ {
		s := newSim(t, n)
		ring(s, n)
		s.pass(time.Second)
		s.kill(1)
		s.pass(search + 100*time.Millisecond)
		s.agreed(fmt.Sprintf("ring of %d without its root", n))
	}
}

func TestASilentNeighbourIsTold(t *testing.T) {
	s := newSim(t, 1)
	l := s.link(1, 2)
	s.pass(time.Second)
	s.loss = 1
	s.pass(MaxAge)
	if len(l.ends[0].ports)+len(l.ends[1].ports) != 0 {
		t.Error("it is still a neighbour")
	}
	s.links = nil
	s.agreed("alone")
}

func TestAPortThatIsDownAtOneSideIsDown(t *testing.T) {
	s := newSim(t, 1)
	ring(s, 4)
	s.pass(time.Second)
	for range 3 {
		l := s.find(1, 2)
		l.ends[0].SetDown(s.now, l.ports[0], true)
		s.flush(l.ends[0])
		s.pass(100 * time.Millisecond)
		if l.ports[0].Forwards() || l.ports[1].Forwards() {
			t.Error("it forwards")
		}
		all := s.links
		s.links = nil
		for _, k := range all {
			if k != l {
				s.links = append(s.links, k)
			}
		}
		s.agreed("with a link down")
		s.links = all
		l.ends[0].SetDown(s.now, l.ports[0], false)
		s.flush(l.ends[0])
		s.pass(100 * time.Millisecond)
		s.agreed("with the link up again")
	}
}

func TestLostMessagesAreRepeated(t *testing.T) {
	for seed := range uint64(20) {
		s := newSim(t, seed)
		s.loss = 0.3
		ring(s, 6)
		s.pass(10 * time.Second)
		s.loss = 0
		s.pass(2 * time.Second)
		s.agreed("after losses")
	}
}

func TestARestingNetworkIsQuiet(t *testing.T) {
	s := newSim(t, 1)
	ring(s, 10)
	s.pass(10 * time.Second)
	s.sent = 0
	s.pass(time.Minute)
	if most := 10 * 2 * int(time.Minute/Hello+1); s.sent > most {
		t.Errorf("%d messages in a minute, want %d at most", s.sent, most)
	}
}

func TestALineOfManyIsOneTree(t *testing.T) {
	s := newSim(t, 1)
	for i := uint64(1); i < 150; i++ {
		s.link(1000-i, 999-i) // the root is at the far end
	}
	s.pass(2 * time.Second)
	s.agreed("a line")
}

// Nothing ever goes round, in whatever order things happen; and when they have
// calmed down all that are connected are one tree.
func TestNothingEverGoesRound(t *testing.T) {
	rounds := 300
	if testing.Short() || raceEnabled {
		rounds = 40
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newSim(t, seed)
		s.loose = seed%3 == 0
		if seed%2 == 0 {
			s.loss = 0.1
		}
		n := 3 + r.Uint64N(8)
		ids := make([]uint64, n) // of the living; the dead do not come back
		next := uint64(1)
		fresh := func() uint64 { return r.Uint64N(1000)*100000 + next }
		for i := range ids {
			ids[i] = fresh()
			next++
		}
		for range 150 {
			switch r.IntN(8) {
			case 0, 1, 2:
				a, b := ids[r.IntN(len(ids))], ids[r.IntN(len(ids))]
				if a != b && s.find(a, b) == nil {
					s.link(a, b)
				}
			case 3:
				if len(s.links) > 0 {
					s.cut(s.links[r.IntN(len(s.links))])
				}
			case 4:
				if r.IntN(3) == 0 {
					i := r.IntN(len(ids))
					s.kill(ids[i])
					ids[i] = fresh()
					next++
				}
			case 5:
				if len(s.links) > 0 {
					l, i := s.links[r.IntN(len(s.links))], r.IntN(2)
					l.ends[i].SetDown(s.now, l.ports[i], !l.ports[i].down)
					s.flush(l.ends[i])
					s.check()
				}
			case 6:
				s.pass(time.Duration(r.IntN(600)) * time.Millisecond)
			case 7:
				for range r.IntN(100) {
					s.step()
				}
			}
		}
		for _, l := range s.links {
			for i := range 2 {
				l.ends[i].SetDown(s.now, l.ports[i], false)
				s.flush(l.ends[i])
			}
		}
		s.loss = 0
		// Ports that were silent for too long are gone at one end: the link is.
		s.pass(MaxAge + time.Second)
		for _, l := range s.links {
			if l.ports[0].removed || l.ports[1].removed {
				s.cut(l)
			}
		}
		s.pass(5 * time.Second)
		s.agreed(fmt.Sprintf("seed %d", seed))
	}
}

// The same, for smaller networks, shrunk when it fails.
func TestNothingEverGoesRoundInSmallNetworks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t, rapid.Uint64().Draw(t, "seed"))
		s.loose = rapid.Bool().Draw(t, "loose")
		id := rapid.Uint64Range(1, 5)
		t.Repeat(map[string]func(*rapid.T){
			"link": func(t *rapid.T) {
				a, b := id.Draw(t, "a"), id.Draw(t, "b")
				if a == b || s.find(a, b) != nil {
					t.Skip()
				}
				s.link(a, b)
			},
			"cut": func(t *rapid.T) {
				if l := s.find(id.Draw(t, "a"), id.Draw(t, "b")); l != nil {
					s.cut(l)
				}
			},
			"step": func(t *rapid.T) { s.step() },
			"pass": func(t *rapid.T) { s.pass(100 * time.Millisecond) },
		})
		s.pass(MaxAge)
		s.agreed("at rest")
	})
}

func TestALiarCannotKeepTheTreeTurning(t *testing.T) {
	for what, root := range map[string]func(i uint32) uint64{
		"two roots in turn":  func(i uint32) uint64 { return 1 + uint64(i%2)*4 },
		"always a lower one": func(i uint32) uint64 { return 20000 - uint64(i) },
	} {
		s := newSim(t, 1)
		for i := uint64(100010); i < 100015; i++ {
			s.link(i, i+1)
		}
		m := s.node(100012)
		p := m.Add(s.now, 5)
		epoch := m.epoch
		for i := range uint32(10000) {
			m.Receive(s.now, p, tree.Message{
				Kind: tree.State, Flags: tree.Attached, Serial: i + 1, Epoch: i, Sender: 5, Root: root(i), Seq: uint64(i),
			})
			s.flush(m)
			s.pass(10 * time.Millisecond)
		}
		if got := m.epoch - epoch; got > 4*flaps {
			t.Errorf("%s: the root has changed %d times within 100 s", what, got)
		}
	}
}

func TestAskingForNewsCannotMakeARootBusy(t *testing.T) {
	m := New(1)
	now := time.Unix(1e9, 0)
	p := m.Add(now, 2)
	m.Send(now)
	m.Receive(now, p, tree.Message{Kind: tree.State, Flags: tree.Attached, Serial: 1, Sender: 2, Root: 2})
	m.Send(now)
	for i := range 1000 {
		m.Receive(now, p, tree.Message{Kind: tree.Request, Hops: 10, Sender: 2, Root: 1, Seq: m.ownSeq + 1 + uint64(i%2)})
		m.Send(now)
		now = now.Add(time.Millisecond)
	}
	if m.News == 0 || m.News > 1+uint64(time.Second/newsPause) {
		t.Errorf("%d news within a second", m.News)
	}
	if m.Refused != 500 {
		t.Errorf("%d refused, want those that skip a number", m.Refused)
	}
}

func TestTheTableOfDistancesIsBounded(t *testing.T) {
	m := New(1 << 40)
	now := time.Unix(1e9, 0)
	for i := range uint64(1000) {
		p := m.Add(now, i+1)
		m.Receive(now, p, tree.Message{Kind: tree.State, Flags: tree.Attached, Serial: 1, Sender: i + 1, Root: 2000 - i})
		m.Send(now)
		now = now.Add(time.Millisecond)
	}
	if len(m.dist) > roots {
		t.Errorf("%d roots are remembered", len(m.dist))
	}
	for _, p := range m.ports {
		p.down = true
	}
	for range 3 {
		now = now.Add(rootMemory)
		m.Tick(now)
	}
	if len(m.dist) > 0 {
		t.Errorf("%d roots are remembered for good", len(m.dist))
	}
}

func TestMessagesOfOthersAndOldOnesAreDropped(t *testing.T) {
	m := New(1)
	now := time.Unix(1e9, 0)
	p := m.Add(now, 2)
	m.Receive(now, p, tree.Message{Kind: tree.State, Serial: 1, Sender: 3, Root: 1, Joined: 1, Flags: tree.Attached | tree.Parent})
	if p.Forwards() || m.Foreign != 1 {
		t.Error("a stranger's message counts")
	}
	m.Receive(now, p, tree.Message{Kind: tree.State, Serial: 5, Sender: 2, Root: 1, Joined: 1, Flags: tree.Attached | tree.Parent})
	m.Receive(now, p, tree.Message{Kind: tree.State, Serial: 4, Sender: 2, Root: 2, Flags: tree.Attached})
	if !p.Forwards() {
		t.Error("a message overtaken by a later one counts")
	}
	m.Remove(now, p)
	m.Remove(now, p)
	m.Receive(now, p, tree.Message{Kind: tree.State, Serial: 6, Sender: 2, Root: 1})
	if p.Forwards() || len(m.Send(now)) > 0 {
		t.Error("a removed port lives")
	}
}

// Whatever a neighbour says, the machine stays sound and quiet.
func FuzzReceive(f *testing.F) {
	b := make([]byte, 2*tree.Size)
	tree.Message{Kind: tree.State, Flags: tree.Attached, Serial: 1, Sender: 5, Root: 3, Seq: 7, Hops: 2}.Put(b)
	tree.Message{Kind: tree.Request, Hops: 5, Sender: 5, Root: 3, Seq: 8}.Put(b[tree.Size:])
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newSim(t, 1)
		ring(s, 9)
		s.pass(100 * time.Millisecond)
		m := s.node(6)
		p := m.Add(s.now, 5)
		for len(b) >= tree.Size {
			msg, err := tree.Parse(b[:tree.Size])
			b = b[tree.Size:]
			if err == nil {
				m.Receive(s.now, p, msg)
				s.flush(m)
			}
			s.pass(10 * time.Millisecond)
		}
		s.sent = 0
		s.pass(5 * time.Second)
		if s.sent > 2000 {
			t.Errorf("%d messages in 5 s", s.sent)
		}
		m.Remove(s.now, p)
		s.pass(5 * time.Second)
		s.agreed("after the liar has gone")
	})
}
