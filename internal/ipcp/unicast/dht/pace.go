package dht

import "time"

// rate is how many of something may happen in a second, and how many at once.
type rate struct{ perSecond, burst float64 }

// pace is what is left of a rate. The zero value has all of its burst.
type pace struct {
	used float64
	at   time.Time
}

// take uses one; false when there is none left.
func (p *pace) take(now time.Time, r rate) bool {
	if since := now.Sub(p.at); since > 0 {
		p.used = max(0, p.used-since.Seconds()*r.perSecond)
		p.at = now
	}
	if p.used+1 > r.burst {
		return false
	}
	p.used++
	return true
}
