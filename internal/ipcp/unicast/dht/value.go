package dht

import (
	"math/rand/v2"
	"slices"
	"time"

	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// Bounds of values for others.
const (
	maxValues    = 1 << 14
	maxPerKey    = 32
	evictValues  = 16               // values looked at when one must go
	slack        = 30 * time.Second // that clocks and deliveries may differ
	spreadAfter  = 100 * time.Millisecond
	spreadWithin = 500 * time.Millisecond
)

// spreads is how many values of others may be passed on at once: one STORE
// becomes several.
var spreads = rate{100, 500}

// value is a registration at another member that is kept here.
type value struct {
	addr   wire.Addr
	expiry uint32    // seconds since 1970
	due    time.Time // when it is passed on, unless it is received meanwhile
	alarm  *alarm
}

// values are those of all keys.
type values struct {
	keys  map[key][]*value // never empty
	owned map[wire.Addr]map[key]struct{}
	n     int
}

func newValues() *values {
	return &values{keys: make(map[key][]*value), owned: make(map[wire.Addr]map[key]struct{})}
}

// addrs gives the values of a key that have not expired, in a new slice.
func (s *values) addrs(k key, now time.Time) (l []wire.Addr) {
	for _, v := range s.keys[k] {
		if int64(v.expiry) >= now.Unix() {
			l = append(l, v.addr)
		}
	}
	return l
}

// get gives the value for a key that names an address; nil when there is none.
func (s *values) get(k key, a wire.Addr) *value {
	for _, v := range s.keys[k] {
		if v.addr == a {
			return v
		}
	}
	return nil
}

func (s *values) add(k key, v *value) {
	s.keys[k] = append(s.keys[k], v)
	if s.owned[v.addr] == nil {
		s.owned[v.addr] = make(map[key]struct{})
	}
	s.owned[v.addr][k] = struct{}{}
	s.n++
}

func (s *values) remove(k key, v *value) {
	l := s.keys[k]
	i := slices.Index(l, v)
	if i < 0 {
		return
	}
	if s.keys[k] = slices.Delete(l, i, i+1); len(l) == 1 {
		delete(s.keys, k)
	}
	if delete(s.owned[v.addr], k); len(s.owned[v.addr]) == 0 {
		delete(s.owned, v.addr)
	}
	s.n--
}

// stored takes a value that a member gives to be kept.
func (d *Directory) stored(m *codec.Message) {
	d.count.stores++
	d.claim(m.Src.Addr, key(m.Src.ID))
	a, ok := codec.Addr(m.Value)
	if !ok || a == d.own { // this member knows itself what is registered here
		d.count.refused++
		return
	}
	now := d.now.Unix()
	if int64(m.Expiry) < now {
		d.count.expired++
		return
	}
	expiry := m.Expiry
	if latest := now + int64(d.expire/time.Second); int64(expiry) > latest+int64(slack/time.Second) {
		d.count.cut++
		expiry = uint32(latest)
	}
	k := key(m.Key)
	// A member that follows contacts stores where a value belongs; others do not.
	p := d.peers[m.Src.Addr]
	spread := p == nil || !p.ours
	v := d.values.get(k, a)
	if v == nil {
		if !d.makeRoom(k, a) {
			d.count.refused++
			return
		}
		v = &value{addr: a}
		d.values.add(k, v)
		v.alarm = d.agenda.after(d.now, 0, nil)
		v.alarm.do = func() { d.valueDue(k, v) }
	} else {
		spread = spread && time.Duration(int64(expiry)-int64(v.expiry))*time.Second > d.replicate
	}
	v.expiry = max(v.expiry, expiry)
	switch soon := d.now.Add(spreadWithin); {
	case spread && d.spreads.take(d.now, spreads):
		v.due = d.now.Add(spreadAfter + rand.N(spreadWithin-spreadAfter))
	case v.due.IsZero(), v.due.After(soon), p != nil && p.ours: // who gave it has given it to the others, too
		v.due = d.later()
	}
	d.schedule(v)
}

// later is when a value is passed on that is not received again: after whoever
// received it first had the time to.
func (d *Directory) later() time.Time { return d.now.Add(d.replicate + rand.N(d.replicate/4+1)) }

// schedule sets the alarm of a value to what comes first.
func (d *Directory) schedule(v *value) {
	ends := d.now.Add(time.Duration(int64(v.expiry)+1-d.now.Unix()) * time.Second)
	if v.due.Before(ends) {
		ends = v.due
	}
	d.agenda.move(v.alarm, ends)
}

// valueDue drops a value that has expired, or passes it on.
func (d *Directory) valueDue(k key, v *value) {
	if int64(v.expiry) < d.now.Unix() {
		d.dropValue(k, v)
		return
	}
	if !d.now.Before(v.due) {
		v.due = d.later()
		if d.net.HasRoute(v.addr) {
			d.publish(registration{k, v.addr})
		}
	}
	d.schedule(v)
}

func (d *Directory) dropValue(k key, v *value) {
	d.agenda.cancel(v.alarm)
	d.values.remove(k, v)
}

// makeRoom sees to room for a registration of a at k; false when it must not be
// kept. Whose values are many loses first: a member that floods pushes out what
// names the same address.
func (d *Directory) makeRoom(k key, a wire.Addr) bool {
	if l := d.values.keys[k]; len(l) >= maxPerKey {
		i := slices.IndexFunc(l, func(v *value) bool { return !d.net.HasRoute(v.addr) })
		if i < 0 || !d.net.HasRoute(a) {
			return false
		}
		d.count.evicted++
		d.dropValue(k, l[i])
	}
	if d.values.n < maxValues {
		return true
	}
	if !d.net.HasRoute(a) {
		return false
	}
	most, n := a, len(d.values.owned[a])
	for o, keys := range d.values.owned {
		if !d.net.HasRoute(o) {
			most = o
			break
		}
		if len(keys) > n {
			most, n = o, len(keys)
		}
	}
	if most == a {
		return false
	}
	var victim key
	looked := 0
	for o := range d.values.owned[most] {
		if victim == "" || closer(d.id, victim, o) {
			victim = o
		}
		if looked++; looked == evictValues {
			break
		}
	}
	d.count.evicted++
	d.dropValue(victim, d.values.get(victim, most))
	return true
}
