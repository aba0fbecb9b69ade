package dht

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"time"
)

// shownMost is the most contacts, names and values that Show lists one by one.
const shownMost = 1000

// counters are what has happened since the start.
type counters struct {
	received  uint64 // messages
	malformed uint64 // messages that could not be read
	leftOut   uint64 // contacts and values in messages that could not be
	spoofed   uint64 // messages from another than they say
	unasked   uint64 // answers that nothing waits for
	sent      uint64 // messages
	congested uint64 // not sent: no room at the first hop

	requests     uint64 // sent
	responses    uint64 // to them
	late         uint64 // of those, after their time
	timeouts     uint64 // requests given up
	requestsFull uint64 // not sent: too many wait

	asked    uint64 // requests of others
	answers  uint64 // to them
	unserved uint64 // requests that may not be answered now
	helped   uint64 // requests for which a lookup was made
	unhelped uint64 // requests for which it was not: a limit

	queries     uint64
	local       uint64 // answered at once
	negative    uint64 // lookups for values without any
	lookups     uint64
	lookupsFull uint64 // not begun: too many
	rounds      int    // most of any lookup

	appeared  uint64 // contacts that came or came back
	dropped   uint64 // contacts that did not answer
	replaced  uint64 // contacts that another took the place of
	newIDs    uint64 // contacts that answered with another id than before
	peersFull uint64 // addresses not noted: no room
	paced     uint64 // pings not sent: a limit

	published  uint64 // registrations, own and others'
	pushed     uint64 // STOREs sent
	outboxFull uint64 // STOREs not sent: too many wait
	stores     uint64 // STOREs received
	refused    uint64 // of those, no address, of this member, or no room
	expired    uint64 // of those, too old
	cut        uint64 // of those, with a life that is too long
	evicted    uint64 // values that others took the place of
}

func (c *counters) show() map[string]any {
	return map[string]any{
		"received": c.received, "malformed": c.malformed, "left_out": c.leftOut, "spoofed": c.spoofed, "unasked": c.unasked,
		"sent": c.sent, "congested": c.congested,
		"requests": c.requests, "responses": c.responses, "late": c.late, "timeouts": c.timeouts, "requests_full": c.requestsFull,
		"asked": c.asked, "answers": c.answers, "unserved": c.unserved, "helped": c.helped, "unhelped": c.unhelped,
		"queries": c.queries, "local": c.local, "negative": c.negative,
		"lookups": c.lookups, "lookups_full": c.lookupsFull, "rounds_max": c.rounds,
		"appeared": c.appeared, "dropped": c.dropped, "replaced": c.replaced, "new_ids": c.newIDs,
		"peers_full": c.peersFull, "paced": c.paced,
		"published": c.published, "pushed": c.pushed, "outbox_full": c.outboxFull,
		"stores": c.stores, "refused": c.refused, "expired": c.expired, "cut": c.cut, "evicted": c.evicted,
	}
}

// Show describes the directory as JSON-ready values.
func (d *Directory) Show() map[string]any {
	shown := map[string]any{}
	if err := d.call(context.Background(), func() { shown = d.show() }); err != nil {
		return map[string]any{"error": err.Error()}
	}
	return shown
}

func (d *Directory) show() map[string]any {
	count := d.count.show()
	count["queue_full"] = d.full.Load()
	return map[string]any{
		"id": hex.EncodeToString([]byte(d.id)), "address": d.own.String(), "alpha": d.alpha, "k": d.k,
		"t_expire_s": d.expire.Seconds(), "t_refresh_s": d.refresh.Seconds(), "t_replicate_s": d.replicate.Seconds(),
		"rtt_ms": milliseconds(d.rtt), "members": len(d.members), "peers": len(d.peers),
		"contacts": d.showContacts(), "buckets": d.showBuckets(), "own": d.showNames(), "values": d.showValues(),
		"lookups": len(d.lookups), "requests": len(d.requests), "outbox": len(d.outbox.queue), "counters": count,
	}
}

func milliseconds(t time.Duration) float64 { return float64(t.Microseconds()) / 1000 }

func (d *Directory) showContacts() []map[string]any {
	l := []map[string]any{}
	for i := range d.table.buckets {
		for _, p := range d.table.buckets[i].contacts {
			if len(l) == shownMost {
				return l
			}
			l = append(l, map[string]any{
				"id": hex.EncodeToString([]byte(p.id)), "address": p.addr.String(), "confirmed": p.confirmed,
				"age_s": int64(d.now.Sub(p.heard) / time.Second), "rtt_ms": milliseconds(p.rtt),
				"failures": p.failures, "route": d.usable(p), "follows": p.ours,
			})
		}
	}
	return l
}

func (d *Directory) showBuckets() []map[string]any {
	l := []map[string]any{}
	for i := range d.table.buckets {
		if b := &d.table.buckets[i]; len(b.contacts)+len(b.spares) > 0 {
			l = append(l, map[string]any{"shared_bits": i, "contacts": len(b.contacts), "spares": len(b.spares)})
		}
	}
	return l
}

func (d *Directory) showNames() []map[string]any {
	l := []map[string]any{}
	for k, n := range d.names {
		if len(l) == shownMost {
			break
		}
		l = append(l, map[string]any{"hash": hex.EncodeToString([]byte(k)), "stored_again_s": int64(n.next.at.Sub(d.now) / time.Second)})
	}
	return sortedByHash(l)
}

func (d *Directory) showValues() []map[string]any {
	l := []map[string]any{}
	for k, values := range d.values.keys {
		if len(l) == shownMost {
			break
		}
		addrs, last := []string{}, int64(0)
		for _, v := range values {
			addrs = append(addrs, v.addr.String())
			last = max(last, int64(v.expiry)-d.now.Unix())
		}
		l = append(l, map[string]any{"hash": hex.EncodeToString([]byte(k)), "addresses": addrs, "expires_s": last})
	}
	return sortedByHash(l)
}

func sortedByHash(l []map[string]any) []map[string]any {
	slices.SortFunc(l, func(a, b map[string]any) int { return cmp.Compare(a["hash"].(string), b["hash"].(string)) })
	return l
}
