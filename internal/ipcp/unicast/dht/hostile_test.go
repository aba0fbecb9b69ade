package dht

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/packet"
	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// liar is a member that sends what it likes and reads what it gets.
type liar struct {
	*member
	id   []byte
	hear func(m *codec.Message) // set inside of bed.set
}

func (b *bed) addLiar() *liar {
	l := &liar{member: b.place(), id: []byte(randomKey(b.hashLen))}
	l.Register(wire.EIDDirectory, func(batch []*packet.Buffer) {
		for _, p := range batch {
			p.TrimHead(wire.HeaderLen)
			var m codec.Message
			var hear func(m *codec.Message)
			b.set(func() { hear = l.hear })
			if m.Parse(bytes.Clone(p.Bytes()), b.hashLen) == nil && hear != nil {
				hear(&m)
			}
			p.Release()
		}
	})
	b.changed()
	return l
}

func (l *liar) self() codec.Contact { return codec.Contact{ID: l.id, Addr: l.addr} }

func (l *liar) store(to wire.Addr, k []byte, value []byte, exp uint32) {
	l.say(to, codec.Message{Code: codec.Store, Src: l.self(), Key: k, Value: value, Expiry: exp})
}

func TestWhatIsMalformedLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(2)
		victim := all[0]
		l := b.addLiar()
		time.Sleep(time.Second)
		before := victim.dir.Show()
		id, now := l.id, uint32(time.Now().Unix())
		k := b.hash("name")
		good := codec.Message{Code: codec.Store, Src: l.self(), Key: k, Value: codec.PutAddr(l.addr), Expiry: now + 60}
		for _, change := range []func(m *codec.Message){
			func(m *codec.Message) { m.Src.ID = id[1:] },
			func(m *codec.Message) { m.Src.Addr = 0 },
			func(m *codec.Message) { m.Src.Addr = 1 << 32 },
			func(m *codec.Message) { m.Src.Addr = victim.addr },
			func(m *codec.Message) { m.Key = nil },
			func(m *codec.Message) { m.Key = k[1:] },
			func(m *codec.Message) { m.Value = nil },
			func(m *codec.Message) { m.Value = m.Value[1:] },
			func(m *codec.Message) { m.Value = make([]byte, 8) },
			func(m *codec.Message) { m.Value = codec.PutAddr(victim.addr) },
			func(m *codec.Message) { m.Value = bytes.Repeat([]byte{1}, 4000) },
			func(m *codec.Message) { m.Expiry = now - 1 },
			func(m *codec.Message) { m.Expiry = 0 },
			func(m *codec.Message) { m.Code = 5 },
			func(m *codec.Message) { m.Code = codec.FindNodeReq },                    // cookie 0
			func(m *codec.Message) { m.Code, m.Cookie = codec.FindValueRsp, 7 },      // unknown cookie
			func(m *codec.Message) { m.Code, m.Cookie = codec.FindNodeRsp, 1<<64-1 }, // the same
		} {
			m := good
			change(&m)
			text := m.Append(nil)
			victim.inject(text)
			victim.inject(text[:len(text)-1])
			victim.inject(nil)
			victim.inject(append(bytes.Clone(text), bytes.Repeat([]byte{0x7a, 0}, 8192)...))
		}
		victim.dir.Receive([]*packet.Buffer{packet.Get(0), packet.Get(wire.HeaderLen - 1)})
		time.Sleep(time.Second)
		after := victim.dir.Show()
		for _, what := range []string{"contacts", "values", "own", "lookups", "requests"} {
			if what == "contacts" {
				if len(after[what].([]map[string]any)) != len(before[what].([]map[string]any)) {
					t.Errorf("%s: %v has become %v", what, before[what], after[what])
				}
			} else if fmt.Sprint(after[what]) != fmt.Sprint(before[what]) {
				t.Errorf("%s: %v has become %v", what, before[what], after[what])
			}
		}
		victim.sound()
	})
}

// inject lets bytes arrive at m.
func (m *member) inject(text []byte) {
	p := packet.From(text)
	wire.Header{Dst: m.addr, TTL: 9, EID: wire.EIDDirectory}.Put(p.Prepend(wire.HeaderLen))
	m.dir.Receive([]*packet.Buffer{p})
}

func TestAnAnswerToAnothersCookieIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 20 * time.Millisecond
		defer b.close()
		all := b.grow(3)
		l := b.addLiar()
		time.Sleep(time.Second)
		k := b.hash("name")
		// The liar sees every request, answers it before the one who was asked does,
		// as itself and as others, and guesses cookies.
		b.set(func() {
			b.spy = func(from, to wire.Addr, m *codec.Message) {
				if !m.Code.Request() || from != all[0].addr || to == l.addr {
					return
				}
				r := codec.Message{Code: m.Code + 1, Key: bytes.Clone(m.Key), Cookie: m.Cookie, Values: [][]byte{codec.PutAddr(l.addr)}}
				for _, src := range []codec.Contact{l.self(), {ID: l.id, Addr: 77}} {
					r.Src = src
					text := r.Append(nil)
					go all[0].inject(text)
				}
				r.Cookie++
				r.Src.Addr = to
				text := r.Append(nil)
				go all[0].inject(text)
			}
		})
		if addrs, err := all[0].query("name"); err == nil {
			t.Errorf("found at %v", addrs)
		}
		_ = k
		b.set(func() { b.spy = nil })
		if c := all[0].counts(); c.spoofed < 2 || c.unasked < 1 {
			t.Errorf("%+v", c)
		}
		if all[0].knows(l.addr) {
			t.Error("the liar is a contact though it has answered nothing that it was asked")
		}
	})
}

func TestALiarCannotTakeThePlaceOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(10)
		l := b.addLiar()
		time.Sleep(time.Second)
		victim := all[0]
		ids := make(map[wire.Addr]key)
		victim.inside(func(d *Directory) {
			d.table.all(func(p *peer) bool { ids[p.addr] = p.id; return true })
		})
		for range 200 {
			for _, o := range append(all[1:], victim) {
				l.say(victim.addr, codec.Message{
					Code: codec.FindNodeReq, Src: codec.Contact{ID: []byte(randomKey(32)), Addr: o.addr}, Cookie: 1, Key: l.id,
				})
			}
			for i := range 5 { // and members that do not exist
				l.say(victim.addr, codec.Message{
					Code: codec.FindNodeReq, Src: codec.Contact{ID: []byte(randomKey(32)), Addr: wire.Addr(i + 1)}, Cookie: 1, Key: l.id,
				})
			}
			time.Sleep(100 * time.Millisecond)
		}
		victim.inside(func(d *Directory) {
			n := 0
			d.table.all(func(p *peer) bool {
				n++
				if ids[p.addr] != p.id {
					t.Errorf("%v has another id", p.addr)
				}
				return true
			})
			if n != len(ids) || len(d.peers) > len(ids)+1 {
				t.Errorf("%d contacts of %d, %d peers", n, len(ids), len(d.peers))
			}
		})
	})
}

func TestARestartedMemberIsKnownByItsNewID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(5)
		all[1].dir.Close()
		all[1].dir = New(Config{Net: all[1], HashLen: 32, Peer: all[2].addr, Members: all[1].Members})
		all[1].dir.Start()
		time.Sleep(time.Minute)
		for _, m := range all {
			if m == all[1] {
				continue
			}
			m.inside(func(d *Directory) {
				if p := d.peers[all[1].addr]; p.id != all[1].dir.id || p.place != inBucket {
					t.Errorf("%v knows it as %x, %v", m.addr, p.id, p.place)
				}
			})
			m.sound()
		}
	})
}

func TestPoisonedContactsCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 5 * time.Millisecond
		defer b.close()
		all := b.grow(30)
		l := b.addLiar()
		// It answers everything, with contacts that are closest of all to the key: of
		// members that do not exist, and of those that do, with ids that they have not.
		answer := func(m *codec.Message) {
			if !m.Code.Request() {
				return
			}
			r := codec.Message{Code: m.Code + 1, Src: l.self(), Cookie: m.Cookie, Key: m.Key}
			for i := range 30 {
				id := bytes.Clone(m.Key)
				id[31] ^= byte(i + 1)
				a := wire.Addr(i + 1)
				if i%2 == 0 {
					a = all[i].addr
				}
				r.Contacts = append(r.Contacts, codec.Contact{ID: id, Addr: a})
			}
			go l.inParts(m.Src.Addr, r)
		}
		b.set(func() { l.hear = answer })
		time.Sleep(2 * time.Second)
		for _, m := range all {
			m.reg(m.addr.String())
		}
		time.Sleep(5 * time.Second)
		for i, m := range all {
			for j := 1; j < 8; j++ {
				began := time.Now()
				o := all[(i+j)%len(all)]
				m.finds(o.addr.String(), o)
				if took := time.Since(began); took > 500*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			}
			m.sound()
			m.inside(func(d *Directory) {
				if len(d.peers) > len(all) {
					t.Errorf("%d peers", len(d.peers))
				}
			})
		}
	})
}

// inParts sends an answer that is longer than a packet as several.
func (l *liar) inParts(to wire.Addr, m codec.Message) {
	for c := m.Contacts; len(c) > 0; c = c[min(len(c), 15):] {
		m.Contacts = c[:min(len(c), 15)]
		l.say(to, m)
	}
}

func TestGarbageFillsNothingButItsOwnShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(4)
		victim := all[0]
		for _, n := range names(300, "honest") {
			all[1].reg(n)
		}
		time.Sleep(5 * time.Second)
		l := b.addLiar()
		time.Sleep(time.Second)
		exp := uint32(time.Now().Unix() + 600)
		for i := range maxValues + 3000 { // with its own address
			l.store(victim.addr, binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i)), codec.PutAddr(l.addr), exp)
			if i%500 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		for i := range 3000 { // with addresses that nobody has
			l.store(victim.addr, binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i)), codec.PutAddr(wire.Addr(i+1)), exp)
			if i%500 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		victim.sound()
		for _, n := range names(300, "honest") {
			victim.finds(n, all[1])
		}
		// A new name still finds room.
		all[2].reg("late")
		time.Sleep(time.Second)
		victim.finds("late", all[2])
		// One key has a bound of its own, and the latest end of a life, too.
		k := b.hash("one")
		for i := range 100 {
			l.store(all[3].addr, k, codec.PutAddr(wire.Addr(i+1)), 1<<32-1)
		}
		time.Sleep(10 * time.Millisecond)
		all[3].inside(func(d *Directory) {
			l := d.values.keys[key(k)]
			latest := uint32(d.now.Add(d.expire + time.Second).Unix())
			if len(l) != maxPerKey || l[0].expiry > latest {
				t.Errorf("%d values of a key, until %d", len(l), l[0].expiry)
			}
		})
		all[2].reg("one") // a member that exists finds room among those that do not
		time.Sleep(time.Second)
		if addrs, err := all[3].query("one"); err != nil || addrs[0] != all[2].addr {
			t.Errorf("found at %v: %v", addrs, err)
		}
		time.Sleep(20 * time.Minute)
		victim.inside(func(d *Directory) {
			if d.values.n > 302 {
				t.Errorf("%d values are left", d.values.n)
			}
		})
		victim.sound()
	})
}

func TestAnswersToAClaimedAddressAreFewAndShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.k, b.hashLen = 20, 64
		defer b.close()
		all := b.grow(40)
		l := b.addLiar()
		target := b.addLiar() // it never answers
		time.Sleep(5 * time.Second)
		asked, bytes, most := 0, 0, 0
		b.set(func() {
			b.spy = func(from, to wire.Addr, m *codec.Message) {
				if to == target.addr && from == all[0].addr {
					asked++
					bytes += m.Size()
				}
				if to == l.addr && m.Code.Response() {
					most = max(most, m.Size())
				}
			}
		})
		sent := 0
		for i := range 2000 { // two seconds
			m := codec.Message{Code: codec.FindNodeReq, Src: codec.Contact{ID: target.id, Addr: target.addr}, Cookie: uint64(i + 1), Key: l.id}
			sent += m.Size()
			l.say(all[0].addr, m)
			m.Src = l.self()
			if i%100 == 0 {
				l.say(all[0].addr, m)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		b.set(func() { b.spy = nil })
		if asked > int(answersToClaims.burst+3*answersToClaims.perSecond)+10 || bytes > sent {
			t.Errorf("%d packets, %d bytes for %d", asked, bytes, sent)
		}
		if most > maxAnswer || most < 800 {
			t.Errorf("an answer of %d bytes", most)
		}
	})
}

func TestAFloodFillsTheQueueAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(3)
		block := make(chan struct{})
		go func() { _ = all[0].dir.call(t.Context(), func() { <-block }) }()
		synctest.Wait()
		m := codec.Message{Code: codec.FindNodeReq, Src: codec.Contact{ID: []byte(randomKey(32)), Addr: 5}, Cookie: 1, Key: b.hash("x")}
		for range queueLen + 500 {
			all[0].inject(m.Append(nil))
		}
		close(block)
		time.Sleep(time.Second)
		if n := all[0].dir.full.Load(); n != 500 {
			t.Errorf("%d packets were dropped", n)
		}
		all[1].reg("there")
		time.Sleep(time.Second)
		all[0].finds("there", all[1])
	})
}

func TestAddressesBeyondNumberAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		first := b.add(nil)
		l := b.addLiar()
		for range maxPeers + 1000 { // as many members that say nothing
			b.place()
		}
		first.dir.RoutesChanged()
		time.Sleep(time.Second)
		for a := first.addr + 0x10001; b.alive(a); a += 0x10001 {
			l.say(first.addr, codec.Message{Code: codec.FindNodeReq, Src: codec.Contact{ID: []byte(randomKey(32)), Addr: a}, Cookie: 9, Key: l.id})
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Second)
		first.sound()
		time.Sleep(time.Hour)
		first.inside(func(d *Directory) {
			if len(d.requests) > 200 || d.table.n != 0 {
				t.Errorf("%d requests, %d contacts", len(d.requests), d.table.n)
			}
		})
		first.sound()
	})
}

// FuzzReceive lets anything arrive at a directory that lives, and looks whether
// it still works.
func FuzzReceive(f *testing.F) {
	id := []byte(randomKey(32))
	for c := codec.Store; c <= 5; c++ {
		m := codec.Message{
			Code: c, Src: codec.Contact{ID: id, Addr: 0x01020002}, Key: id, Cookie: 5, Value: codec.PutAddr(9), Expiry: 1 << 31,
			Contacts: []codec.Contact{{ID: id, Addr: 3}}, Values: [][]byte{codec.PutAddr(8)},
		}
		f.Add(m.Append(nil), byte(c), uint64(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, how byte, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			defer b.close()
			all := b.grow(3)
			all[1].reg("there")
			time.Sleep(time.Second)
			go func() { _, _ = all[0].query("elsewhere") }()
			time.Sleep(500 * time.Microsecond)
			// What comes may be an answer that is waited for.
			var m codec.Message
			if m.Parse(text, 32) == nil && how&1 != 0 {
				m = codec.Message{
					Code: m.Code, Src: m.Src, Key: bytes.Clone(m.Key), Cookie: m.Cookie, Value: m.Value, Expiry: m.Expiry,
					Contacts: m.Contacts, Values: m.Values,
				}
				all[0].inside(func(d *Directory) {
					for _, r := range d.requests {
						m.Cookie, m.Key, m.Src.Addr = r.cookie, []byte(r.key), r.to.addr
						if how&2 != 0 {
							m.Code = r.code + 1
						}
						break
					}
				})
				text = m.Append(nil)
			}
			for range 1 + how>>6 {
				all[0].inject(text)
			}
			time.Sleep(5 * time.Second)
			all[0].sound()
			if _, err := all[0].query("there"); err != nil {
				t.Errorf("what was there is not found: %v", err)
			}
		})
	})
}
