package server

import (
	"sync"
	"time"

	"ouroboros/internal/errno"
)

// Limits bound what clients can take of the daemon. Zero means the default.
type Limits struct {
	Clients        int           // sessions: 4096
	ClientsPerUser int           // sessions of a user other than root and the daemon's: 512
	Pending        int           // unanswered requests of a session: 4096
	Hello          time.Duration // until a client has said who it is: 5 s
	Stall          time.Duration // that a client may not read while records wait for it: 10 s

	Calls        int // connections to the management socket: 256
	CallsPerUser int // of a user other than root and the daemon's: 32
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		v *int
		n int
	}{
		{&l.Clients, 4096}, {&l.ClientsPerUser, 512}, {&l.Pending, 4096},
		{&l.Calls, 256}, {&l.CallsPerUser, 32},
	} {
		if *d.v <= 0 {
			*d.v = d.n
		}
	}
	if l.Hello <= 0 {
		l.Hello = 5 * time.Second
	}
	if l.Stall <= 0 {
		l.Stall = 10 * time.Second
	}
	return l
}

// gate counts the connections of a socket. Others than root and the daemon's
// user cannot take the last sixteenth of the places.
type gate struct {
	total, perUser int

	mu    sync.Mutex
	all   int
	users map[uint32]int
}

func newGate(total, perUser int) gate {
	return gate{total: total, perUser: perUser, users: make(map[uint32]int)}
}

// enter counts a connection, or says which limit is reached.
func (g *gate) enter(p *peer) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	total := g.total
	if !p.owns() {
		total -= g.total / 16
		if g.users[p.uid] >= g.perUser {
			return errno.New(errno.NoBufs, "cannot use this node: user %d has %d connections to it already", p.uid, g.perUser).
				Next("end some of them")
		}
	}
	if g.all >= total {
		return errno.New(errno.NoBufs, "cannot use this node: it has %d clients already", g.all).
			Next("try again later")
	}
	g.all++
	g.users[p.uid]++
	return nil
}

func (g *gate) leave(p *peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.users[p.uid]--; g.users[p.uid] == 0 {
		delete(g.users, p.uid)
	}
}
