package seal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/oap"

	"pgregory.net/rapid"
)

var (
	aeads = []wire.Cipher{wire.AES128GCM, wire.AES192GCM, wire.AES256GCM, wire.ChaCha20Poly1305}
	ctrs  = []wire.Cipher{wire.AES128CTR, wire.AES192CTR, wire.AES256CTR}
	all   = slices.Concat(aeads, ctrs)
)

var testKey = [KeySize]byte{7: 7, 31: 31}

// pair makes two ends with small epochs.
func pair(t testing.TB, c wire.Cipher, bit int) (a, b *Sealer) {
	t.Helper()
	cfg := Config{Cipher: c, Key: &testKey, EpochBit: bit}
	return newSealer(t, cfg), newSealer(t, cfg)
}

func TestOnlyCiphersAreTaken(t *testing.T) {
	for _, c := range []Config{
		{Cipher: 0, Key: &testKey}, {Cipher: 1, Key: &testKey},
		{Cipher: wire.AES128GCM, Key: &testKey, EpochBit: 32}, {Cipher: wire.AES128GCM, Key: &testKey, EpochBit: -1},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("cipher %v, epochs of 2^%d: no error", c.Cipher, c.EpochBit)
		}
	}
}

func TestABatchIsSealedAndOpenedInOrder(t *testing.T) {
	for _, c := range all {
		a, b := pair(t, c, 4)
		next := 0
		for size := range 40 {
			var batch []*packet.Buffer
			for i := range size {
				if i%5 == 3 {
					batch = append(batch, packet.Get(0)) // a keep-alive
				} else {
					batch = append(batch, packet.From(fmt.Appendf(nil, "message %d%s", next+i, strings.Repeat(".", i*50))))
				}
			}
			if n := a.Seal(batch); n != size {
				t.Fatalf("%v: %d of %d sealed", c, n, size)
			}
			wire := batch[:0]
			for i, p := range batch {
				if i%5 != 3 {
					wire = append(wire, p)
				} else if p.Len() != 0 {
					t.Fatalf("%v: a keep-alive has become %x", c, p.Bytes())
				} else {
					p.Release()
				}
			}
			if n := b.Open(wire); n != len(wire) {
				t.Fatalf("%v: %d of %d opened", c, n, len(wire))
			}
			k := 0
			for i := range size {
				if i%5 == 3 {
					continue
				}
				if want := fmt.Sprintf("message %d%s", next+i, strings.Repeat(".", i*50)); string(wire[k].Bytes()) != want {
					t.Fatalf("%v: %q, want %q", c, wire[k].Bytes(), want)
				}
				wire[k].Release()
				k++
			}
			next += size
		}
	}
}

func TestWhatWasChangedIsRefused(t *testing.T) {
	for _, c := range aeads {
		a, b := pair(t, c, 0)
		for _, n := range []int{1, 2, 15, 16, 17, 100} {
			good := sealed(a, strings.Repeat("x", n))
			for i := range good {
				for _, bit := range []byte{0x01, 0x80} { // of the first byte, the phase
					bad := bytes.Clone(good)
					bad[i] ^= bit
					if plain, ok := opens(b, bad); ok {
						t.Errorf("%v: %q opens with byte %d of %d changed", c, plain, i, len(good))
					}
				}
			}
			for cut := range good {
				if plain, ok := opens(b, good[:cut]); ok {
					t.Errorf("%v: %q opens from %d of %d bytes", c, plain, cut, len(good))
				}
				if plain, ok := opens(b, good[cut+1:]); ok {
					t.Errorf("%v: %q opens without the first %d bytes", c, plain, cut+1)
				}
			}
			if plain, ok := opens(b, good); !ok || len(plain) != n {
				t.Errorf("%v: %q, %v after all that", c, plain, ok)
			}
		}
		k := b.counters
		if k.Short.Load() == 0 || k.Refused.Load() == 0 || k.Opened.Load() != 6 || k.Epochs.Load() != 0 {
			t.Errorf("%v: %d short, %d refused, %d opened, %d epochs", c, k.Short.Load(), k.Refused.Load(), k.Opened.Load(), k.Epochs.Load())
		}
	}
}

func TestTheShortestPackets(t *testing.T) {
	for _, c := range all {
		a, b := pair(t, c, 0)
		for n := range a.Overhead() {
			if _, ok := opens(b, make([]byte, n)); ok {
				t.Errorf("%v: %d bytes are opened", c, n)
			}
		}
		if k := b.counters.Short.Load(); k != uint64(a.Overhead()) {
			t.Errorf("%v: %d are short", c, k)
		}
		// A packet that holds nothing is for nobody: an empty one is a keep-alive.
		p := packet.Get(1)
		if a.Seal([]*packet.Buffer{p}) != 1 {
			t.Fatal("closed")
		}
		p.Release()
		if _, ok := opens(b, make([]byte, b.Overhead())); ok {
			t.Errorf("%v: nothing was delivered", c)
		}
	}
}

// No IV comes twice under one key, whoever draws it, with concurrent writers at
// both ends and whatever arrives meanwhile.
func TestNoIVComesTwiceUnderAKey(t *testing.T) {
	for _, c := range all {
		for _, bit := range []int{1, 6, 20} {
			a, b := pair(t, c, bit)
			var mu sync.Mutex
			seen := make(map[string]bool)
			var wg sync.WaitGroup
			for w := range 6 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), 0))
					from, to := a, b
					if w%2 == 1 {
						from, to = b, a
					}
					for range 30 {
						batch := make([]*packet.Buffer, 1+r.IntN(40))
						for i := range batch {
							batch[i] = packet.From([]byte("0123456789abcdef")) // equal plain texts
						}
						from.Seal(batch)
						mu.Lock()
						for _, p := range batch {
							// Equal plain texts under equal key and IV are equal packets; an
							// equal IV alone, under another key, does no harm.
							s := string(p.Bytes())
							if seen[s] {
								t.Errorf("%v: a packet comes twice", c)
							}
							seen[s] = true
						}
						mu.Unlock()
						n := to.Open(batch)
						packet.ReleaseAll(batch[:n])
					}
				})
			}
			wg.Wait()
		}
	}
}

// The ranges of counter blocks of CTR packets must not overlap either.
func TestCounterBlocksAreFarApart(t *testing.T) {
	a, _ := pair(t, wire.AES256CTR, 0)
	last := int64(-1)
	for range 1000 {
		p := sealed(a, "x")
		lo := int64(uint64(p[15]) | uint64(p[14])<<8 | uint64(p[13])<<16 | uint64(p[12])<<24 | uint64(p[11])<<32 | uint64(p[10])<<40)
		if last >= 0 && (lo-last)&(1<<48-1) != 1<<step {
			t.Fatalf("%d blocks between two IVs", lo-last)
		}
		last = lo
	}
	if 1<<step*16 < 2*packetMost {
		t.Error("the longest packet does not fit")
	}
}

const packetMost = 1 << 20

func TestSimultaneousSendersAtTheEndOfAnEpoch(t *testing.T) {
	for _, c := range aeads {
		a, b := pair(t, c, 20)
		most := a.machine.(*authenticated).most
		a.machine.(*authenticated).epoch.Load().used.Store(most - 3)
		b.machine.(*authenticated).epoch.Load().used.Store(most - 1)
		var toA, toB [][]byte
		for range 10 { // all are under way before the first arrives
			toB = append(toB, sealed(a, "of a"))
			toA = append(toA, sealed(b, "of b"))
		}
		for i := range 10 {
			if got, ok := opens(a, toA[i]); !ok || got != "of b" {
				t.Errorf("%v: packet %d of b: %q, %v", c, i, got, ok)
			}
			if got, ok := opens(b, toB[i]); !ok || got != "of a" {
				t.Errorf("%v: packet %d of a: %q, %v", c, i, got, ok)
			}
		}
		if x, y := (ours{a}).epoch(), (ours{b}).epoch(); x != 1 || y != 1 {
			t.Errorf("%v: epochs %d and %d", c, x, y)
		}
	}
}

// Whoever repeats what he has recorded of a peer that draws its IVs moves an end by
// one epoch, where it meets the peer as before; of one that counts, by none. (Of the
// former, the first packet of an epoch is known again.)
func TestRepetitionsDoNotDriveTheEndsApart(t *testing.T) {
	for _, counts := range []bool{true, false} {
		a, b := pair(t, wire.AES256GCM, 4)
		var from peer = ours{a}
		if !counts {
			from = newReference(rand.New(rand.NewPCG(1, 1)), testKey, 4)
		}
		var recorded [][]byte
		for range 5 {
			recorded = append(recorded, from.send("recorded"))
		}
		for range 1000 {
			for _, p := range recorded {
				opens(b, p)
			}
		}
		e, again := (ours{b}).epoch(), b.counters.Repeated.Load()
		if counts && (e != 0 || again != 4995) || !counts && (e != 1 || again > 1000) {
			t.Errorf("counts %v: epoch %d, %d repeated", counts, e, again)
		}
		for i := range 10 {
			if got, ok := opens(b, from.send(fmt.Sprint(i))); !ok || got != fmt.Sprint(i) {
				t.Fatalf("counts %v: message %d: %q, %v", counts, i, got, ok)
			}
		}
	}
}

func TestAPacketIsOpenedOnceAndNotByWhoSealedIt(t *testing.T) {
	for _, c := range aeads {
		a, b := pair(t, c, 6) // an epoch is 96 packets
		var sent [][]byte
		for i := range 500 {
			p := sealed(a, fmt.Sprint(i))
			sent = append(sent, p)
			if got, ok := opens(a, p); ok {
				t.Fatalf("%v: %q came back and was opened", c, got)
			}
			if i%3 == 2 { // out of order
				for _, k := range []int{i, i - 2, i - 1} {
					if got, ok := opens(b, sent[k]); !ok || got != fmt.Sprint(k) {
						t.Fatalf("%v: packet %d: %q, %v", c, k, got, ok)
					}
				}
				for k := max(0, i-250); k <= i; k++ {
					if got, ok := opens(b, sent[k]); ok {
						t.Fatalf("%v: packet %d is opened again: %q", c, k, got)
					}
				}
			}
		}
	}
}

// The memory agrees with a set, for packets that are not too late.
func TestAMemoryIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m memory
		start := position{rapid.Uint32().Draw(t, "hi") &^ (1 << 31), rapid.Uint64().Draw(t, "lo")}
		seen := make(map[int64]bool)
		var top int64 = -1 << 62
		at := int64(1 << 20)
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			at += int64(rapid.OneOf(rapid.IntRange(-3, 5), rapid.IntRange(-remembered, remembered), rapid.IntRange(-1<<10, 1<<17)).Draw(t, "step"))
			late := at <= top-remembered
			want := !seen[at] && !late
			if got := m.fresh(7, start.plus(uint64(at))); got != want {
				t.Fatalf("packet %d with the latest %d: fresh %v, want %v", at, top, got, want)
			}
			if want {
				seen[at] = true
			}
			top = max(top, at)
		}
		if !m.fresh(8, start) {
			t.Fatal("another epoch is not fresh")
		}
	})
}

func TestPositionsCountOver95Bits(t *testing.T) {
	for _, tc := range []struct {
		p    position
		n    uint64
		want position
	}{
		{position{0, 0}, 0, position{0, 0}},
		{position{5, 1<<64 - 1}, 1, position{6, 0}},
		{position{1<<31 - 1, 1<<64 - 2}, 5, position{0, 3}},
	} {
		q := tc.p.plus(tc.n)
		if q != tc.want {
			t.Errorf("%v plus %d is %v", tc.p, tc.n, q)
		}
		if d, ok := q.since(tc.p); !ok || d != int64(tc.n) {
			t.Errorf("%v is %d behind %v, %v", q, d, tc.p, ok)
		}
		if d, ok := tc.p.since(q); !ok || d != -int64(tc.n) {
			t.Errorf("%v is %d behind %v, %v", tc.p, d, q, ok)
		}
		iv := make([]byte, aeadIV)
		q.put(iv, 0x80)
		if iv[0]&0x80 == 0 || positionOf(iv) != q {
			t.Errorf("%v is written as %x", q, iv)
		}
	}
	if _, ok := (position{0, near}).since(position{}); ok {
		t.Error("near is how far?")
	}
}

func TestForgedPacketsMoveNothing(t *testing.T) {
	a, b := pair(t, wire.ChaCha20Poly1305, 4)
	r := rand.NewChaCha8([32]byte{})
	p := make([]byte, 100)
	for range 5000 {
		r.Read(p)
		if _, ok := opens(b, p); ok {
			t.Fatal("a forged packet is opened")
		}
	}
	if e := (ours{b}).epoch(); e != 0 || b.counters.Refused.Load() != 5000 {
		t.Errorf("epoch %d, %d refused", e, b.counters.Refused.Load())
	}
	if got, ok := opens(b, sealed(a, "hello")); !ok || got != "hello" {
		t.Errorf("%q, %v", got, ok)
	}
}

func TestAPeerThatWentFarAheadIsFound(t *testing.T) {
	for _, epochs := range []int{1, 2, 3, 4, 7, 100, 500} {
		a, b := pair(t, wire.AES128GCM, 3)
		most := int(a.machine.(*authenticated).most)
		for range epochs * most {
			sealed(a, "lost")
		}
		got, ok := "", false
		tries := 0
		for ; !ok && tries < 10000; tries++ {
			a.machine.(*authenticated).epoch.Load().used.Store(0) // it stays in its epoch for long
			got, ok = opens(b, sealed(a, "found"))
		}
		if !ok || got != "found" || (ours{b}).epoch() != uint64(epochs) {
			t.Errorf("%d epochs ahead: %q in epoch %d after %d packets", epochs, got, (ours{b}).epoch(), tries)
		}
		if want := patience + pause*epochs; tries > want {
			t.Errorf("%d epochs ahead: found after %d packets, want %d at most", epochs, tries, want)
		}
		// And what b sends is understood, as is what follows.
		for i := range 100 {
			if got, ok := opens(a, sealed(b, fmt.Sprint(i))); !ok || got != fmt.Sprint(i) {
				t.Fatalf("message %d back: %q, %v", i, got, ok)
			}
			if got, ok := opens(b, sealed(a, fmt.Sprint(i))); !ok || got != fmt.Sprint(i) {
				t.Fatalf("message %d: %q, %v", i, got, ok)
			}
		}
	}
}

func TestReadersAndWritersGoOnInParallel(t *testing.T) {
	const writers, rounds, each = 4, 50, 20 // less in a round than in an epoch
	for _, c := range aeads {
		a, b := pair(t, c, 8)
		for round := range rounds {
			var wg sync.WaitGroup
			for _, way := range [][2]*Sealer{{a, b}, {b, a}} {
				pipe := make(chan *packet.Buffer, each)
				var left sync.WaitGroup
				for w := range writers {
					left.Go(func() {
						for i := range each {
							p := packet.From(fmt.Appendf(nil, "%d %d", w, i))
							way[0].Seal([]*packet.Buffer{p})
							pipe <- p
						}
					})
				}
				wg.Go(func() { left.Wait(); close(pipe) })
				wg.Go(func() {
					var next [writers]int
					for p := range pipe {
						one := []*packet.Buffer{p}
						if way[1].Open(one) != 1 {
							t.Errorf("%v: round %d: a packet is refused", c, round)
							continue
						}
						var w, i int
						if _, err := fmt.Sscan(string(one[0].Bytes()), &w, &i); err != nil || i != next[w] {
							t.Errorf("%v: %q, want %d of %d: %v", c, one[0].Bytes(), next[w], w, err)
						}
						next[w] = i + 1
						one[0].Release()
					}
				})
			}
			wg.Wait()
		}
		if e := (ours{a}).epoch(); e < 10 {
			t.Errorf("%v: epoch %d", c, e)
		}
	}
}

func TestNothingIsSealedOrOpenedAfterClose(t *testing.T) {
	for _, c := range all {
		a, b := pair(t, c, 2)
		before := sealed(b, "before")
		var stop sync.WaitGroup
		for range 4 {
			stop.Go(func() {
				for {
					batch := []*packet.Buffer{packet.From([]byte("secret")), packet.From([]byte("secret"))}
					n := a.Seal(batch)
					for _, p := range batch[:n] {
						if bytes.Contains(p.Bytes(), []byte("secret")) {
							t.Errorf("%v: in the clear", c)
						}
					}
					packet.ReleaseAll(batch)
					if n < len(batch) {
						return
					}
				}
			})
		}
		a.Close()
		a.Close()
		stop.Wait()
		if got, ok := opens(a, before); ok {
			t.Errorf("%v: %q is opened", c, got)
		}
	}
}

func TestKeysAreWipedAndNeverShown(t *testing.T) {
	for _, c := range all {
		s := newSealer(t, Config{Cipher: c, Key: &testKey})
		holder := struct {
			S *Sealer
			v Sealer
		}{S: s, v: *s}
		text := fmt.Sprintf("%v %+v %#v %v %+v", s, s, s, &holder, &holder)
		for _, k := range []string{hex.EncodeToString(testKey[:4]), fmt.Sprint(testKey[:8])} {
			if strings.Contains(text, strings.Trim(k, "[]")) {
				t.Errorf("%v: the key is in %s", c, text)
			}
		}
		var ch *chain
		switch m := s.machine.(type) {
		case *authenticated:
			ch = m.chain
		case *counterMode:
			ch = m.chain
		}
		if *ch == (chain{}) {
			t.Errorf("%v: no chain", c)
		}
		s.Close()
		if *ch != (chain{}) {
			t.Errorf("%v: something is left of the chain", c)
		}
	}
}

func TestAPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	for _, c := range all {
		a, b := pair(t, c, 20)
		batch := make([]*packet.Buffer, 32)
		if n := testing.AllocsPerRun(200, func() {
			for i := range batch {
				batch[i] = packet.Get(1400 - i)
			}
			a.Seal(batch)
			if n := b.Open(batch); n != len(batch) {
				t.Fatalf("%d opened", n)
			}
			packet.ReleaseAll(batch)
		}); n >= 1 {
			t.Errorf("%v: %v allocations for 32 packets", c, n)
		}
	}
}

// FuzzOpen: whatever arrives, nothing but what the peer has sealed is opened, and
// the flow goes on afterwards.
func FuzzOpen(f *testing.F) {
	for i := range all {
		f.Add(uint8(i), []byte("\x00packet"), []byte{0x80, 31: 1})
	}
	f.Fuzz(func(t *testing.T, which uint8, xor, raw []byte) {
		c := all[int(which)%len(all)]
		a, b := pair(t, c, 2)
		good := sealed(a, "the message")
		bad := bytes.Clone(good)
		changed := false
		for i := range min(len(xor), len(bad)) {
			bad[i] ^= xor[i]
			changed = changed || xor[i] != 0
		}
		plain, ok := opens(b, bad)
		if changed && ok && b.Authenticates() {
			t.Errorf("%v: %x opens to %q", c, bad, plain)
		}
		if _, ok := opens(b, raw); ok && b.Authenticates() {
			t.Errorf("%v: %x is opened", c, raw)
		}
		for range 20 {
			if got, ok := opens(b, sealed(a, "next")); b.Authenticates() && (!ok || got != "next") {
				t.Errorf("%v: %q, %v afterwards", c, got, ok)
			}
		}
	})
}

func BenchmarkSealer(b *testing.B) {
	for _, c := range all {
		for _, size := range []int{64, 1400} {
			s, o := pair(b, c, 20)
			const count = 32
			batch := make([]*packet.Buffer, count)
			b.Run(fmt.Sprintf("seal/%v/%d", c, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for n := 0; n < b.N; n += count {
					for i := range batch {
						batch[i] = packet.Get(size)
					}
					s.Seal(batch)
					packet.ReleaseAll(batch)
				}
			})
			b.Run(fmt.Sprintf("both/%v/%d", c, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for n := 0; n < b.N; n += count {
					for i := range batch {
						batch[i] = packet.Get(size)
					}
					s.Seal(batch)
					packet.ReleaseAll(batch[:o.Open(batch)])
				}
			})
		}
	}
}
