package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func treeOf(v map[string]any) string {
	var b bytes.Buffer
	c := &call{env: Env{Stdout: &b}}
	c.tree(tidy(v).(map[string]any), 2)
	return b.String()
}

func TestTreeShowsEveryDepth(t *testing.T) {
	got := treeOf(map[string]any{
		"zero": 0.0, "big": 1e15, "text": "x\ny", "none": "", "nil": nil,
		"list": []any{"a", 2.0}, "empty": []any{}, "sub": map[string]any{"k": true, "object": map[string]any{}},
		"lists": []any{[]any{1, 2}, "x", []any{map[string]any{"n": 1}}},
	})
	want := strings.TrimLeft(`
  big    1000000000000000
  empty  -
  list   a 2
  lists
    1  1 2
    2  x
    3
      n
      1
  nil    -
  none   -
  sub
    k       true
    object  -
  text   x\ny
  zero   0
`, "\n")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestListsOfObjectsBecomeTables(t *testing.T) {
	got := treeOf(map[string]any{
		"lsdb": []map[string]any{
			{"src": "e2.b4.53.92", "dst": "01.00.00.00", "seq": uint64(4294967295), "age_s": 3, "mtu": 1400, "withdrawn": false, "lost": 0},
			{"src": "01.00.00.00", "dst": "e2.b4.53.92", "seq": 7, "age_s": 12.5, "mtu": 1400, "withdrawn": true, "lost": 0},
		},
		"flows": map[string]any{"open": 2, "list": []any{
			map[string]any{"eid": "65", "remote": "01.00.00.00", "sent": map[string]any{"packets": 1234567, "bytes": 98765432109}, "congestion": map[string]any{"policy": "mb-ecn", "window": 17}},
			map[string]any{"eid": "1311768467463790320", "remote": "01.00.00.00", "sent": map[string]any{"packets": 1, "bytes": 20}, "congestion": map[string]any{"policy": "none"}},
		}},
		"values": map[string]any{"ab12": []string{"01.00.00.00", "02.00.00.00"}, "cd34": []string{}},
		"neighbours": map[string]any{
			"01.00.00.00": map[string]any{"up": true, "mtu": 1400}, "02.00.00.00": map[string]any{"up": false, "mtu": 900},
		},
		"ports": []any{
			map[string]any{"id": 1, "neighbour": "01.00.00.00", "dropped": 0, "cubes": []any{
				map[string]any{"cube": "best effort", "packets": 10}, map[string]any{"cube": "voice", "packets": 2000000}}},
			map[string]any{"id": 12, "neighbour": "02.00.00.00", "dropped": 0, "cubes": []any{map[string]any{"cube": "video", "packets": 3}}},
		},
	})
	want := strings.TrimLeft(`
  flows
    list
      eid                  remote       congestion.policy  congestion.window   sent.bytes  sent.packets
      65                   01.00.00.00  mb-ecn                            17  98765432109       1234567
      1311768467463790320  01.00.00.00  none                               -           20             1
    open  2
  lsdb
    src          dst          age_s   mtu         seq  withdrawn
    e2.b4.53.92  01.00.00.00      3  1400  4294967295  false
    01.00.00.00  e2.b4.53.92   12.5  1400           7  true
  neighbours
                 up      mtu
    01.00.00.00  true   1400
    02.00.00.00  false   900
  ports
    id  neighbour
     1  01.00.00.00
    12  02.00.00.00
  ports, cubes
    id  cube         packets
     1  best effort       10
     1  voice        2000000
    12  video              3
  values
    ab12  01.00.00.00 02.00.00.00
    cd34  -
`, "\n")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestCountersThatHaveCountedNothingShareALine(t *testing.T) {
	v := map[string]any{"own": "x", "sent": 7, "up": false, "share": 0.0}
	for _, c := range "abcd" {
		v["dropped_for_the_reason_"+string(c)] = uint64(0)
	}
	got := treeOf(map[string]any{"counters": v})
	want := strings.TrimLeft(`
  counters
    own    x
    sent   7
    up     false
    zero:  dropped_for_the_reason_a dropped_for_the_reason_b dropped_for_the_reason_c
           dropped_for_the_reason_d share
`, "\n")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := treeOf(map[string]any{"a": 0, "b": 0, "c": 0}); got != "  a  0\n  b  0\n  c  0\n" {
		t.Errorf("three are\n%s", got)
	}
}

func TestWideTablesGoOnBelow(t *testing.T) {
	row := map[string]any{"id": 7}
	for _, c := range "abcdefghijklmnopqrst" {
		row["counter_"+string(c)] = 1
	}
	got := treeOf(map[string]any{"ports": []any{row}})
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 7 { // the heading and three parts
		t.Errorf("got\n%s", got)
	}
	for _, l := range lines {
		if utf8.RuneCountInString(l) > tableWidth+4 {
			t.Errorf("%q is %d wide", l, utf8.RuneCountInString(l))
		}
	}
	for n := 1; n < len(lines); n += 2 {
		if !strings.HasPrefix(lines[n], "    id  ") || !strings.HasPrefix(lines[n+1], "     7  ") {
			t.Errorf("a part does not say whose it is:\n%s", got)
		}
	}
	for c := range row {
		if !strings.Contains(got, c) {
			t.Errorf("%s is missing", c)
		}
	}
}

// What crosses the socket of the daemon looks as what does not.
func TestNumbersOfTheDaemonLookLikeOwnOnes(t *testing.T) {
	own := map[string]any{"rows": []any{map[string]any{"id": 1, "n": uint64(1) << 40, "t": "x"}, map[string]any{"id": int8(2), "n": uint16(3)}}}
	text, err := json.Marshal(own)
	if err != nil {
		t.Fatal(err)
	}
	var sent map[string]any
	if err := json.Unmarshal(text, &sent); err != nil {
		t.Fatal(err)
	}
	if a, b := treeOf(own), treeOf(sent); a != b {
		t.Errorf("own\n%ssent\n%s", a, b)
	}
}

func FuzzTree(f *testing.F) {
	f.Add(`{"a":[{"x":[{"y":[{}]}]},{}],"b":{"c":{"d":1},"e":{"d":[]}},"":[[[]]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var v map[string]any
		if json.Unmarshal([]byte(text), &v) != nil || v == nil {
			return
		}
		for _, line := range strings.Split(treeOf(v), "\n") {
			if printable(line) != line {
				t.Errorf("%q could disturb a terminal", line)
			}
		}
	})
}
