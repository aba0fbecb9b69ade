package cli

import (
	"encoding/json"
	"testing"
	"time"
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

func TestTidyMakesWhatJSONHas(t *testing.T) {
	type inner struct {
		N uint64    `json:"n"`
		L []string  `json:"l"`
		T time.Time `json:"-"`
	}
	in := map[string]any{"struct": inner{N: 1 << 63}, "pointer": &inner{L: []string{"x"}}, "func": struct{ F func() }{}}
	out, err := json.Marshal(tidy(map[string]any{"struct": in["struct"], "pointer": in["pointer"]}))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"pointer":{"l":["x"],"n":0},"struct":{"l":null,"n":9223372036854775808}}`; string(out) != want {
		t.Errorf("got %s, want %s", out, want)
	}
	if _, ok := tidy(in).(map[string]any)["func"].(string); !ok {
		t.Error("what JSON does not have is no text")
	}
}
