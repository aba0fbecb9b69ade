package main

import (
	"bytes"
	"regexp"
	"testing"
	"time"
)

func TestTheTrafficGoesOnWhenACableIsCut(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, time.Second, false); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		`net: a → c\n`,     // before
		`net: a → b → c\n`, // after
		`a hears "hello from c"`,
		`b hears "hello from c"`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("it does not show %q:\n%s", want, &out)
		}
	}
}
