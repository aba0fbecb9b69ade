package table

import (
	"strings"
	"testing"
)

func TestATableLooksAsScriptsKnowIt(t *testing.T) {
	var b strings.Builder
	columns := []Column{{"pid", 7}, {"name", 20}, {"type", 10}, {"layer", 20}}
	Write(&b, columns, [][]string{
		{"18450", "l1", "local", "Not enrolled."},
		{"18515", "u1", "unicast", "unil"},
	})
	want := `+---------+----------------------+------------+----------------------+
|     pid |                 name |       type |                layer |
+---------+----------------------+------------+----------------------+
|   18450 |                   l1 |      local |        Not enrolled. |
|   18515 |                   u1 |    unicast |                 unil |
+---------+----------------------+------------+----------------------+
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestALongValueIsNotCut(t *testing.T) {
	var b strings.Builder
	Write(&b, []Column{{"name", 5}, {"lb", 2}}, [][]string{{"a long name", "x"}, {"", "yyy"}})
	want := `+-------+----+
|  name | lb |
+-------+----+
| a long name |  x |
|       | yyy |
+-------+----+
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestFitWidensColumns(t *testing.T) {
	got := Fit([]Column{{"pid", 7}, {"long title", 2}, {"c", 1}}, [][]string{{"12345678", "x", "abc"}})
	want := []Column{{"pid", 8}, {"long title", 10}, {"c", 3}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("column %d: %v, want %v", i, got[i], want[i])
		}
	}
}
