package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestNamesCannotBreakALineOrTheTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"oping":         "oping",
		"a b":           "a b",
		"grüße 名":       "grüße 名",
		"a\nb":          `a\nb`,
		"\x1b[31mred":   `\x1b[31mred`,
		"\xff\xfe":      `\xff\xfe`,
		"bell\a":        `bell\a`,
		"line\u2028sep": `line\u2028sep`,
		"\u009b31m":     `\u009b31m`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is written %q, want %q", in, got, want)
		}
	}
}

func TestTidyLeavesNoNullLists(t *testing.T) {
	in := map[string]any{"a": []string(nil), "b": map[string]int(nil), "c": []any{[]int(nil), 1}, "d": nil, "e": []byte{1, 0xab}}
	out, err := json.Marshal(tidy(in))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"a":[],"b":{},"c":[[],1],"d":null,"e":"01ab"}`; string(out) != want {
		t.Errorf("got %s, want %s", out, want)
	}
	if out, _ := json.Marshal(tidy(map[string]any(nil))); string(out) != "{}" {
		t.Errorf("nothing is %s", out)
	}
}

func TestTreeShowsEveryDepth(t *testing.T) {
	var b bytes.Buffer
	c := &call{env: Env{Stdout: &b}}
	c.tree(map[string]any{
		"zero": 0.0, "big": 1e15, "text": "x\ny", "none": "", "nil": nil,
		"list": []any{"a", 2.0}, "empty": []any{}, "sub": map[string]any{"k": true, "object": map[string]any{}},
		"rows": []any{map[string]any{"n": 1.0}, map[string]any{"n": 2.0}},
	}, 2)
	want := strings.TrimLeft(`
  big    1000000000000000
  empty  -
  list   a 2
  nil    -
  none   -
  rows 1
    n  1
  rows 2
    n  2
  sub
    k       true
    object  -
  text   x\ny
  zero   0
`, "\n")
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
