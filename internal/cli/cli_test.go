package cli

import (
	"testing"

	"ouroboros/internal/grammar"
)

func TestEveryOperationCanBeCarriedOut(t *testing.T) {
	known := map[string]bool{}
	for _, n := range grammar.IRM().Leaves() {
		known[n.Path()] = true
		if operations[n.Path()] == nil {
			t.Errorf("nothing carries out %s", n.Line())
		}
	}
	for path := range operations {
		if !known[path] {
			t.Errorf("no words lead to %q", path)
		}
	}
}
