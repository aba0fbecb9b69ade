package dht

import (
	"math/rand/v2"
	"slices"

	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// Limits of answers.
const (
	maxAnswer     = 1200 // bytes: what the smallest of the usual layers below carries
	amplification = 10   // times the length of the question
	maxAnswered   = 8    // values: the C implementation has no room for more
	enoughHelpers = 3    // contacts: as many as a C member asks
)

// strangers are the answers to all addresses together that have never answered.
var strangers = rate{500, 1000}

// asker is who asked, and what an answer needs.
type asker struct {
	code   codec.Code
	cookie uint64
	addr   wire.Addr
	id     key
	length int // of the question
}

// question of another member. Nothing in it says that it comes from where it
// says, so what it may cause is limited.
func (d *Directory) asked(m *codec.Message, length int) {
	k := key(m.Key)
	a := asker{code: m.Code, cookie: m.Cookie, addr: m.Src.Addr, id: key(m.Src.ID), length: length}
	d.count.asked++
	d.claim(a.addr, a.id)
	if !d.mayAnswer(a) {
		d.count.unserved++
		return
	}
	follows := marked(m.Cookie, k)
	if p := d.peers[a.addr]; p != nil && follows {
		p.ours = true
	}
	if m.Code == codec.FindNodeReq {
		d.answer(k, a, nil)
		return
	}
	values, reachable := d.known(k, a.addr)
	if follows || reachable || !d.help(k, a, values) {
		d.answer(k, a, values)
	}
}

// mayAnswer counts an answer. Without a route none would arrive.
func (d *Directory) mayAnswer(a asker) bool {
	if !d.net.HasRoute(a.addr) {
		return false
	}
	p := d.peer(a.addr)
	switch {
	case p == nil:
		return d.strangers.take(d.now, strangers)
	case p.confirmed:
		return p.answers.take(d.now, answersToContacts)
	}
	return p.answers.take(d.now, answersToClaims) && d.strangers.take(d.now, strangers)
}

// known gives the values for a key that this member has, and whether one of
// them leads somewhere else than to who asks.
func (d *Directory) known(k key, asker wire.Addr) (values []wire.Addr, reachable bool) {
	values = d.values.addrs(k, d.now)
	if d.names[k] != nil {
		return append(values, d.own), true
	}
	return values, slices.ContainsFunc(values, func(a wire.Addr) bool { return a != asker && d.net.HasRoute(a) })
}

// answer sends the contacts close to a key, and the values if they were asked
// for.
func (d *Directory) answer(k key, a asker, values []wire.Addr) {
	m := codec.Message{Code: a.code + 1, Cookie: a.cookie, Key: []byte(k)}
	if a.code == codec.FindValueReq {
		for _, v := range d.offer(k, values, a.addr) {
			m.Values = append(m.Values, codec.PutAddr(v))
		}
	}
	for _, p := range d.named(k, a) {
		m.Contacts = append(m.Contacts, codec.Contact{ID: []byte(p.id), Addr: p.addr})
	}
	if len(m.Contacts) == 0 { // a C member that checks itself ends at an answer without
		m.Contacts = []codec.Contact{{ID: []byte(a.id), Addr: a.addr}}
	}
	m.Src = d.src
	for limit := min(maxAnswer, amplification*a.length); len(m.Contacts) > 1 && m.Size() > limit; {
		m.Contacts = m.Contacts[:len(m.Contacts)-1]
	}
	if d.send(a.addr, &m) {
		d.count.answers++
	}
}

// named gives the contacts that an answer names. A C member never follows them
// but enters them in its table, and what it asks later are three of that table:
// those had better be members that help.
func (d *Directory) named(k key, a asker) []*peer {
	good := func(p *peer) bool { return p.addr != a.addr && p.failures == 0 && d.usable(p) }
	if !marked(a.cookie, k) {
		if l := d.table.closest(k, d.k, func(p *peer) bool { return p.ours && good(p) }); len(l) >= enoughHelpers {
			return l
		}
	}
	return d.table.closest(k, d.k, good)
}

// offer gives the values of an answer in the order in which they are best
// tried: C members take the first, or the second when the first is their own.
func (d *Directory) offer(k key, values []wire.Addr, to wire.Addr) []wire.Addr {
	l := slices.Clone(values)
	rand.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
	rank := func(a wire.Addr) int {
		switch {
		case a == d.own:
			return 0
		case a == to:
			return 4
		}
		return d.rank(k, a)
	}
	slices.SortStableFunc(l, func(a, b wire.Addr) int { return rank(a) - rank(b) })
	if len(l) <= maxAnswered {
		return l
	}
	if at := slices.Index(l, d.own); at >= maxAnswered { // what is known best is never left out
		l[0], l[at] = l[at], l[0]
	}
	return l[:maxAnswered]
}
