package dht

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"ouroboros/internal/packet"
	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// crude is a member that does what the C implementation does: it asks and
// stores at the three contacts that it has not heard of for longest, does not
// follow the contacts of an answer, believes every message, and forgets nobody.
type crude struct {
	*member
	id []byte

	mu       sync.Mutex
	contacts []codec.Contact // least recently heard first
	own      map[key]bool
	foreign  map[key][]wire.Addr
	asked    map[uint64]chan []wire.Addr
	answers  []codec.Message // of others, that it had asked for
}

const (
	crudeAlpha    = 3
	crudeK        = 8
	crudePatience = 200 * time.Millisecond // of the daemon above it
)

func (b *bed) addCrude(peer *member) *crude {
	c := &crude{
		member: b.place(), id: []byte(randomKey(b.hashLen)),
		own: make(map[key]bool), foreign: make(map[key][]wire.Addr), asked: make(map[uint64]chan []wire.Addr),
	}
	c.Register(wire.EIDDirectory, c.take)
	b.changed()
	if peer != nil {
		var cookie [8]byte
		rand.Read(cookie[:])
		magic := binary.BigEndian.Uint64(cookie[:])
		c.asked[magic] = make(chan []wire.Addr, 16)
		for range 2 { // it does not wait for the first answer
			c.tell(peer.addr, codec.Message{Code: codec.FindNodeReq, Cookie: magic, Key: c.id})
		}
	}
	return c
}

func (c *crude) tell(to wire.Addr, m codec.Message) {
	m.Src = codec.Contact{ID: c.id, Addr: c.addr}
	c.say(to, m)
}

func (c *crude) heard(k codec.Contact) {
	if k.Addr == c.addr {
		return
	}
	c.contacts = slices.DeleteFunc(c.contacts, func(o codec.Contact) bool { return o.Addr == k.Addr })
	c.contacts = append(c.contacts, codec.Contact{ID: slices.Clone(k.ID), Addr: k.Addr})
}

func (c *crude) some(n int) []codec.Contact {
	return slices.Clone(c.contacts[:min(n, len(c.contacts))])
}

func (c *crude) take(batch []*packet.Buffer) {
	for _, b := range batch {
		b.TrimHead(wire.HeaderLen)
		var m codec.Message
		if m.Parse(b.Bytes(), c.bed.hashLen) == nil {
			c.handle(&m)
		}
		b.Release()
	}
}

func (c *crude) handle(m *codec.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Code.Response() && c.asked[m.Cookie] == nil {
		return
	}
	c.heard(m.Src)
	k := key(m.Key)
	switch m.Code {
	case codec.Store:
		if a, _ := codec.Addr(m.Value); int64(m.Expiry) >= time.Now().Unix() && !slices.Contains(c.foreign[k], a) {
			c.foreign[k] = append(c.foreign[k], a)
		}
	case codec.FindNodeReq, codec.FindValueReq:
		r := codec.Message{Code: m.Code + 1, Cookie: m.Cookie, Key: []byte(k), Contacts: c.some(crudeK)}
		if m.Code == codec.FindValueReq {
			for _, a := range c.local(k) {
				r.Values = append(r.Values, codec.PutAddr(a))
			}
		}
		go c.tell(m.Src.Addr, r)
	default:
		var found []wire.Addr
		for _, v := range m.Values {
			a, _ := codec.Addr(v)
			found = append(found, a)
		}
		for _, o := range m.Contacts {
			c.heard(o)
		}
		c.answers = append(c.answers, codec.Message{Code: m.Code, Contacts: slices.Clone(m.Contacts)})
		c.asked[m.Cookie] <- found
	}
}

func (c *crude) local(k key) []wire.Addr {
	l := slices.Clone(c.foreign[k])
	if c.own[k] {
		l = append(l, c.addr)
	}
	return l
}

func (c *crude) reg(name string) {
	k := key(c.bed.hash(name))
	c.mu.Lock()
	c.own[k] = true
	to := c.some(crudeAlpha)
	c.mu.Unlock()
	for _, o := range to {
		c.tell(o.Addr, codec.Message{Code: codec.Store, Key: []byte(k), Value: codec.PutAddr(c.addr),
			Expiry: uint32(time.Now().Unix() + 86400)})
	}
}

// query gives the first value that comes in time that is not the own address.
func (c *crude) query(name string, patience time.Duration) (wire.Addr, bool) {
	k := key(c.bed.hash(name))
	c.mu.Lock()
	if l := c.local(k); len(l) > 0 {
		c.mu.Unlock()
		return l[0], l[0] != c.addr
	}
	found := make(chan []wire.Addr, 16)
	var cookies []uint64
	to := c.some(crudeAlpha)
	for range to {
		var b [8]byte
		rand.Read(b[:])
		cookies = append(cookies, binary.BigEndian.Uint64(b[:]))
		c.asked[cookies[len(cookies)-1]] = found
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, cookie := range cookies {
			delete(c.asked, cookie)
		}
	}()
	for i, o := range to {
		c.tell(o.Addr, codec.Message{Code: codec.FindValueReq, Cookie: cookies[i], Key: []byte(k)})
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for range to {
		select {
		case l := <-found:
			for _, a := range l[:min(len(l), 2)] {
				if a != c.addr {
					return a, true
				}
			}
		case <-late.C:
			return 0, false
		}
	}
	return 0, false
}

// asks reports whether c would ask a.
func (c *crude) asks(a wire.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.some(crudeAlpha), func(o codec.Contact) bool { return o.Addr == a })
}

func (c *crude) knows(a wire.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.contacts, func(o codec.Contact) bool { return o.Addr == a })
}
