package udp

import (
	"net/netip"
	"sync/atomic"
	"time"

	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
)

// When a peer gets a keep-alive: after so long a silence of ours, looked for
// so often.
const (
	silence = 20 * time.Second
	look    = 5 * time.Second
)

// keepAlive keeps the translations of addresses on the way to the peers alive.
// What it sends no receiver hands on, so it never hides that an application
// has gone.
type keepAlive struct {
	peers map[netip.AddrPort]quiet // those that a flow goes to
	sent  atomic.Uint64
}

// quiet is how much was sent to a peer when that changed last.
type quiet struct {
	sent  uint64
	since time.Time
}

// start looks from now on, until the IPCP ends.
func (k *keepAlive) start(l *layer) {
	k.peers = make(map[netip.AddrPort]quiet)
	k.again(l)
}

func (k *keepAlive) again(l *layer) {
	l.i.env.AfterFunc(look, func() {
		k.look(l, time.Now())
		k.again(l)
	})
}

// look sends to the peers that got nothing.
func (k *keepAlive) look(l *layer, now time.Time) {
	sent := make(map[netip.AddrPort]uint64)
	l.Each(func(e *shim.Endpoint[netip.AddrPort]) { sent[e.Peer()] += e.Sent() + 1 })
	for p := range k.peers {
		if _, ok := sent[p]; !ok {
			delete(k.peers, p)
		}
	}
	for p, n := range sent {
		q, ok := k.peers[p]
		switch {
		case !ok || q.sent != n:
			q = quiet{n, now}
		case now.Sub(q.since) >= silence:
			if l.datagram(p, packet.From([]byte{0xff})) == nil {
				k.sent.Add(1)
			}
			q.since = now
		}
		k.peers[p] = q
	}
}
