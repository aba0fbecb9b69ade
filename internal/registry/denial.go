package registry

import (
	"sync"
	"time"
)

// denials says in the log why requests from other nodes were denied: the other
// side is told no more than a number. Strangers decide how many there are, so
// only some are said, and the others counted.
type denials struct {
	mu     sync.Mutex
	room   int       // for lines, as of since
	since  time.Time // the zero time: nothing was denied yet
	missed int
}

// How many lines come at once, and how long it takes until there is room for
// another one.
const (
	denialBurst = 10
	denialPause = 2 * time.Second
)

// next reports whether a denial is to be said, and how many were not before it.
func (d *denials) next(now time.Time) (missed int, say bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since.IsZero() {
		d.room, d.since = denialBurst, now
	}
	if more := int(now.Sub(d.since) / denialPause); more > 0 {
		d.room, d.since = min(denialBurst, d.room+more), d.since.Add(time.Duration(more)*denialPause)
	}
	if d.room == 0 {
		d.missed++
		return 0, false
	}
	d.room--
	missed, d.missed = d.missed, 0
	return missed, true
}

// sayDenied logs that a request for a name was denied.
func (r *Registry) sayDenied(n *serviceName, e *ipcpEntry, err error) {
	missed, say := r.denials.next(time.Now())
	if !say {
		return
	}
	log := r.log.With("name", n.info.Name, "ipcp", e.name, "err", err)
	if missed > 0 {
		log = log.With("not said before", missed)
	}
	log.Warn("a flow was denied")
}
