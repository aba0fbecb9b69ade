package main

import (
	"strings"
	"testing"

	"ouroboros/internal/leak"
)

func TestTheExampleRunsAndLeavesNothingBehind(t *testing.T) {
	defer leak.None(t)
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `hello -> HELLO
is anybody there? -> IS ANYBODY THERE?
goodbye -> GOODBYE
server has pid 8388609 and 1 flow
client has pid 8388610 and 1 flow
`
	if out.String() != want {
		t.Errorf("printed:\n%s", out.String())
	}
}
