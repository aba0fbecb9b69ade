package main

import (
	"strings"
	"testing"

	"ouroboros/internal/leak"
)

func TestTheExampleRunsAndLeavesNothingBehind(t *testing.T) {
	defer leak.None(t)
	var out strings.Builder
	if err := run(t.Context(), []string{"-embedded"}, &out); err != nil {
		t.Fatal(err)
	}
	const want = "\"example\" at \"health\" is SERVING\n"
	if out.String() != want {
		t.Errorf("printed:\n%s", out.String())
	}
}

func TestHelpNeedsNoDaemon(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-help"}, &out); err != nil || !strings.Contains(out.String(), "-embedded") {
		t.Errorf("%q: %v", out.String(), err)
	}
}
