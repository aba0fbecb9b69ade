package packet

import (
	"encoding/binary"
	"testing"

	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
)

func TestTheDataPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, z := netns.Pair(t)
	la, lz := open(t, a, Config{Filter: Ethertype(testType)}), open(t, z, Config{Filter: Ethertype(testType)})
	to := mac(t, z, z.Dev)
	batch, got := make([]*packet.Buffer, 32), make([]*packet.Buffer, 0, maxDeliver)
	n := testing.AllocsPerRun(200, func() {
		for i := range batch {
			batch[i] = frame(la, to, 1400)
		}
		for rest := batch; len(rest) > 0; {
			rest = rest[la.Send(rest):]
		}
		for left := len(batch); left > 0; {
			frames, _, _ := lz.ring.read(got[:0])
			packet.ReleaseAll(frames)
			left -= len(frames)
		}
	})
	if n > 1 { // the pools are emptied by a collection now and then
		t.Errorf("%v allocations for %d frames", n, len(batch))
	}
}

// FuzzRing reads a ring that holds anything.
func FuzzRing(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 14, 0, 0, 0, 14, 0, 0, 0, 66, 0, 80, 0})
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 80, 0})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, slot []byte) {
		const size, perBlock, block = 512, 3, 2048
		r := &ring{mem: make([]byte, 2*block), slot: size, perBlock: perBlock, block: block, slots: 2 * perBlock}
		waiting := 0
		for i := range r.slots {
			n := copy(r.at(i), slot)
			copy(r.at(i)[n:], slot)
		}
		if len(slot) > 0 && slot[0]&1 != 0 {
			waiting = r.slots
		}
		batch, bytes, cut := r.read(make([]*packet.Buffer, 0, 64))
		if len(batch)+cut != waiting {
			t.Fatalf("%d read, %d cut, of %d", len(batch), cut, waiting)
		}
		sum := 0
		for _, b := range batch {
			sum += b.Len()
			if b.Len() > size || b.Len() < int(binary.NativeEndian.Uint32(r.at(0)[4:])) {
				t.Fatalf("a frame of %d bytes", b.Len())
			}
		}
		if sum != bytes {
			t.Fatalf("%d bytes, said %d", sum, bytes)
		}
		packet.ReleaseAll(batch)
	})
}
