package shim

import (
	"sync"
	"time"
)

// Bounds of what is remembered of peers.
const (
	peersMost = 4096
	peersTime = 10 * time.Minute
)

// peers remembers which peers are of our own kind, because they answered a
// probe.
type peers[A comparable] struct {
	mu    sync.Mutex
	until map[A]time.Time
}

func (p *peers[A]) init() { p.until = make(map[A]time.Time) }

// learn notes that a peer understands probes, forget that it may not any more.
func (p *peers[A]) learn(a A) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.until[a]; !ok && len(p.until) >= peersMost {
		p.evict()
	}
	p.until[a] = time.Now().Add(peersTime)
}

func (p *peers[A]) forget(a A) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.until, a)
}

// evict makes room: of a few, those that have expired go, or else any one.
func (p *peers[A]) evict() {
	now, looked := time.Now(), 0
	var one A
	for a, until := range p.until {
		if now.After(until) {
			delete(p.until, a)
		}
		if one, looked = a, looked+1; looked == evictLook {
			break
		}
	}
	if len(p.until) >= peersMost {
		delete(p.until, one)
	}
}

// knows reports whether a peer understands probes.
func (p *peers[A]) knows(a A) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.until[a]
	return ok && time.Now().Before(until)
}

func (p *peers[A]) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.until)
}
