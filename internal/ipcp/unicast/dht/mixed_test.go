package dht

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

func TestAJoinerAtACrudeFirstMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		first := b.addCrude(nil)
		joiner := b.add(first.member)
		time.Sleep(time.Second)
		if !joiner.knows(first.addr) || !first.knows(joiner.addr) {
			t.Error("they do not know each other")
		}
		first.reg("theirs")
		joiner.reg("ours")
		time.Sleep(time.Second)
		joiner.finds("theirs", first.member)
		if a, ok := first.query("ours", crudePatience); !ok || a != joiner.addr {
			t.Errorf("found at %v, %v", a, ok)
		}
	})
}

func TestACrudeJoinerIsAnsweredTwiceAndNeverWithoutContacts(t *testing.T) {
	for _, n := range []int{1, 12} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			defer b.close()
			all := b.grow(n)
			joiner := b.addCrude(all[0])
			time.Sleep(time.Second)
			joiner.mu.Lock()
			defer joiner.mu.Unlock()
			if len(joiner.answers) != 2 {
				t.Fatalf("%d answers to two requests", len(joiner.answers))
			}
			for _, a := range joiner.answers {
				if len(a.Contacts) != min(max(n-1, 1), 8) {
					t.Errorf("%d contacts of %d members", len(a.Contacts), n)
				}
			}
		})
	}
}

// holds reports whether a value for a name is at m.
func (m *member) holds(name string) (yes bool) {
	k := key(m.bed.hash(name))
	m.inside(func(d *Directory) { yes = d.names[k] != nil || d.values.keys[k] != nil })
	return yes
}

// mixed gives a layer in which every second member is crude, and how to query
// at each.
func mixed(b *bed, n int) (ours []*member, crudes []*crude) {
	for range n / 2 {
		var peer *member
		if len(ours) > 0 {
			peer = ours[b.pick(len(ours))]
		}
		ours = append(ours, b.add(peer))
		time.Sleep(200 * time.Millisecond)
		peer = ours[b.pick(len(ours))]
		if len(crudes) > 0 && b.pick(2) == 0 {
			peer = crudes[b.pick(len(crudes))].member
		}
		crudes = append(crudes, b.addCrude(peer))
		time.Sleep(200 * time.Millisecond)
	}
	time.Sleep(5 * time.Second)
	return ours, crudes
}

func TestEveryNameIsFoundInAMixedLayer(t *testing.T) {
	for _, size := range []int{4, 12, 16} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			b.delay = 5 * time.Millisecond
			defer b.close()
			ours, crudes := mixed(b, size)
			at := make(map[string]wire.Addr)
			for i, n := range names(100, "mixed") {
				if i%2 == 0 {
					m := ours[i/2%len(ours)]
					m.reg(n)
					at[n] = m.addr
				} else {
					c := crudes[i/2%len(crudes)]
					c.reg(n)
					at[n] = c.addr
				}
			}
			time.Sleep(2 * time.Second)
			skipped := 0
			for n, a := range at {
				for _, m := range ours {
					if l, err := m.query(n); a != m.addr && (err != nil || len(l) != 1 || l[0] != a) {
						t.Errorf("one of ours finds %q at %v: %v, want %v", n, l, err, a)
					}
				}
				held := slices.ContainsFunc(ours, func(m *member) bool { return m.holds(n) })
				for _, c := range crudes {
					// What a crude member has stored at crude members alone, and asks only
					// crude members for, is not in our hands.
					if !held && !slices.ContainsFunc(ours, func(m *member) bool { return c.asks(m.addr) }) {
						skipped++
						continue
					}
					if found, ok := c.query(n, crudePatience); c.addr != a && (!ok || found != a) {
						t.Errorf("a crude member finds %q at %v, want %v", n, found, a)
					}
				}
			}
			t.Logf("%d questions among crude members alone", skipped)
			for _, m := range ours {
				m.sound()
			}
		})
	}
}

func TestHelpGoesOneStepAndNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 5 * time.Millisecond
		defer b.close()
		ours := b.grow(40)
		c := b.addCrude(ours[0])
		time.Sleep(time.Second)
		requests := make(map[wire.Addr]int)
		b.set(func() {
			b.spy = func(from, _ wire.Addr, m *codec.Message) {
				if m.Code == codec.FindValueReq {
					requests[from]++
				}
			}
		})
		before := uint64(0)
		for _, m := range ours {
			before += m.counts().helped
		}
		if a, ok := c.query("nothing", 2*time.Second); ok {
			t.Errorf("found at %v", a)
		}
		time.Sleep(3 * time.Second)
		helped := uint64(0)
		for _, m := range ours {
			helped += m.counts().helped
		}
		b.set(func() { b.spy = nil })
		if helped-before != crudeAlpha || len(requests) != crudeAlpha+1 {
			t.Errorf("%d helped, %d members asked", helped-before, len(requests))
		}
		for a, n := range requests {
			if n > small+defaultK {
				t.Errorf("%v sent %d requests", a, n)
			}
		}
	})
}

func TestAFloodOfQuestionsCausesFewLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		ours := b.grow(10)
		c := b.addCrude(ours[0])
		time.Sleep(time.Second)
		before := ours[0].counts()
		for i := range 1000 { // within a second, half of them for one key
			name := "one"
			if i%2 == 0 {
				name = names(i+1, "many")[i]
			}
			c.tell(ours[0].addr, codec.Message{Code: codec.FindValueReq, Cookie: uint64(i + 1), Key: b.hash(name)})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		after := ours[0].counts()
		if n := after.lookups - before.lookups; n > uint64(helps.burst+2*helps.perSecond)+10 {
			t.Errorf("%d lookups", n)
		}
		if after.answers-before.answers < 990 {
			t.Errorf("%d answers", after.answers-before.answers)
		}
		ours[0].sound()
	})
}

func TestHelpFindsWhatWasNeverStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 5 * time.Millisecond
		b.replicate, b.expire = time.Hour, 24*time.Hour
		defer b.close()
		ours := b.grow(6)
		c := b.addCrude(ours[0])
		time.Sleep(time.Second)
		owner := ours[5]
		k := key(b.hash("rare"))
		owner.inside(func(d *Directory) { // no STORE leaves
			n := &name{key: k}
			d.names[k] = n
			d.alarmName(n, time.Hour)
		})
		if a, ok := c.query("rare", crudePatience); !ok || a != owner.addr {
			t.Errorf("found at %v, %v", a, ok)
		}
		time.Sleep(time.Second)
		began := time.Now()
		for range 3 { // what is not there is said as soon as it is known
			if _, ok := c.query("rarer", 2*time.Second); ok {
				t.Error("found")
			}
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("three questions took %v", took)
		}
	})
}

func TestTheMarkOfACookie(t *testing.T) {
	k, other := randomKey(32), randomKey(32)
	seen, wrong := make(map[uint64]bool), 0
	for range 10000 {
		c := newCookie(k)
		if c == 0 || seen[c] || !marked(c, k) {
			t.Fatalf("cookie %#x", c)
		}
		seen[c] = true
		if marked(c, other) {
			wrong++
		}
		if marked(c+1, k) || marked(c^1<<40, k) && marked(c^1<<41, k) {
			t.Errorf("what is like cookie %#x is marked", c)
		}
	}
	if wrong > 10 {
		t.Errorf("%d of %d are marked for another key", wrong, len(seen))
	}
}
