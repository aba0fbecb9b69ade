// Package graph finds the next hops of a member of a unicast layer from the
// links of the layer. Every link counts one hop.
//
// The members of a layer choose for themselves, so they must choose alike: the
// way to a member leads over the one of its neighbours that is nearest to the
// source, and over the lowest address among those.
//
//	    ┌── 2 ──┐          from 1 to 4
//	1 ──┤       ├── 4      SIMPLE  2
//	    └── 3 ──┘          LFA     2, then 3: a loop-free alternate
//	                       ECMP    3 and 2: the link to 3 was learnt last
//
// # How it is computed
//
// One breadth-first search gives the distances d from the source. All else is
// sets of neighbours of the source, as bits, handed on from layer to layer:
//
//	near(v)  neighbours that are at distance d(v)-1 of v
//	         = the union of near(u) over the u before v
//	safe(v)  neighbours at distance d(v) of v, or nearer
//	         = the union of safe(u) over the u before v,
//	           and near(u) over the u beside v
//
// near is what ECMP wants. A neighbour n is a loop-free alternate towards v when
// dist(n, v) < 1 + d(v), which is safe. So no policy needs a second search, and
// the time is that of one, however many neighbours there are.
package graph

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

// Edge is a link between two members that both have announced.
type Edge struct {
	A, B dt.Addr
	MTU  int    // longest packet in bytes, 0 = not known
	Born uint64 // grows in the order in which links are learnt
}

// Hops is the way to one member.
type Hops struct {
	// Next is the neighbours to send to, in order. SIMPLE: one. LFA: that one,
	// then those that can take its place. ECMP: all that are as near. None is
	// there twice. Members with the same neighbours share the slice.
	Next []dt.Addr
	// MTU is the longest packet in bytes that every shortest way over the
	// neighbour carries, or with ECMP over any of them; 0 = not known. A link
	// that does not tell does not count.
	MTU int
}

// far is the MTU of a way that tells none.
const far = math.MaxInt

// Solver keeps the memory of its computations. It must not be used by two
// goroutines at a time.
type Solver struct {
	index map[dt.Addr]int32
	addrs []dt.Addr // of the vertices, ascending: the lower index has the lower address

	// The arcs of vertex v are arcs[first[v]:first[v+1]].
	first []int32
	arcs  []arc
	fill  []int32

	source     int32
	neighbours []neighbour // of the source, learnt last first

	order []int32 // the reached vertices, by distance, then address
	dist  []int32 // -1 = not reached
	hop   []int32 // first hop, as index of neighbours

	words      int // of a set
	near, safe []uint64
	mtu        []int
	way        []int
	key        []byte
}

type arc struct {
	to  int32
	mtu int
}

type neighbour struct {
	vertex int32
	mtu    int
	born   uint64
}

// Routes gives the way from source to every member that edges reach, without
// source itself. No edge may be there twice.
func (s *Solver) Routes(source dt.Addr, policy irm.Routing, edges []Edge) map[dt.Addr]Hops {
	if !s.build(source, edges) {
		return map[dt.Addr]Hops{}
	}
	s.search()
	s.sets(policy == irm.LFA)
	if policy == irm.ECMP {
		s.mtuOfAll()
	} else {
		s.mtuOfFirst()
	}
	return s.result(policy)
}

// build indexes the members and their links. False when source has none.
func (s *Solver) build(source dt.Addr, edges []Edge) bool {
	if s.index == nil {
		s.index = make(map[dt.Addr]int32)
	}
	clear(s.index)
	s.addrs = s.addrs[:0]
	for i := range edges {
		for _, a := range [2]dt.Addr{edges[i].A, edges[i].B} {
			if _, known := s.index[a]; !known {
				s.index[a] = 0
				s.addrs = append(s.addrs, a)
			}
		}
	}
	slices.Sort(s.addrs)
	for i, a := range s.addrs {
		s.index[a] = int32(i)
	}
	var found bool
	if s.source, found = s.index[source]; !found {
		return false
	}

	n := len(s.addrs)
	s.first = zeroed(s.first, n+1)
	for i := range edges {
		s.first[s.index[edges[i].A]+1]++
		s.first[s.index[edges[i].B]+1]++
	}
	for v := range n {
		s.first[v+1] += s.first[v]
	}
	s.fill = append(s.fill[:0], s.first[:n]...)
	s.arcs = zeroed(s.arcs, 2*len(edges))
	s.neighbours = s.neighbours[:0]
	for i := range edges {
		e := &edges[i]
		a, b := s.index[e.A], s.index[e.B]
		mtu := e.MTU
		if mtu <= 0 {
			mtu = far
		}
		s.arcs[s.fill[a]] = arc{b, mtu}
		s.arcs[s.fill[b]] = arc{a, mtu}
		s.fill[a]++
		s.fill[b]++
		switch s.source {
		case a:
			s.neighbours = append(s.neighbours, neighbour{b, mtu, e.Born})
		case b:
			s.neighbours = append(s.neighbours, neighbour{a, mtu, e.Born})
		}
	}
	slices.SortFunc(s.neighbours, func(x, y neighbour) int {
		switch {
		case x.born > y.born:
			return -1
		case x.born < y.born:
			return 1
		}
		return int(x.vertex - y.vertex)
	})
	return true
}

// from gives the arcs of v.
func (s *Solver) from(v int32) []arc { return s.arcs[s.first[v]:s.first[v+1]] }

// search finds distances and first hops. Each layer is worked off by address,
// so that a vertex belongs to the lowest of those before it.
func (s *Solver) search() {
	n := len(s.addrs)
	s.dist, s.hop = sized(s.dist, n), sized(s.hop, n)
	for v := range s.dist {
		s.dist[v] = -1
	}
	s.dist[s.source] = 0
	for i, nb := range s.neighbours {
		s.hop[nb.vertex] = int32(i)
	}
	s.order = append(s.order[:0], s.source)
	for start, d := 0, int32(1); start < len(s.order); d++ {
		end := len(s.order)
		for _, u := range s.order[start:end] {
			for _, a := range s.from(u) {
				if s.dist[a.to] >= 0 {
					continue
				}
				s.dist[a.to] = d
				if u != s.source {
					s.hop[a.to] = s.hop[u]
				}
				s.order = append(s.order, a.to)
			}
		}
		slices.Sort(s.order[end:])
		start = end
	}
}

// set is the neighbours of v in all, which is near or safe.
func (s *Solver) set(all []uint64, v int32) []uint64 {
	return all[int(v)*s.words : (int(v)+1)*s.words]
}

func unite(into, more []uint64) {
	for i, w := range more {
		into[i] |= w
	}
}

// sets finds near, and safe if it is wanted.
func (s *Solver) sets(safe bool) {
	s.words = (len(s.neighbours) + 63) / 64
	s.near = zeroed(s.near, len(s.addrs)*s.words)
	for i, nb := range s.neighbours {
		s.set(s.near, nb.vertex)[i/64] |= 1 << (i % 64)
	}
	for _, v := range s.order[1:] {
		into := s.set(s.near, v)
		for _, a := range s.from(v) {
			if s.dist[a.to] == s.dist[v]-1 {
				unite(into, s.set(s.near, a.to))
			}
		}
	}
	if !safe {
		return
	}
	s.safe = zeroed(s.safe, len(s.addrs)*s.words)
	for _, v := range s.order[1:] {
		into := s.set(s.safe, v)
		unite(into, s.set(s.near, v))
		for _, a := range s.from(v) {
			switch s.dist[v] - s.dist[a.to] {
			case 0:
				unite(into, s.set(s.near, a.to))
			case 1:
				unite(into, s.set(s.safe, a.to))
			}
		}
	}
}

// mtuOfAll finds the MTU over all shortest ways.
func (s *Solver) mtuOfAll() {
	s.mtu = sized(s.mtu, len(s.addrs))
	s.mtu[s.source] = far
	for _, v := range s.order[1:] {
		m := far
		for _, a := range s.from(v) {
			if s.dist[a.to] == s.dist[v]-1 {
				m = min(m, a.mtu, s.mtu[a.to])
			}
		}
		s.mtu[v] = m
	}
}

// mtuOfFirst finds the MTU over the shortest ways that begin with the first hop.
// Which of them a packet takes is the choice of the members on the way.
func (s *Solver) mtuOfFirst() {
	s.mtu = sized(s.mtu, len(s.addrs))
	s.way = sized(s.way, len(s.addrs))
	for i, nb := range s.neighbours {
		word, bit := i/64, uint64(1)<<(i%64)
		for _, v := range s.order[1:] {
			if s.near[int(v)*s.words+word]&bit == 0 {
				continue
			}
			m := far
			if v == nb.vertex {
				m = nb.mtu
			} else {
				for _, a := range s.from(v) {
					if s.dist[a.to] == s.dist[v]-1 && s.near[int(a.to)*s.words+word]&bit != 0 {
						m = min(m, a.mtu, s.way[a.to])
					}
				}
			}
			s.way[v] = m
			if s.hop[v] == int32(i) {
				s.mtu[v] = m
			}
		}
	}
}

// result puts the table together.
func (s *Solver) result(policy irm.Routing) map[dt.Addr]Hops {
	to := make(map[dt.Addr]Hops, len(s.order)-1)
	lists := make(map[string][]dt.Addr, len(s.neighbours))
	for _, v := range s.order[1:] {
		m := s.mtu[v]
		if m == far {
			m = 0
		}
		to[s.addrs[v]] = Hops{Next: s.list(policy, v, lists), MTU: m}
	}
	return to
}

// list gives the neighbours towards v. Those that are the same for several
// members are made once.
func (s *Solver) list(policy irm.Routing, v int32, lists map[string][]dt.Addr) []dt.Addr {
	first := -1 // the neighbour that leads, if one does
	var set []uint64
	s.key = s.key[:0]
	switch policy {
	case irm.ECMP:
		set = s.set(s.near, v)
	case irm.LFA:
		first = int(s.hop[v])
		set = s.set(s.safe, v)
	default:
		first = int(s.hop[v])
	}
	s.key = binary.NativeEndian.AppendUint32(s.key, uint32(first))
	for _, w := range set {
		s.key = binary.NativeEndian.AppendUint64(s.key, w)
	}
	if l, made := lists[string(s.key)]; made {
		return l
	}
	n := 1
	for _, w := range set {
		n += bits.OnesCount64(w)
	}
	l := make([]dt.Addr, 0, n)
	if first >= 0 {
		l = append(l, s.addrs[s.neighbours[first].vertex])
	}
	for i, w := range set {
		for ; w != 0; w &= w - 1 {
			if k := i*64 + bits.TrailingZeros64(w); k != first {
				l = append(l, s.addrs[s.neighbours[k].vertex])
			}
		}
	}
	l = slices.Clip(l)
	lists[string(s.key)] = l
	return l
}

// sized gives n elements in the memory of old, their contents undefined.
func sized[T any](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n, n+n/4)
	}
	return old[:n]
}

// zeroed gives n zero elements in the memory of old.
func zeroed[T any](old []T, n int) []T {
	s := sized(old, n)
	clear(s)
	return s
}
