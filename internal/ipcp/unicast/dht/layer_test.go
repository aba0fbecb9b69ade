package dht

import (
	"math/bits"
	"testing"
	"testing/synctest"
	"time"

	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

func TestANameIsFoundFromEveryMember(t *testing.T) {
	for _, n := range []int{28, 32, 48, 64} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			b.hashLen = n
			defer b.close()
			all := b.grow(3)
			all[0].reg("there")
			all[1].lacks("elsewhere")
			time.Sleep(time.Second)
			all[1].finds("there", all[0])
			all[2].finds("there", all[0])
			all[0].lacks("there") // the own address is left out
			for _, m := range all {
				m.sound()
			}
		})
	}
}

func TestAHundredMembersFindWhatEachRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(100)
		for _, m := range all {
			for _, n := range names(3, m.addr.String()) {
				m.reg(n)
			}
		}
		time.Sleep(5 * time.Second)
		b.sent()
		queries, hits := 0, uint64(0)
		each, stride := 3, 1
		if raceEnabled || testing.Short() {
			each, stride = 1, 4
		}
		var slowest time.Duration
		for _, m := range all {
			for i, o := range all {
				if o == m || i%stride != 0 {
					continue
				}
				for _, n := range names(each, o.addr.String()) {
					queries++
					began := time.Now()
					m.finds(n, o)
					slowest = max(slowest, time.Since(began))
				}
			}
		}
		limit := bits.Len(uint(len(all)-1)) + 1
		most := 0
		for _, m := range all {
			m.sound()
			c := m.counts()
			most = max(most, c.rounds)
			hits += c.local
		}
		t.Logf("%d queries, %d local, %.1f packets for each of the others, rounds at most %d, slowest %v",
			queries, hits, float64(b.sent())/float64(queries-int(hits)), most, slowest)
		if most > limit || slowest > 50*time.Millisecond {
			t.Errorf("a lookup took %d rounds (limit %d), one %v", most, limit, slowest)
		}
	})
}

func TestWhatIsNotThereIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 10 * time.Millisecond
		defer b.close()
		first := b.add(nil)
		began := time.Now()
		first.lacks("nothing")
		if took := time.Since(began); took > 0 {
			t.Errorf("alone it took %v", took)
		}
		all := append(b.grow(30), first)
		for _, m := range all {
			began := time.Now()
			m.lacks("nothing")
			if took := time.Since(began); took > 200*time.Millisecond {
				t.Errorf("it took %v", took)
			}
		}
	})
}

func TestANameRegisteredAloneIsPushedToWhoComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		first := b.add(nil)
		first.reg("early")
		time.Sleep(time.Minute)
		second := b.add(first)
		c := b.addCrude(second.member())
		time.Sleep(time.Second)
		b.set(func() {
			b.spy = func(_, _ wire.Addr, m *codec.Message) {
				if m.Code == codec.FindValueReq {
					t.Error("somebody has to ask")
				}
			}
		})
		second.finds("early", first)
		if a, ok := c.query("early", crudePatience); !ok || a != first.addr {
			t.Errorf("found at %v, %v", a, ok)
		}
	})
}

func (m *member) member() *member { return m }

func TestAJoinerHasItsEnrollerSoonAndAllOfASmallLayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(25)
		for _, m := range all {
			for _, o := range all {
				if m != o && !m.knows(o.addr) {
					t.Errorf("%v does not know %v", m.addr, o.addr)
				}
			}
		}
	})
}

func TestAJoinerAsksUntilItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		first := b.add(nil)
		first.reg("there")
		b.set(func() { b.loss = 1 })
		joiner := b.add(first)
		joiner.lacksAnswer(t, "there")
		time.Sleep(20 * time.Second)
		b.set(func() { b.loss = 0 })
		time.Sleep(lonelyMost + time.Second)
		joiner.finds("there", first)
	})
}

// TestMembersThatHaveNoRouteToAJoinerYetBecomeItsContacts: while a layer grows
// they compute routes seldom.
func TestMembersThatHaveNoRouteToAJoinerYetBecomeItsContacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(25)
		b.set(func() {
			for _, m := range all[5:] {
				m.mute = true
			}
		})
		joiner := b.add(all[0])
		time.Sleep(4 * time.Second)
		b.set(func() {
			for _, m := range all {
				m.mute = false
			}
		})
		time.Sleep(5 * time.Second)
		for _, m := range all {
			if !joiner.knows(m.addr) {
				t.Errorf("%v is no contact", m.addr)
			}
		}
	})
}

// TestANameThatWasRegisteredTooEarlyComesToItsPlace: its member knew few others
// then, none of them close to the name, and stored it there.
func TestANameThatWasRegisteredTooEarlyComesToItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(80)
		b.set(func() {
			for _, m := range all[5:] {
				m.mute = true
			}
		})
		joiner := b.add(all[0])
		time.Sleep(100 * time.Millisecond)
		early := names(20, "early")
		for _, name := range early {
			joiner.reg(name)
		}
		time.Sleep(10 * time.Second)
		b.set(func() {
			for _, m := range all {
				m.mute = false
			}
		})
		time.Sleep(time.Minute)
		for i, m := range all {
			m.finds(early[i%len(early)], joiner)
		}
	})
}

// lacksAnswer checks that a query fails, because nobody answers.
func (m *member) lacksAnswer(t *testing.T, name string) {
	t.Helper()
	began := time.Now()
	if l, err := m.query(name); err == nil || time.Since(began) > lookupLife {
		t.Errorf("found %v: %v after %v", l, err, time.Since(began))
	}
}

func TestAQueryWaitsForTheFirstContactOfAJoiner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 100 * time.Millisecond
		defer b.close()
		first := b.add(nil)
		first.reg("there")
		b.add(first).finds("there", first)
	})
}

func TestAnUnregisteredNameIsGoneInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.replicate, b.refresh, b.expire = 20*time.Second, 20*time.Second, 24*time.Hour
		defer b.close()
		all := b.grow(30)
		all[0].reg("gone")
		all[0].reg("stays")
		time.Sleep(5 * time.Minute)
		all[0].unreg("gone")
		time.Sleep(2*b.replicate + slack + 3*time.Second)
		for _, m := range all[1:] {
			m.lacks("gone")
			m.finds("stays", all[0])
		}
	})
}

func TestNamesOutliveACutOfTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.expire, b.replicate, b.refresh = time.Minute, 5*time.Second, 5*time.Second
		defer b.close()
		all := b.grow(3)
		for _, n := range names(3, "three") {
			all[0].reg(n)
		}
		time.Sleep(60 * time.Second)
		b.split(1, all[0])
		time.Sleep(5 * time.Second)
		for _, n := range names(3, "three") {
			all[2].finds(n, all[0])
		}
		time.Sleep(5 * time.Second)
		b.split(0, all[0])
		time.Sleep(50 * time.Second)
		for _, n := range names(3, "three") {
			all[2].finds(n, all[0])
		}
	})
}

func TestPartsThatBecomeOneFindEachOther(t *testing.T) {
	for _, hooked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			b.replicate, b.refresh = time.Minute, time.Minute
			defer b.close()
			all := b.grow(40)
			b.split(1, all[20:]...)
			time.Sleep(10 * time.Minute) // the other part is forgotten
			for _, m := range all {
				m.reg("of " + m.addr.String())
			}
			time.Sleep(10 * time.Second)
			all[0].lacks("of " + all[30].addr.String())
			if hooked {
				b.split(0, all[20:]...)
			} else {
				b.set(func() {
					for _, m := range all[20:] {
						m.part = 0
					}
				})
			}
			time.Sleep(b.refresh)
			for i, m := range all {
				m.finds("of "+all[(i+20)%40].addr.String(), all[(i+20)%40])
				m.finds("of "+all[(i+7)%40].addr.String(), all[(i+7)%40])
				m.sound()
			}
		})
	}
}

func TestChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.replicate, b.refresh, b.loss = time.Minute, time.Minute, 0.02
		defer b.close()
		all := b.grow(50)
		for _, m := range all {
			m.reg(m.addr.String())
		}
		tried, missed, minutes := 0, 0, 10
		if raceEnabled || testing.Short() {
			minutes = 2
		}
		for range minutes { // minutes, in each of which a fifth leaves and as many come
			for range 10 {
				i := 1 + b.pick(len(all)-1)
				b.remove(all[i])
				m := b.add(all[(i+1)%len(all)])
				m.reg(m.addr.String())
				all[i] = m
				time.Sleep(6 * time.Second)
				for _, m := range all {
					o := all[b.pick(len(all))]
					if o == m {
						continue
					}
					tried++
					if l, err := m.query(o.addr.String()); err != nil || len(l) != 1 || l[0] != o.addr {
						missed++
					}
				}
			}
		}
		t.Logf("%d of %d not found", missed, tried)
		if missed*1000 > tried {
			t.Errorf("%d of %d queries failed", missed, tried)
		}
		for _, m := range all {
			m.sound()
			m.inside(func(d *Directory) {
				d.table.all(func(p *peer) bool {
					if !b.alive(p.addr) && d.now.Sub(p.lost) > 2*time.Minute {
						t.Errorf("%v is gone and still a contact", p.addr)
					}
					return true
				})
			})
		}
	})
}

func TestALayerThatLosesAFifthOfItsPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.loss = 0.2
		defer b.close()
		all := b.grow(40)
		for _, m := range all {
			m.reg(m.addr.String())
		}
		time.Sleep(10 * time.Second)
		for i, m := range all {
			for j := 1; j < 10; j++ {
				o := all[(i+j)%len(all)]
				m.finds(o.addr.String(), o)
			}
			m.sound()
		}
	})
}

func TestADeadMemberSlowsAQueryByOneRoundAndIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 10 * time.Millisecond
		defer b.close()
		all := b.grow(30)
		for _, m := range all[:3] {
			m.reg(m.addr.String())
		}
		time.Sleep(5 * time.Second)
		b.set(func() { // the routing does not know yet
			for _, m := range all[20:] {
				m.deaf = true
			}
		})
		for _, m := range all[3:20] {
			for _, o := range all[:3] {
				began := time.Now()
				m.finds(o.addr.String(), o)
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Errorf("a query took %v", took)
				}
			}
			for _, n := range names(10, "nothing") {
				began := time.Now()
				m.lacks(n)
				if took := time.Since(began); took > time.Second {
					t.Errorf("that there is nothing took %v", took)
				}
			}
			began := time.Now()
			m.lacks("nothing else")
			if took := time.Since(began); took > 200*time.Millisecond {
				t.Errorf("when the dead are known a query took %v", took)
			}
			m.inside(func(d *Directory) {
				d.table.all(func(p *peer) bool {
					if p.failures > 0 {
						t.Errorf("%v has not answered %v and is still a contact", p.addr, m.addr)
					}
					return true
				})
			})
		}
		time.Sleep(defaultRefresh + time.Minute)
		for _, m := range all[:20] {
			for _, o := range all[20:] {
				if m.knows(o.addr) {
					t.Errorf("%v is dead and still a contact of %v", o.addr, m.addr)
				}
			}
		}
	})
}

func TestADayWithDefaultTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.loss = 0.01
		defer b.close()
		all := b.grow(24)
		for _, m := range all {
			m.reg(m.addr.String())
			m.reg("all")
		}
		type size struct{ peers, requests, results, agenda, values int }
		sizes := func() (most size) {
			for _, m := range all {
				m.inside(func(d *Directory) {
					most.peers = max(most.peers, len(d.peers))
					most.requests = max(most.requests, len(d.requests))
					most.results = max(most.results, len(d.results))
					most.agenda = max(most.agenda, len(d.agenda))
					most.values = max(most.values, d.values.n)
				})
			}
			return most
		}
		time.Sleep(time.Hour)
		b.sent()
		before := sizes()
		day := 24 * time.Hour
		if raceEnabled || testing.Short() {
			day = 4 * time.Hour
		}
		time.Sleep(day)
		after := sizes()
		t.Logf("%+v after an hour, %+v after a day; %.2f packets a second and member", before, after,
			float64(b.sent())/24/day.Seconds())
		if after.peers > before.peers || after.requests > before.requests+50 || after.results > 0 || after.values > 2*len(all) ||
			after.agenda > before.agenda+50 {
			t.Errorf("%+v has become %+v", before, after)
		}
		for i, m := range all {
			o := all[(i+1)%len(all)]
			m.finds(o.addr.String(), o)
			if l, err := m.query("all"); err != nil || len(l) < maxAnswered {
				t.Errorf("a name of all is found at %d: %v", len(l), err)
			}
			m.sound()
		}
	})
}

func TestALayerAcrossTheWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 350 * time.Millisecond
		defer b.close()
		all := b.grow(25)
		time.Sleep(time.Minute)
		before := make(map[*member]uint64) // until something was measured requests are given up too early
		for _, m := range all {
			before[m] = m.counts().timeouts
		}
		for _, m := range all[:5] {
			m.reg(m.addr.String())
		}
		time.Sleep(10 * time.Second)
		for _, m := range all[5:] {
			for _, o := range all[:5] {
				m.finds(o.addr.String(), o)
			}
			if n := m.counts().timeouts - before[m]; n > 0 {
				t.Errorf("%d requests timed out", n)
			}
			m.sound()
			for _, o := range all {
				if o != m && !m.knows(o.addr) {
					t.Errorf("%v does not know %v", m.addr, o.addr)
				}
			}
		}
	})
}

func TestALayerWithoutAListOfItsMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.blind = true
		defer b.close()
		all := b.grow(60)
		for _, m := range all {
			m.reg(m.addr.String())
		}
		time.Sleep(5 * time.Second)
		for i, m := range all {
			for j := 1; j < len(all); j += 7 {
				o := all[(i+j)%len(all)]
				m.finds(o.addr.String(), o)
			}
			m.lacks("nothing")
			m.sound()
		}
	})
}
