package dht

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	wire "ouroboros/internal/wire/dt"
)

func TestDistanceIsThatOfTheWholeID(t *testing.T) {
	own := randomKey(32)
	for n := range 256 {
		o := randomNear(own, n)
		if prefix(own, o) != n || prefix(o, own) != n {
			t.Errorf("%d bits are shared, want %d", prefix(own, o), n)
		}
		if n > 0 && !closer(own, o, randomNear(own, n-1)) || closer(own, o, own) || !closer(own, own, o) || closer(own, o, o) {
			t.Errorf("distance of %x from %x", o, own)
		}
	}
	if prefix(own, own) != 256 {
		t.Error("an id differs from itself")
	}
}

func TestTheTableIsAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		own := randomKey(4)
		k := rapid.IntRange(1, 8).Draw(t, "k")
		table := newTable(own, k)
		var all []*peer
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				p := &peer{addr: wire.Addr(len(all) + 1), id: randomNear(own, rapid.IntRange(0, 31).Draw(t, "bits"))}
				all = append(all, p)
				if entered := table.put(p); entered != (p.place == inBucket) || !entered && table.n < wide {
					t.Fatalf("put: %v, %v with %d contacts", entered, p.place, table.n)
				}
			},
			"hear": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip("nobody")
				}
				p := rapid.SampledFrom(all).Draw(t, "peer")
				was := p.place
				if entered := table.put(p); entered && was == inBucket {
					t.Fatal("it has come twice")
				}
				if b := table.bucket(p.id); p.place == inBucket && b.contacts[len(b.contacts)-1] != p {
					t.Fatal("it is not the last that was heard")
				}
			},
			"remove": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip("nobody")
				}
				p := rapid.SampledFrom(all).Draw(t, "peer")
				if instead := table.remove(p); p.place != nowhere || instead != nil && (instead == p || instead.place != inBucket) {
					t.Fatalf("%+v instead of %+v", instead, p)
				}
			},
			"": func(t *rapid.T) {
				var in []*peer
				for _, p := range all {
					b := table.bucket(p.id)
					if slices.Contains(b.contacts, p) != (p.place == inBucket) || slices.Contains(b.spares, p) != (p.place == spare) {
						t.Fatalf("%+v is somewhere else", p)
					}
					if p.place == inBucket {
						in = append(in, p)
					}
				}
				if len(in) != table.n {
					t.Fatalf("%d contacts of %d", table.n, len(in))
				}
				target, n := randomKey(4), rand.IntN(10)
				even := func(p *peer) bool { return p.addr%2 == 0 }
				in = slices.DeleteFunc(in, func(p *peer) bool { return !even(p) })
				slices.SortFunc(in, func(a, b *peer) int {
					if closer(target, a.id, b.id) {
						return -1
					}
					return 1
				})
				got := table.closest(target, n, even)
				if len(got) != min(n, len(in)) {
					t.Fatalf("%d of %d closest", len(got), min(n, len(in)))
				}
				for i := range got {
					if got[i].id != in[i].id {
						t.Fatalf("place %d: %x, want %x", i, got[i].id, in[i].id)
					}
				}
			},
		})
	})
}

func TestARateIsKept(t *testing.T) {
	var p pace
	now := time.Now()
	r := rate{10, 5}
	took := 0
	for range 1000 { // ten seconds
		if p.take(now, r) {
			took++
		}
		now = now.Add(10 * time.Millisecond)
	}
	if took < 103 || took > 106 {
		t.Errorf("%d in ten seconds", took)
	}
}

func TestTheAgendaIsInOrderOfTime(t *testing.T) {
	var a agenda
	now := time.Now()
	var done []int
	alarms := make([]*alarm, 100)
	for i := range alarms {
		alarms[i] = a.after(now, time.Duration(rand.IntN(1000)), func() { done = append(done, i) })
	}
	a.cancel(alarms[3])
	a.cancel(alarms[3])
	a.cancel(nil)
	a.move(alarms[4], now.Add(5000))
	a.move(alarms[5], now.Add(-1))
	for al := a.due(now.Add(5000)); al != nil; al = a.due(now.Add(5000)) {
		al.do()
	}
	if len(done) != 99 || done[0] != 5 || done[98] != 4 || slices.Contains(done, 3) {
		t.Errorf("done in the order %v", done)
	}
	for i := 2; i < 98; i++ {
		if alarms[done[i]].at.Before(alarms[done[i-1]].at) {
			t.Errorf("%d before %d", done[i-1], done[i])
		}
	}
}
