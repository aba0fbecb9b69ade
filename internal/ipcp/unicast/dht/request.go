package dht

import (
	"time"

	codec "ouroboros/internal/wire/dht"
)

// Times of requests.
const (
	minPatience   = 100 * time.Millisecond
	maxPatience   = time.Second
	firstPatience = 300 * time.Millisecond // before anything was measured
	requestLife   = 5 * time.Second        // how long a late answer is taken
	maxRequests   = 1 << 14
)

// request waits for an answer. Nobody but who is at its address has its cookie.
type request struct {
	cookie uint64
	code   codec.Code
	key    key
	to     *peer
	sent   time.Time
	late   bool // it was given up; an answer is still welcome

	lookup *lookup // nil: a ping
	entry  *entry
	alarm  *alarm
}

// patience is how long an answer of p is waited for.
func (d *Directory) patience(p *peer) time.Duration {
	wait := firstPatience
	switch {
	case p.rtt > 0:
		wait = 3 * p.rtt
	case d.rtt > 0:
		wait = 4 * d.rtt
	}
	wait = max(wait, minPatience) << min(p.failures, 4)
	return min(wait, maxPatience)
}

// ask sends a request to p, for the members close to k or for its values. It
// reports whether the request has left.
func (d *Directory) ask(p *peer, value bool, k key, l *lookup, e *entry) bool {
	if len(d.requests) >= maxRequests {
		d.count.requestsFull++
		return false
	}
	r := &request{code: codec.FindNodeReq, key: k, to: p, sent: d.now, lookup: l, entry: e}
	if value {
		r.code = codec.FindValueReq
	}
	for r.cookie == 0 || d.requests[r.cookie] != nil {
		r.cookie = newCookie(k)
	}
	p.asked = d.now
	if !d.send(p.addr, &codec.Message{Code: r.code, Cookie: r.cookie, Key: []byte(k)}) {
		return false
	}
	d.count.requests++
	p.pending++
	d.requests[r.cookie] = r
	r.alarm = d.agenda.after(d.now, d.patience(p), func() { d.timeout(r) })
	return true
}

// timeout gives a request up, and forgets it the second time.
func (d *Directory) timeout(r *request) {
	if r.late {
		delete(d.requests, r.cookie)
		return
	}
	r.late = true
	r.to.pending--
	d.count.timeouts++
	d.agenda.move(r.alarm, r.sent.Add(requestLife))
	d.unanswered(r.to, r.sent)
	if r.lookup != nil {
		d.missed(r.lookup, r.entry)
	}
}

// response takes an answer. It must hold key and cookie of a request, and come
// from the address that was asked.
func (d *Directory) response(m *codec.Message) {
	r := d.requests[m.Cookie]
	if r == nil || string(m.Key) != string(r.key) || m.Code != r.code+1 {
		d.count.unasked++
		return
	}
	if m.Src.Addr != r.to.addr {
		d.count.spoofed++
		d.warn("an answer came from another member than was asked", "asked", r.to.addr, "from", m.Src.Addr)
		return
	}
	delete(d.requests, r.cookie)
	d.agenda.cancel(r.alarm)
	d.count.responses++
	if r.late {
		d.count.late++
	} else {
		r.to.pending--
	}
	p := d.peer(r.to.addr) // another one, if it was forgotten meanwhile
	if p == nil {
		return
	}
	d.answered(p, key(m.Src.ID), d.now.Sub(r.sent))
	if r.lookup != nil {
		d.reached(r.lookup, r.entry, m)
	}
	for _, c := range m.Contacts {
		if d.table.fits(key(c.ID)) {
			d.claim(c.Addr, key(c.ID))
		}
	}
}
