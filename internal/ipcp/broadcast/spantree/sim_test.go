package spantree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ouroboros/internal/wire/tree"
)

// sim is a network of machines. Its links deliver when they are told to, lose
// and reorder.
type sim struct {
	t     fataler
	now   time.Time
	nodes map[uint64]*Machine
	links []*simLink
	loose bool // messages may be delivered in any order
	loss  float64
	rand  *rand.Rand
	sent  int
}

type fataler interface {
	Fatalf(string, ...any)
}

// simLink is a connection; on[i] is what is on its way to end i.
type simLink struct {
	ends  [2]*Machine
	ports [2]*Port
	on    [2][]tree.Message
}

func newSim(t fataler, seed uint64) *sim {
	return &sim{
		t: t, now: time.Unix(1e9, 0), nodes: make(map[uint64]*Machine),
		rand: rand.New(rand.NewPCG(seed, 0)),
	}
}

func (s *sim) node(id uint64) *Machine {
	if s.nodes[id] == nil {
		s.nodes[id] = New(id)
	}
	return s.nodes[id]
}

func (s *sim) ids() (ids []uint64) {
	for id := range s.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (s *sim) link(a, b uint64) *simLink {
	l := &simLink{ends: [2]*Machine{s.node(a), s.node(b)}}
	s.links = append(s.links, l)
	l.ports[0] = l.ends[0].Add(s.now, b)
	s.flush(l.ends[0])
	l.ports[1] = l.ends[1].Add(s.now, a)
	s.flush(l.ends[1])
	s.check()
	return l
}

func (s *sim) find(a, b uint64) *simLink {
	for _, l := range s.links {
		if l.ends[0].own == a && l.ends[1].own == b || l.ends[0].own == b && l.ends[1].own == a {
			return l
		}
	}
	return nil
}

// cut removes a link; both ends see it, one a moment later.
func (s *sim) cut(l *simLink) {
	s.links = slices.DeleteFunc(s.links, func(o *simLink) bool { return o == l })
	first := s.rand.IntN(2)
	for _, i := range []int{first, 1 - first} {
		if l.ports[i].removed {
			continue
		}
		l.ends[i].Remove(s.now, l.ports[i])
		s.flush(l.ends[i])
		s.check()
		for range s.rand.IntN(20) {
			s.step()
		}
	}
}

// kill removes a node with all its links.
func (s *sim) kill(id uint64) {
	for _, l := range slices.Clone(s.links) {
		if l.ends[0].own == id || l.ends[1].own == id {
			s.cut(l)
		}
	}
	delete(s.nodes, id)
}

// flush puts what a machine sends on the links.
func (s *sim) flush(m *Machine) {
	for _, x := range m.Send(s.now) {
		s.sent++
		for _, l := range s.links {
			for i := range 2 {
				if l.ports[i] == x.Port && s.rand.Float64() >= s.loss {
					l.on[1-i] = append(l.on[1-i], x.Message)
				}
			}
		}
	}
}

// step delivers one message; false when none is on its way.
func (s *sim) step() bool {
	var full [][2]int
	for k, l := range s.links {
		for i := range 2 {
			if len(l.on[i]) > 0 && l.ports[i] != nil {
				full = append(full, [2]int{k, i})
			}
		}
	}
	if len(full) == 0 {
		return false
	}
	f := full[s.rand.IntN(len(full))]
	l, i := s.links[f[0]], f[1]
	k := 0
	if s.loose {
		k = s.rand.IntN(len(l.on[i]))
	}
	msg := l.on[i][k]
	l.on[i] = slices.Delete(l.on[i], k, k+1)
	b := make([]byte, tree.Size)
	msg.Put(b)
	msg, err := tree.Parse(b)
	if err != nil {
		s.t.Fatalf("%+v: %v", msg, err)
	}
	l.ends[i].Receive(s.now, l.ports[i], msg)
	s.flush(l.ends[i])
	s.check()
	return true
}

// pass lets time go by; what is on its way arrives.
func (s *sim) pass(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(10 * time.Millisecond) {
		for n := 0; s.step(); n++ {
			if n > 1_000_000 {
				s.t.Fatalf("it does not come to rest")
			}
		}
		for _, id := range s.ids() {
			m := s.nodes[id]
			if s.now.Before(m.Next(s.now)) {
				continue
			}
			for _, p := range m.Tick(s.now) {
				m.Remove(s.now, p)
			}
			s.flush(m)
			s.check()
		}
	}
}

// carries are the links that forward at both ends.
func (s *sim) carries() (l []*simLink) {
	for _, k := range s.links {
		if k.ports[0] != nil && k.ports[1] != nil && k.ports[0].Forwards() && k.ports[1].Forwards() {
			l = append(l, k)
		}
	}
	return l
}

// groups joins nodes by links; circle tells of a link that closes one.
func (s *sim) groups(links []*simLink) (of map[*Machine]*Machine, circle *simLink) {
	of = make(map[*Machine]*Machine)
	var find func(m *Machine) *Machine
	find = func(m *Machine) *Machine {
		for of[m] != nil {
			m = of[m]
		}
		return m
	}
	for _, l := range links {
		a, b := find(l.ends[0]), find(l.ends[1])
		if a == b {
			circle = l
			continue
		}
		of[a] = b
	}
	all := make(map[*Machine]*Machine)
	for _, m := range s.nodes {
		all[m] = find(m)
	}
	return all, circle
}

// check fails when packets could go round.
func (s *sim) check() {
	if _, circle := s.groups(s.carries()); circle != nil {
		s.t.Fatalf("packets go round through %d-%d\n%v", circle.ends[0].own, circle.ends[1].own, s)
	}
}

// agreed fails when not all that are connected are one tree.
func (s *sim) agreed(what string) {
	want, _ := s.groups(s.links)
	got, _ := s.groups(s.carries())
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			if (want[a] == want[b]) != (got[a] == got[b]) {
				s.t.Fatalf("%s: %d and %d are connected: %v, and reach each other: %v\n%v", what, a.own, b.own, want[a] == want[b], got[a] == got[b], s)
			}
		}
	}
	for _, a := range s.nodes {
		lowest := a.own
		for _, b := range s.nodes {
			if want[a] == want[b] {
				lowest = min(lowest, b.own)
			}
		}
		if a.root != lowest || !a.attached {
			s.t.Fatalf("%s: the root of %d is %d, attached %v, want %d\n%v", what, a.own, a.root, a.attached, lowest, s)
		}
	}
}

func (s *sim) String() (text string) {
	for _, id := range s.ids() {
		m := s.nodes[id]
		text += fmt.Sprintf("%d: root %d seq %d hops %d epoch %d attached %v\n", id, m.root, m.seq, m.hops, m.epoch, m.attached)
		for _, p := range m.ports {
			text += fmt.Sprintf("   to %d: %s, forwards %v, root %d seq %d hops %d epoch %d attached %v child %v joined %d\n",
				p.peer, p.Role(), p.Forwards(), p.root, p.seq, p.hops, p.epoch, p.attached, p.child, p.joined)
		}
	}
	return text
}

func ring(s *sim, n uint64) {
	for i := range n {
		s.link(i+1, (i+1)%n+1)
	}
}

var _ fataler = testing.TB(nil)
