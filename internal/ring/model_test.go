package ring

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"ouroboros/internal/errno"
)

// A ring of any size behaves like a queue of messages.
func TestRingIsAQueueOfMessages(t *testing.T) {
	l, err := NewLink(false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rapid.Check(t, func(t *rapid.T) {
		size := 1 << rapid.IntRange(12, 17).Draw(t, "size")
		s, err := NewSegment(SegmentOptions{Size: size})
		if err != nil {
			t.Fatal(err)
		}
		a, err := NewEnd(s, l, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewEnd(s, l, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "ahead") {
			a.WriteAhead()
		}
		defer s.Close()
		defer a.Close()
		defer b.Close()

		var queue [][]byte
		mark, begun := false, 0 // the model of a partial read
		seed := 0
		lengths := rapid.OneOf(
			rapid.IntRange(1, 100),
			rapid.IntRange(1, size/2+1),
			rapid.SampledFrom([]int{1, 8, 4080, 4088, size/2 - 8, size / 2, size/4 - 8}),
		)
		// wrote checks what a write of p gave, and keeps the model.
		wrote := func(t *rapid.T, p []byte, err error) {
			used := begun // what was read of a message stays until its end
			for _, m := range queue {
				used += int(recordSize(len(m)))
			}
			switch {
			case len(p) > size/2:
				if err != errno.MsgSize {
					t.Fatal(err)
				}
			case err == nil:
				queue = append(queue, p)
			case err == errno.Again && len(queue) > 0 && a.out.tail-a.out.head+recordSize(len(p)) > uint64(size):
				// Full with what was skipped, until the next read passes over it.
			case err != errno.Again || len(queue) == 0 || used+int(recordSize(len(p))) <= int(a.out.window)/2:
				t.Fatalf("write of %d bytes with %d of %d used: %v", len(p), used, size, err)
			}
		}
		write := func(t *rapid.T) {
			seed++
			p := pattern(lengths.Draw(t, "length"), seed)
			wrote(t, p, a.TryWrite(p))
		}
		batch := func(t *rapid.T) {
			var ps [][]byte
			for range rapid.IntRange(1, 20).Draw(t, "batch") {
				seed++
				ps = append(ps, pattern(lengths.Draw(t, "length"), seed))
			}
			n, err := a.WriteBatch(len(ps), func(i int) []byte { return ps[i] })
			queue = append(queue, ps[:n]...)
			if (err == nil) != (n == len(ps)) {
				t.Fatalf("%d of %d written: %v", n, len(ps), err)
			}
			if err != nil {
				wrote(t, ps[n], err)
			}
		}
		partial := func(t *rapid.T) {
			p := make([]byte, rapid.IntRange(1, size/2+1).Draw(t, "buffer"))
			n, err := b.TryRead(p, Partial)
			switch {
			case mark:
				mark = false
				if n != 0 || err != nil {
					t.Fatal(n, err)
				}
			case len(queue) == 0:
				if err != errno.Again {
					t.Fatal(err)
				}
			default:
				want := queue[0][:min(len(queue[0]), len(p))]
				if err != nil || !bytes.Equal(p[:n], want) {
					t.Fatalf("%d bytes, %v; want %d", n, err, len(want))
				}
				if queue[0] = queue[0][n:]; len(queue[0]) > 0 {
					begun += n
				} else {
					queue, mark, begun = queue[1:], n == len(p), 0
				}
			}
		}
		whole := func(t *rapid.T) {
			p := make([]byte, rapid.IntRange(1, size/2+1).Draw(t, "buffer"))
			n, err := b.TryRead(p, Whole)
			switch {
			case mark:
				mark = false
				if n != 0 || err != nil {
					t.Fatal(n, err)
				}
			case len(queue) == 0:
				if err != errno.Again {
					t.Fatal(err)
				}
			case begun > 0 || len(queue[0]) <= len(p):
				want := queue[0][:min(len(queue[0]), len(p))]
				if err != nil || !bytes.Equal(p[:n], want) {
					t.Fatalf("%d bytes, %v; want %d", n, err, len(want))
				}
				if queue[0] = queue[0][n:]; len(queue[0]) > 0 {
					begun += n
				} else {
					queue, begun = queue[1:], 0
				}
			default:
				if err != errno.MsgSize {
					t.Fatal(n, err)
				}
				queue = queue[1:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": write, "write again": write, "write a batch": batch,
			"read": partial, "read whole": whole,
			"": func(t *rapid.T) {
				if rx, tx := b.RxQueueLen(), a.TxQueueLen(); rx != len(queue) || tx != len(queue) {
					t.Fatalf("queues of %d and %d, want %d", rx, tx, len(queue))
				}
			},
		})
	})
}
