package packet_test

import (
	"bytes"
	"fmt"
	"testing"

	"ouroboros/internal/packet"

	"pgregory.net/rapid"
)

func TestABufferHoldsWhatItWasMadeFrom(t *testing.T) {
	for _, n := range []int{0, 1, 192, 193, 1500, 1984, 1985, 9000, 9217, 1 << 16, 1<<16 + 1, 1 << 20, 1<<20 + 5000} {
		p := bytes.Repeat([]byte{byte(n)}, n)
		b := packet.From(p)
		if b.Len() != n || !bytes.Equal(b.Bytes(), p) {
			t.Errorf("a buffer of %d bytes holds %d", n, b.Len())
		}
		if c := b.Clone(); !bytes.Equal(c.Bytes(), p) {
			t.Errorf("the clone of %d bytes differs", n)
		} else {
			c.Release()
		}
		b.Release()
	}
}

func TestHeadersAndTrailersGoInPlaceWhileThereIsRoom(t *testing.T) {
	b := packet.From([]byte("payload"))
	before := &b.Bytes()[0]
	copy(b.Prepend(packet.HeadRoom), bytes.Repeat([]byte{'h'}, packet.HeadRoom))
	copy(b.Append(packet.TailRoom), bytes.Repeat([]byte{'t'}, packet.TailRoom))
	if after := &b.Bytes()[packet.HeadRoom]; after != before {
		t.Error("the payload was moved though there was room")
	}
	b.Release()
}

func TestOutOfRoomCostsACopyNeverAFailure(t *testing.T) {
	b := packet.From([]byte("payload"))
	for range 3 {
		copy(b.Prepend(200), bytes.Repeat([]byte{'h'}, 200))
		copy(b.Append(3000), bytes.Repeat([]byte{'t'}, 3000))
	}
	want := append(bytes.Repeat([]byte{'h'}, 600), "payload"...)
	want = append(want, bytes.Repeat([]byte{'t'}, 9000)...)
	if !bytes.Equal(b.Bytes(), want) {
		t.Error("the packet changed when it grew")
	}
	b.Release()
}

func TestTrimmingMoreThanThereIsChangesNothing(t *testing.T) {
	b := packet.From([]byte("abc"))
	defer b.Release()
	for _, n := range []int{-1, 4} {
		if b.TrimHead(n) || b.TrimTail(n) {
			t.Errorf("trimmed %d of 3 bytes", n)
		}
	}
	if !b.TrimHead(1) || !b.TrimTail(1) || string(b.Bytes()) != "b" {
		t.Errorf("trimmed to %q", b.Bytes())
	}
	if !b.TrimHead(1) || b.Len() != 0 {
		t.Errorf("%d bytes are left", b.Len())
	}
}

func TestBytesCannotBeAppendedInto(t *testing.T) {
	b := packet.From([]byte("ab"))
	defer b.Release()
	_ = append(b.Bytes(), 'x')
	if got := b.Append(1); got[0] == 'x' {
		t.Error("an append to Bytes wrote into the tail room")
	}
}

func TestTwoBuffersTradeTheirPackets(t *testing.T) {
	a, b := packet.From([]byte("short")), packet.From(bytes.Repeat([]byte("long"), 1000))
	defer a.Release()
	defer b.Release()
	a.TrimHead(1)
	a.Swap(b)
	if a.Len() != 4000 || string(b.Bytes()) != "hort" {
		t.Errorf("%d bytes and %q", a.Len(), b.Bytes())
	}
	if b.Reuse(4000) || string(b.Bytes()) != "hort" {
		t.Errorf("a packet of 4000 bytes in short memory: %q", b.Bytes())
	}
	if !b.Reuse(100) || b.Len() != 100 {
		t.Errorf("%d bytes", b.Len())
	}
	before := &b.Bytes()[0]
	b.Prepend(packet.HeadRoom)
	b.Append(packet.TailRoom)
	if &b.Bytes()[packet.HeadRoom] != before {
		t.Error("a buffer that is used again has less room")
	}
	if b.Reuse(-1) {
		t.Error("a packet of -1 bytes")
	}
}

func TestReleasingTwicePanics(t *testing.T) {
	b := packet.Get(1 << 21) // unpooled: nobody else can get it meanwhile
	b.Release()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	b.Release()
}

func TestABufferBehavesLikeASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "packet")
		b := packet.From(model)
		defer func() { b.Release() }()
		t.Repeat(map[string]func(*rapid.T){
			"prepend": func(t *rapid.T) {
				p := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "head")
				copy(b.Prepend(len(p)), p)
				model = append(append([]byte{}, p...), model...)
			},
			"append": func(t *rapid.T) {
				p := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "tail")
				copy(b.Append(len(p)), p)
				model = append(append([]byte{}, model...), p...)
			},
			"trim head": func(t *rapid.T) {
				n := rapid.IntRange(0, 500).Draw(t, "n")
				if b.TrimHead(n) {
					model = model[n:]
				} else if n <= len(model) {
					t.Fatalf("cannot trim %d of %d", n, len(model))
				}
			},
			"trim tail": func(t *rapid.T) {
				n := rapid.IntRange(0, 500).Draw(t, "n")
				if b.TrimTail(n) {
					model = model[:len(model)-n]
				} else if n <= len(model) {
					t.Fatalf("cannot trim %d of %d", n, len(model))
				}
			},
			"clone": func(t *rapid.T) {
				old := b
				b = b.Clone()
				clear(old.Bytes())
				old.Release()
			},
			"": func(t *rapid.T) {
				if !bytes.Equal(b.Bytes(), model) {
					t.Fatalf("%d bytes differ from %d", b.Len(), len(model))
				}
			},
		})
	})
}

func TestAQueueKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			q    packet.Queue
			want []*packet.Buffer
		)
		defer q.Drop()
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				b := packet.Get(rapid.IntRange(0, 100).Draw(t, "n"))
				q.Push(b)
				want = append(want, b)
			},
			"pop": func(t *rapid.T) {
				b := q.Pop()
				if len(want) == 0 {
					if b != nil {
						t.Fatal("an empty queue gave a packet")
					}
					return
				}
				if b != want[0] {
					t.Fatal("out of order")
				}
				b.Release()
				want = want[1:]
			},
			"put back": func(t *rapid.T) {
				var batch []*packet.Buffer
				for range rapid.IntRange(0, 20).Draw(t, "n") {
					if b := q.Pop(); b != nil {
						batch = append(batch, b)
					}
				}
				q.Unpop(batch)
			},
			"": func(t *rapid.T) {
				sum := 0
				for i, b := range want {
					sum += b.Len()
					if q.Peek(i) != b {
						t.Fatalf("place %d holds another packet", i)
					}
				}
				if q.Len() != len(want) || q.Bytes() != sum {
					t.Fatalf("%d packets of %d bytes, want %d of %d", q.Len(), q.Bytes(), len(want), sum)
				}
			},
		})
	})
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	for _, n := range []int{64, 1400, 9000, 1 << 16} {
		p := make([]byte, n)
		var q packet.Queue
		if allocs := testing.AllocsPerRun(1000, func() {
			b := packet.From(p)
			copy(b.Prepend(15), "header")
			copy(b.Append(4), "crc")
			c := b.Clone()
			q.Push(b)
			q.Push(c)
			q.Drop()
		}); allocs >= 1 {
			t.Errorf("%d bytes: %v allocations a packet", n, allocs)
		}
	}
}

func BenchmarkGetRelease(b *testing.B) {
	for _, n := range []int{64, 1400, 1 << 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				packet.Get(n).Release()
			}
		})
	}
}

func BenchmarkHeaderInPlace(b *testing.B) {
	b.ReportAllocs()
	p := packet.Get(1400)
	for b.Loop() {
		p.Prepend(15)
		p.TrimHead(15)
	}
}
