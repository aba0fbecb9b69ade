package dht

import (
	"slices"
	"time"

	wire "ouroboros/internal/wire/dt"
)

// Bounds of help.
const (
	helpLife   = 1500 * time.Millisecond // the asker waits 2 s
	maxHelps   = 64                      // lookups at a time for others
	maxAskers  = 64                      // members that one of them is for
	helpedRest = time.Second             // before a key that was not found is looked for again
	maxRests   = 1024
)

// helps is how often a lookup for others begins.
var helps = rate{50, 100}

// help is a question of another member that is answered when a lookup has ended.
type help struct {
	asker asker
	alarm *alarm
}

// help looks for the values of a key for a member that does not follow
// contacts. False when it is to be answered now.
func (d *Directory) help(k key, a asker, values []wire.Addr) bool {
	if r := d.results[k]; r != nil && d.now.Before(r.until) && slices.ContainsFunc(r.addrs, d.net.HasRoute) {
		d.answer(k, a, merge(values, r.addrs))
		return true
	}
	l := d.lookups[what{k, true}]
	if l == nil {
		if until, ok := d.rests[k]; ok && d.now.Before(until) {
			return false
		}
		if d.helping >= maxHelps || !d.helps.take(d.now, helps) {
			d.count.unhelped++
			return false
		}
		if l = d.look(k, true); l == nil {
			return false
		}
	}
	if len(l.helped) == 0 {
		d.helping++
	}
	if slices.ContainsFunc(l.helped, func(h *help) bool { return h.asker.cookie == a.cookie && h.asker.addr == a.addr }) {
		return true
	}
	if len(l.helped) >= maxAskers {
		d.count.unhelped++
		return false
	}
	d.count.helped++
	h := &help{asker: a}
	h.alarm = d.agenda.after(d.now, helpLife, func() { d.answerHelped(l, h) })
	l.helped = append(l.helped, h)
	return true
}

// answerHelped answers with what has been found so far.
func (d *Directory) answerHelped(l *lookup, h *help) {
	l.helped = slices.DeleteFunc(l.helped, func(o *help) bool { return o == h })
	if len(l.helped) == 0 {
		d.helping--
	}
	values, _ := d.known(l.key, h.asker.addr)
	d.answer(l.key, h.asker, merge(values, l.found))
}

// helpEnds answers all whom a lookup was for.
func (d *Directory) helpEnds(l *lookup) {
	if len(l.helped) == 0 {
		return
	}
	if len(l.found) == 0 {
		if len(d.rests) >= maxRests {
			clear(d.rests)
		}
		d.rests[l.key] = d.now.Add(helpedRest)
	}
	for len(l.helped) > 0 {
		h := l.helped[0]
		d.agenda.cancel(h.alarm)
		d.answerHelped(l, h)
	}
}
