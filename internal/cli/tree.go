package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// tree writes what components show, values of any depth. Lists of objects, and
// objects of objects that are alike, become tables; all else is a line a value.
//
//	flows
//	  open     2
//	  list
//	    endpoint  peer         sent.packets  sent.bytes
//	          64  192.0.2.7              12        4711
//	          65  192.0.2.70              -           -
//	  list, cubes
//	    endpoint  cube   packets
//	          64  voice       12
//
// A table is as wide as people can read, and goes on below where it has more
// columns. What is zero in all its rows is left out, and counters that are zero
// share a line.
func (c *call) tree(v map[string]any, indent int) error {
	var b strings.Builder
	branches(&b, v, indent)
	return c.printf("%s", b.String())
}

func branches(b *strings.Builder, v map[string]any, indent int) {
	keys := slices.Sorted(maps.Keys(v))
	zero := zeros(v, keys)
	keys = slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(zero, k) })
	width := 0
	if len(zero) > 0 {
		width = len(zeroKey)
	}
	for _, k := range keys {
		if _, plain := cell(v[k]); plain {
			width = max(width, utf8.RuneCountInString(printable(k)))
		}
	}
	for _, k := range keys {
		branch(b, k, v[k], indent, min(width, 24))
	}
	if len(zero) == 0 {
		return
	}
	pad(b, "", indent)
	pad(b, zeroKey, min(width, 24))
	at := 0
	for _, k := range zero {
		k = printable(k)
		if at > 0 && at+1+utf8.RuneCountInString(k) > tableWidth-min(width, 24) {
			b.WriteByte('\n')
			pad(b, "", indent+min(width, 24))
			at = 0
		}
		if at == 0 {
			b.WriteByte(' ')
		}
		b.WriteString(" " + k)
		at += 1 + utf8.RuneCountInString(k)
	}
	b.WriteByte('\n')
}

// Counters that have counted nothing share one line when there are many.
const (
	zeroKey  = "zero:"
	manyZero = 4
)

// zeros gives the keys of numbers that are zero, when there are many.
func zeros(v map[string]any, keys []string) (zero []string) {
	for _, k := range keys {
		if isNumber(v[k]) && scalar(v[k]) == "0" {
			zero = append(zero, k)
		}
	}
	if len(zero) < manyZero {
		return nil
	}
	return zero
}

// branch writes one value below its key.
func branch(b *strings.Builder, key string, v any, indent, width int) {
	if text, plain := cell(v); plain {
		pad(b, "", indent)
		pad(b, printable(key), width)
		fmt.Fprintf(b, "  %s\n", text)
		return
	}
	fmt.Fprintf(b, "%*s%s\n", indent, "", printable(key))
	switch v := v.(type) {
	case map[string]any:
		if rows, ok := alike(v); ok {
			newTable(rows).write(b, key, indent)
			return
		}
		branches(b, v, indent+2)
	case []any:
		rows := make([]map[string]any, 0, len(v))
		for _, e := range v {
			if m, ok := e.(map[string]any); ok {
				rows = append(rows, m)
			}
		}
		if len(rows) == len(v) {
			newTable(rows).write(b, key, indent)
			return
		}
		for i, e := range v { // a list of lists, or of anything
			branch(b, fmt.Sprint(i+1), e, indent+2, len(fmt.Sprint(len(v))))
		}
	}
}

// alike gives the values of an object whose values are objects with the same
// keys, at least two of them, each with its key.
func alike(v map[string]any) ([]map[string]any, bool) {
	if len(v) < 2 {
		return nil, false
	}
	var rows []map[string]any
	var same []string
	for _, k := range slices.Sorted(maps.Keys(v)) {
		m, ok := v[k].(map[string]any)
		keys := slices.Sorted(maps.Keys(m))
		if !ok || len(keys) == 0 || same != nil && !slices.Equal(keys, same) {
			return nil, false
		}
		same = keys
		row := maps.Clone(m)
		row[""] = k
		rows = append(rows, row)
	}
	return rows, true
}

// tableWidth is how wide a table may be, its indent not counted.
const tableWidth = 100

// column of a table.
type column struct {
	key    string // "" for the key of an object
	cells  []string
	right  bool // numbers
	wanted bool // has something else than zero
	width  int
}

// grid is a table: its columns, the first of which says whose row it is, and
// the lists in its rows that are tables again.
type grid struct {
	columns []*column
	below   map[string][]map[string]any
}

// leading are the keys that say whose row it is, the best one first.
var leading = []string{"", "address", "id", "eid", "endpoint", "name", "hash", "key", "src", "dst", "neighbour", "peer", "remote", "remote_eid", "component", "cube", "state", "up"}

// newTable makes a table of objects. Objects in them become columns, "sent.bytes";
// lists of objects a table of their own.
func newTable(rows []map[string]any) *grid {
	g := &grid{below: make(map[string][]map[string]any)}
	flat := make([]map[string]any, len(rows))
	seen := make(map[string]bool)
	for i, r := range rows {
		flat[i] = make(map[string]any)
		g.flatten(flat[i], "", r)
		for k := range flat[i] {
			seen[k] = true
		}
	}
	keys := slices.SortedFunc(maps.Keys(seen), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	for n, k := range keys {
		col := &column{key: k, right: true, wanted: n == 0, width: utf8.RuneCountInString(printable(k))}
		for _, r := range flat {
			text, number := "-", false
			if v, ok := r[k]; ok {
				text, _ = cell(v)
				if k == "qos" {
					text, _, _ = strings.Cut(text, " (") // the numbers are in the JSON
				}
				number = isNumber(v)
				col.right = col.right && number
			}
			col.wanted = col.wanted || number && text != "0" || !number && text != "-"
			col.width = max(col.width, utf8.RuneCountInString(text))
			col.cells = append(col.cells, text)
		}
		if col.wanted {
			g.columns = append(g.columns, col)
		}
	}
	if len(g.columns) == 0 {
		return g
	}
	for i, r := range rows { // what is below says whose it is
		for k, v := range r {
			l, ok := v.([]any)
			if _, plain := cell(v); !ok || plain {
				continue
			}
			for _, e := range l {
				if m, ok := e.(map[string]any); ok {
					m = maps.Clone(m)
					m[""] = g.columns[0].cells[i]
					g.below[k] = append(g.below[k], m)
				}
			}
		}
	}
	return g
}

func rank(key string) int {
	if at := slices.Index(leading, key); at >= 0 {
		return at
	}
	return len(leading)
}

// flatten puts the plain values of an object into row.
func (g *grid) flatten(row map[string]any, prefix string, v map[string]any) {
	for k, e := range v {
		if m, ok := e.(map[string]any); ok && len(m) > 0 {
			g.flatten(row, prefix+k+".", m)
		} else if _, plain := cell(e); plain {
			row[prefix+k] = e
		}
	}
}

// write writes the table below its heading, in as many parts as it takes, each
// with the first column.
func (g *grid) write(b *strings.Builder, heading string, indent int) {
	for rest := g.columns; len(rest) > 0; {
		part := rest[:1]
		rest = rest[1:]
		at := part[0].width
		if part[0] != g.columns[0] {
			part = []*column{g.columns[0], part[0]}
			at += 2 + g.columns[0].width
		}
		for len(rest) > 0 && at+2+rest[0].width <= tableWidth {
			at += 2 + rest[0].width
			part = append(slices.Clip(part), rest[0])
			rest = rest[1:]
		}
		g.lines(b, part, indent+2)
	}
	for _, k := range slices.Sorted(maps.Keys(g.below)) {
		name := heading + ", " + k
		fmt.Fprintf(b, "%*s%s\n", indent, "", printable(name))
		below := newTable(g.below[k])
		if len(g.columns) > 0 {
			below.columns[0].rename(g.columns[0])
		}
		below.write(b, name, indent)
	}
}

// rename gives a column the title of that which its values are from.
func (c *column) rename(from *column) {
	c.key, c.right = from.key, from.right
	c.width = max(c.width, utf8.RuneCountInString(printable(c.key)))
}

func (g *grid) lines(b *strings.Builder, columns []*column, indent int) {
	line := func(text func(*column) string) {
		var l strings.Builder
		pad(&l, "", indent)
		for n, c := range columns {
			if n > 0 {
				l.WriteString("  ")
			}
			s := text(c)
			if c.right {
				pad(&l, "", c.width-utf8.RuneCountInString(s))
				l.WriteString(s)
			} else {
				pad(&l, s, c.width)
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(func(c *column) string { return printable(c.key) })
	for i := range columns[0].cells {
		line(func(c *column) string { return c.cells[i] })
	}
}

// pad writes s and blanks up to a width.
func pad(b *strings.Builder, s string, width int) {
	b.WriteString(s)
	b.WriteString(strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s))))
}

// cell gives the text of a plain value, or of a list of plain values.
func cell(v any) (text string, plain bool) {
	switch v := v.(type) {
	case map[string]any:
		return "-", len(v) == 0
	case []any:
		if len(v) == 0 {
			return "-", true
		}
		words := make([]string, len(v))
		for i, e := range v {
			switch e.(type) {
			case map[string]any, []any:
				return "", false
			}
			words[i] = scalar(e)
		}
		return strings.Join(words, " "), true
	}
	return scalar(v), true
}

// isNumber reports whether a value is a number of JSON.
func isNumber(v any) bool {
	r := reflect.ValueOf(v)
	if _, named := v.(fmt.Stringer); named {
		return r.Type() == reflect.TypeFor[json.Number]()
	}
	return r.CanInt() || r.CanUint() || r.CanFloat()
}
