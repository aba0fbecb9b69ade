package simnet

import (
	"sync"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
)

// Segment is a link. Its methods may be called from any goroutine, at any
// time.
type Segment struct {
	net  *Net
	name string

	mu       sync.Mutex // of all its stations and ways, too; nothing is called with it held
	cfg      Link
	cut      bool
	silent   bool
	stations []*station
	joined   int   // stations ever attached
	gone     Stats // of stations that left
	tap      func(frame []byte)
}

// Stats count frames.
type Stats struct {
	Sent       uint64 // taken from stations
	Bytes      uint64 // of those, headers included
	Delivered  uint64 // copies given to stations
	Lost       uint64 // by chance, by Silence, by Cut, and to stations that are gone
	Overflowed uint64 // by a full queue with DropTail
	Duplicated uint64
	Reordered  uint64
	Full       uint64 // times that a sender had to wait
}

func (s *Stats) add(o Stats) {
	s.Sent += o.Sent
	s.Bytes += o.Bytes
	s.Delivered += o.Delivered
	s.Lost += o.Lost
	s.Overflowed += o.Overflowed
	s.Duplicated += o.Duplicated
	s.Reordered += o.Reordered
	s.Full += o.Full
}

// Name is the name of the device.
func (g *Segment) Name() string { return g.name }

// Set changes what the link does from now on. What is on the way keeps its
// times.
func (g *Segment) Set(c Link) {
	g.mu.Lock()
	g.cfg = c
	for _, s := range g.stations {
		s.own = nil
	}
	all := append([]*station(nil), g.stations...)
	g.mu.Unlock()
	for _, s := range all {
		s.layer.SetMTU(c.payload())
		s.layer.Writable()
	}
}

// SetFrom changes only what happens to the frames that one station sends,
// counted from 0 in the order of their bootstrap. The MTU is that of the link.
func (g *Segment) SetFrom(station int, c Link) {
	g.mu.Lock()
	s := g.stations[station]
	s.own = &c
	g.mu.Unlock()
	s.layer.Writable()
}

// Link gives what the link does.
func (g *Segment) Link() Link {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cfg
}

// Cut takes the carrier away: what is on the way is lost, and the users of all
// flows have heard of it when Cut returns. Mend brings it back.
func (g *Segment) Cut()  { g.carrier(true) }
func (g *Segment) Mend() { g.carrier(false) }

func (g *Segment) carrier(cut bool) {
	g.mu.Lock()
	g.cut = cut
	if cut {
		g.sweep()
	}
	all := append([]*station(nil), g.stations...)
	g.mu.Unlock()
	for _, s := range all {
		s.follow()
	}
}

// Silence loses all frames from now on, and nobody is told; false ends that.
// What is on the way arrives.
func (g *Segment) Silence(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent = on
}

// IsCut reports whether the carrier is away.
func (g *Segment) IsCut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cut
}

// Stats sums up all stations since the link was made.
func (g *Segment) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := g.gone
	for _, s := range g.stations {
		sum.add(s.stats)
	}
	return sum
}

// StatsFrom is what became of the frames of one station.
func (g *Segment) StatsFrom(station int) Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stations[station].stats
}

// Queued is how many packets of a station wait at this moment.
func (g *Segment) Queued(station int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stations[station].waiting(g.net.now())
}

// Stations is how many IPCPs are on the link.
func (g *Segment) Stations() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.stations)
}

// Tap has f called with each frame that a station sends, from the MACs on. It
// must be quick, keep nothing of the frame and call nothing of the Net. nil
// ends that.
func (g *Segment) Tap(f func(frame []byte)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tap = f
}

// sweep loses all that waits and flies. The lock is held.
func (g *Segment) sweep() {
	for _, s := range g.stations {
		s.clear = 0
		s.finish.reset()
		for _, w := range s.ways {
			s.stats.Lost += uint64(w.drop())
		}
	}
}

// attach adds a station.
func (g *Segment) attach(s *station) {
	g.mu.Lock()
	s.index = g.joined
	g.joined++
	g.stations = append(g.stations, s)
	g.mu.Unlock()
}

// detach takes a station out. What it has sent still arrives.
func (g *Segment) detach(s *station) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, o := range g.stations {
		if o == s {
			g.stations = append(g.stations[:i:i], g.stations[i+1:]...)
			g.gone.add(s.stats)
			break
		}
	}
	for _, o := range g.stations {
		for i, w := range o.ways {
			if w.to == s {
				o.stats.Lost += uint64(w.drop())
				o.ways = append(o.ways[:i:i], o.ways[i+1:]...)
				break
			}
		}
	}
	s.room.stop()
}

// find gives the station of an address; nil when there is none. The lock is
// held.
func (g *Segment) find(to wire.MAC) *station {
	for _, s := range g.stations {
		if s.mac == to {
			return s
		}
	}
	return nil
}

// carry puts a frame on the ways that it takes, at the time when its last bit
// has left. The lock is held.
func (g *Segment) carry(s *station, b *packet.Buffer, at int64) {
	c := s.cfg()
	to := wire.Destination(b.Bytes())
	if to != wire.Broadcast {
		if other := g.find(to); other != nil && other != s {
			s.way(other).put(c, b, at)
			return
		}
		s.stats.Lost++
		b.Release()
		return
	}
	for _, other := range g.stations {
		if other != s {
			s.way(other).put(c, b.Clone(), at)
		}
	}
	b.Release()
}
