package oping

import (
	"testing"

	"pgregory.net/rapid"
)

func TestRepliesAreToldApart(t *testing.T) {
	type step struct {
		id   int64
		want verdict
	}
	for name, steps := range map[string][]step{
		"one after the other": {{0, inOrder}, {1, inOrder}, {2, inOrder}},
		"a gap":               {{0, inOrder}, {5, inOrder}, {6, inOrder}},
		"late":                {{1, inOrder}, {0, outOfOrder}, {2, inOrder}},
		"twice":               {{0, inOrder}, {0, duplicate}, {1, inOrder}, {0, duplicate}},
		"late and twice":      {{2, inOrder}, {0, outOfOrder}, {0, duplicate}, {1, outOfOrder}},
		"at the window's end": {{window, inOrder}, {1, outOfOrder}, {0, duplicate}},
		"a jump":              {{0, inOrder}, {3 * window, inOrder}, {2*window + 1, outOfOrder}, {0, duplicate}},
		"the same bit":        {{5, inOrder}, {window + 6, inOrder}, {window + 5, outOfOrder}, {5, duplicate}},
	} {
		t.Run(name, func(t *testing.T) {
			var s sequence
			for i, st := range steps {
				if got := s.see(st.id); got != st.want {
					t.Errorf("step %d, id %d: got %d, want %d", i, st.id, got, st.want)
				}
			}
		})
	}
}

func TestNoReplyIsCountedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s sequence
		seen := make(map[int64]bool)
		highest := int64(-1)
		ids := rapid.SliceOf(rapid.OneOf(rapid.Int64Range(0, 50),
			rapid.Int64Range(window-5, window+5), rapid.Int64Range(0, 4*window))).Draw(t, "ids")
		for _, id := range ids {
			want := inOrder
			switch {
			case id > highest:
				highest = id
			case seen[id] || id <= highest-window:
				want = duplicate
			default:
				want = outOfOrder
			}
			seen[id] = true
			if got := s.see(id); got != want {
				t.Fatalf("id %d after %v: got %d, want %d", id, ids, got, want)
			}
		}
	})
}
