package dht

import (
	"context"
	"crypto/sha3"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

func TestMain(m *testing.M) { leak.Main(m) }

// bed is a layer in memory: every member reaches every other of its part.
type bed struct {
	t     testing.TB
	delay time.Duration // of a packet, one way; a tenth more at random
	loss  float64

	hashLen                    int
	k, alpha                   int
	expire, refresh, replicate time.Duration
	blind                      bool // the directories are not told who is there

	mu      sync.Mutex
	random  *rand.Rand
	members map[wire.Addr]*member
	next    wire.Addr
	packets map[codec.Code]int // sent
	spy     func(from, to wire.Addr, m *codec.Message)
}

// member is where a directory, or something that is like one, stands.
type member struct {
	bed     *bed
	addr    wire.Addr
	part    int
	deaf    bool // nothing arrives any more, and the routing does not know it
	mute    bool // nothing that it sends arrives
	receive func(batch []*packet.Buffer)
	dir     *Directory // nil: it is of another make
}

func newBed(t testing.TB) *bed {
	return &bed{
		t: t, delay: time.Millisecond, hashLen: 32, random: rand.New(rand.NewPCG(1, 2)),
		members: make(map[wire.Addr]*member), packets: make(map[codec.Code]int), next: 0x01000000,
	}
}

// place makes room for a member.
func (b *bed) place() *member {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next += 0x10001
	m := &member{bed: b, addr: b.next}
	b.members[m.addr] = m
	return m
}

// add brings a directory that was enrolled by peer, nil for the first.
func (b *bed) add(peer *member) *member {
	m := b.place()
	cfg := Config{
		Net: m, HashLen: b.hashLen, Alpha: b.alpha, K: b.k, Expire: b.expire, Refresh: b.refresh, Replicate: b.replicate,
		Members: m.Members,
	}
	if b.blind {
		cfg.Members = nil
	}
	if peer != nil {
		cfg.Peer = peer.addr
	}
	m.dir = New(cfg)
	m.dir.Start()
	b.changed()
	return m
}

// grow brings n members, each enrolled by one that is there.
func (b *bed) grow(n int) (all []*member) {
	for i := range n {
		var peer *member
		if i > 0 {
			peer = all[b.pick(i)]
		}
		all = append(all, b.add(peer))
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(3 * time.Second)
	return all
}

// pick gives a random number below n.
func (b *bed) pick(n int) (i int) {
	b.set(func() { i = b.random.IntN(n) })
	return i
}

// alive reports whether there is such a member.
func (b *bed) alive(a wire.Addr) (yes bool) {
	b.set(func() { yes = b.members[a] != nil })
	return yes
}

// changed tells all that routes have changed.
func (b *bed) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.members {
		if m.dir != nil {
			m.dir.RoutesChanged()
		}
	}
}

// remove takes a member out; the others have no route to it any more.
func (b *bed) remove(m *member) {
	b.mu.Lock()
	delete(b.members, m.addr)
	b.mu.Unlock()
	if m.dir != nil {
		m.dir.Close()
	}
	b.changed()
}

// split puts members into another part of the layer, 0 being that of all.
func (b *bed) split(part int, members ...*member) {
	b.mu.Lock()
	for _, m := range members {
		m.part = part
	}
	b.mu.Unlock()
	b.changed()
}

func (b *bed) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bed) close() {
	b.mu.Lock()
	all := make([]*member, 0, len(b.members))
	for _, m := range b.members {
		all = append(all, m)
	}
	b.mu.Unlock()
	for _, m := range all {
		if m.dir != nil {
			m.dir.Close()
		}
	}
}

func (m *member) Own() wire.Addr { return m.addr }

func (m *member) Register(eid uint64, receive func(batch []*packet.Buffer)) {
	if eid != wire.EIDDirectory {
		panic("another endpoint")
	}
	m.bed.set(func() { m.receive = receive })
}

func (m *member) HasRoute(dst wire.Addr) bool {
	m.bed.mu.Lock()
	defer m.bed.mu.Unlock()
	return m.reaches(dst)
}

func (m *member) reaches(dst wire.Addr) bool {
	o := m.bed.members[dst]
	return o != nil && o != m && o.part == m.part && m.bed.members[m.addr] == m
}

func (m *member) Members() (l []wire.Addr) {
	m.bed.mu.Lock()
	defer m.bed.mu.Unlock()
	for a := range m.bed.members {
		if m.reaches(a) {
			l = append(l, a)
		}
	}
	return l
}

func (m *member) Send(dst wire.Addr, cube uint8, eid uint64, batch []*packet.Buffer) int {
	b := m.bed
	b.mu.Lock()
	defer b.mu.Unlock()
	if cube != 0 || eid != wire.EIDDirectory {
		panic("another cube or endpoint")
	}
	for _, p := range batch {
		var c codec.Message
		if err := c.Parse(p.Bytes(), b.hashLen); err != nil && m.dir != nil {
			panic(err)
		}
		b.packets[c.Code]++
		if b.spy != nil {
			b.spy(m.addr, dst, &c)
		}
		if p.Len() > 1400 {
			panic("longer than the layers below carry")
		}
		if !m.reaches(dst) || m.mute || b.random.Float64() < b.loss {
			p.Release()
			continue
		}
		wire.Header{Dst: dst, TTL: 60, EID: eid}.Put(p.Prepend(wire.HeaderLen))
		to := b.members[dst]
		late := b.delay + time.Duration(b.random.Int64N(int64(b.delay/10)+1))
		time.AfterFunc(late, func() {
			b.mu.Lock()
			receive := to.receive
			if to.deaf || !m.reaches(dst) {
				receive = nil
			}
			b.mu.Unlock()
			if receive == nil {
				p.Release()
				return
			}
			receive([]*packet.Buffer{p})
		})
	}
	return len(batch)
}

// say sends a message as m, whoever it says it is from.
func (m *member) say(to wire.Addr, c codec.Message) {
	m.Send(to, 0, wire.EIDDirectory, []*packet.Buffer{packet.From(c.Append(nil))})
}

// sent gives and resets what was sent.
func (b *bed) sent() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.packets {
		n += k
	}
	clear(b.packets)
	return n
}

// stores is how many STOREs were sent.
func (b *bed) stores() (n int) {
	b.set(func() { n = b.packets[codec.Store] })
	return n
}

// hash gives the hash of a name.
func (b *bed) hash(name string) []byte {
	switch b.hashLen {
	case 28:
		h := sha3.Sum224([]byte(name))
		return h[:]
	case 32:
		h := sha3.Sum256([]byte(name))
		return h[:]
	case 48:
		h := sha3.Sum384([]byte(name))
		return h[:]
	}
	h := sha3.Sum512([]byte(name))
	return h[:]
}

func (m *member) reg(name string) {
	m.bed.t.Helper()
	if err := m.dir.Reg(context.Background(), m.bed.hash(name)); err != nil {
		m.bed.t.Fatal(err)
	}
}

func (m *member) unreg(name string) {
	m.bed.t.Helper()
	if err := m.dir.Unreg(context.Background(), m.bed.hash(name)); err != nil {
		m.bed.t.Fatal(err)
	}
}

func (m *member) query(name string) ([]wire.Addr, error) {
	return m.dir.Query(context.Background(), m.bed.hash(name))
}

// finds fails the test when m does not find just these members under a name.
func (m *member) finds(name string, want ...*member) {
	m.bed.t.Helper()
	l, err := m.query(name)
	if err != nil {
		m.bed.t.Errorf("%v does not find %q: %v", m.addr, name, err)
		return
	}
	var addrs []wire.Addr
	for _, w := range want {
		addrs = append(addrs, w.addr)
	}
	slices.Sort(addrs)
	if got := slices.Sorted(slices.Values(l)); !slices.Equal(got, addrs) {
		m.bed.t.Errorf("%v finds %q at %v, want %v", m.addr, name, got, addrs)
	}
}

// lacks fails the test when m finds a name, or is not sure.
func (m *member) lacks(name string) {
	m.bed.t.Helper()
	if l, err := m.query(name); !errors.Is(err, errno.NameError) {
		m.bed.t.Errorf("%v finds %q at %v: %v", m.addr, name, l, err)
	}
}

// inside runs f on the goroutine of the directory.
func (m *member) inside(f func(d *Directory)) {
	m.bed.t.Helper()
	if err := m.dir.call(context.Background(), func() { f(m.dir) }); err != nil {
		m.bed.t.Fatal(err)
	}
}

// knows reports whether m has a as contact.
func (m *member) knows(a wire.Addr) (yes bool) {
	m.inside(func(d *Directory) { p := d.peers[a]; yes = p != nil && p.place == inBucket && p.confirmed })
	return yes
}

// counts gives a copy of the counters.
func (m *member) counts() (c counters) {
	m.inside(func(d *Directory) { c = d.count })
	return c
}

// sound fails the test when the state of a directory contradicts itself.
func (m *member) sound() {
	m.bed.t.Helper()
	m.inside(func(d *Directory) {
		n, pending := 0, make(map[*peer]int)
		for i := range d.table.buckets {
			b := &d.table.buckets[i]
			n += len(b.contacts)
			if len(b.contacts) > max(d.k, wide) || len(b.spares) > d.k {
				m.bed.t.Errorf("bucket %d has %d contacts and %d spares", i, len(b.contacts), len(b.spares))
			}
			for _, p := range append(slices.Clone(b.contacts), b.spares...) {
				if d.peers[p.addr] != p || !p.confirmed || prefix(d.id, p.id) != i || p.addr == d.own {
					m.bed.t.Errorf("in bucket %d: %+v", i, p)
				}
			}
		}
		for _, r := range d.requests {
			if !r.late {
				pending[r.to]++
			}
		}
		for _, p := range d.peers {
			if p.pending != pending[p] {
				m.bed.t.Errorf("%v has %d requests pending of %d", p.addr, p.pending, pending[p])
			}
		}
		kept := 0
		for k, l := range d.values.keys {
			kept += len(l)
			for _, v := range l {
				if _, ok := d.values.owned[v.addr][k]; !ok || v.addr == d.own || v.alarm.index < 0 {
					m.bed.t.Errorf("value %+v", v)
				}
			}
			if len(l) > maxPerKey || len(l) == 0 {
				m.bed.t.Errorf("%d values of one key", len(l))
			}
		}
		helping := 0
		for _, l := range d.lookups {
			if len(l.helped) > 0 {
				helping++
			}
		}
		if n != d.table.n || kept != d.values.n || kept > maxValues || len(d.peers) > maxPeers || helping != d.helping {
			m.bed.t.Errorf("%d contacts of %d, %d values of %d, %d peers, %d helps of %d",
				n, d.table.n, kept, d.values.n, len(d.peers), helping, d.helping)
		}
	})
}

func names(n int, of string) (l []string) {
	for i := range n {
		l = append(l, fmt.Sprintf("%s-%d", of, i))
	}
	return l
}
