package config

import (
	"errors"
	"fmt"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// kind is the type of a TOML value, as messages name it.
type kind string

const (
	aString   kind = "a string"
	anInteger kind = "an integer"
	aFloat    kind = "a floating-point number"
	aBoolean  kind = "a boolean"
	aTime     kind = "a date or time"
	anArray   kind = "an array"
	aTable    kind = "a table"
)

// node is a value and where it stands.
type node struct {
	kind  kind
	span  span
	text  string   // of a scalar: the decoded string, or its characters
	items []*node  // of an array
	keys  []*entry // of a table, in the order of the file
}

// entry is a key of a table with its value.
type entry struct {
	name  string
	span  span
	value *node
}

func (n *node) find(name string) *entry {
	for _, e := range n.keys {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (n *node) add(name string, at span, v *node) *entry {
	e := &entry{name: name, span: at, value: v}
	n.keys = append(n.keys, e)
	return e
}

// Bounds of a file; beyond them it is refused.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 8       // of arrays and tables
	maxKeys  = 20000   // keys, tables and array elements
)

// builder turns the expressions of a document into a tree. The decoder of
// the TOML library gives neither the places of keys nor their order, and
// both are needed here.
type builder struct {
	path  string
	data  []byte
	p     unstable.Parser
	count int
}

func (b *builder) fail(at span, hint, format string, args ...any) *Error {
	return errorAt(b.path, b.data, at, fmt.Sprintf(format, args...), hint)
}

// grow counts what the document holds.
func (b *builder) grow(at span) *Error {
	if b.count++; b.count > maxKeys {
		return b.fail(at, "split the file", "more than %d keys and values", maxKeys)
	}
	return nil
}

// build reads a document into the table that is its root.
func build(path string, data []byte) (*node, *Error) {
	b := &builder{path: path, data: data}
	if len(data) > maxFile {
		return nil, b.fail(span{}, "", "the file is longer than %d bytes", maxFile)
	}
	root := &node{kind: aTable}
	current := root
	b.p.Reset(data)
	for b.p.NextExpression() {
		x := b.p.Expression()
		var err *Error
		switch x.Kind {
		case unstable.Table, unstable.ArrayTable:
			current, err = b.header(root, x)
		case unstable.KeyValue:
			err = b.keyValue(current, x, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := b.p.Error(); err != nil {
		return nil, b.syntax(err)
	}
	// Which tables may be opened twice, and which may not, is a long story
	// that the library's own decoder knows.
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		return nil, b.decodeError(err)
	}
	return root, nil
}

// syntax places an error of the parser.
func (b *builder) syntax(err error) *Error {
	var pe *unstable.ParserError
	at := span{at: len(b.data)}
	if errors.As(err, &pe) {
		r := b.p.Range(pe.Highlight)
		at = span{int(r.Offset), int(r.Length)}
	}
	return b.fail(at, "", "this is not TOML: %s", err)
}

// decodeError places an error of the decoder.
func (b *builder) decodeError(err error) *Error {
	at := span{}
	var de *toml.DecodeError
	text := err.Error()
	if errors.As(err, &de) {
		row, column := de.Position()
		for offset, line := 0, 1; offset <= len(b.data); offset++ {
			if line == row {
				at.at = offset + column - 1
				break
			}
			if offset < len(b.data) && b.data[offset] == '\n' {
				line++
			}
		}
		text = text[len("toml: "):]
	}
	return b.fail(at, "", "%s", text)
}

func rangeOf(n *unstable.Node) span { return span{int(n.Raw.Offset), int(n.Raw.Length)} }

// header opens the table of a [header] or [[header]].
func (b *builder) header(root *node, x *unstable.Node) (*node, *Error) {
	t := root
	depth := 0
	for it := x.Key(); it.Next(); depth++ {
		k := it.Node()
		at := rangeOf(k)
		if depth >= maxDepth {
			return nil, b.fail(at, "", "tables are nested more than %d deep", maxDepth)
		}
		if err := b.grow(at); err != nil {
			return nil, err
		}
		name := string(k.Data)
		e := t.find(name)
		last := it.IsLast()
		switch {
		case last && x.Kind == unstable.ArrayTable:
			if e == nil {
				e = t.add(name, at, &node{kind: anArray, span: at})
			}
			if e.value.kind != anArray {
				return nil, b.twice(at, name, e)
			}
			n := &node{kind: aTable, span: at}
			e.value.items = append(e.value.items, n)
			t = n
		case e == nil:
			n := &node{kind: aTable, span: at}
			t.add(name, at, n)
			t = n
		case e.value.kind == aTable:
			t = e.value
		case e.value.kind == anArray && len(e.value.items) > 0 && e.value.items[len(e.value.items)-1].kind == aTable:
			t = e.value.items[len(e.value.items)-1]
		default:
			return nil, b.twice(at, name, e)
		}
	}
	return t, nil
}

func (b *builder) twice(at span, name string, first *entry) *Error {
	line := errorAt(b.path, b.data, first.span, "", "").Line
	return b.fail(at, "keep one of them", "%q is given already on line %d", name, line)
}

// keyValue adds key = value to the table t. A value without a place of its
// own, as an array, gets that of its key.
func (b *builder) keyValue(t *node, x *unstable.Node, depth int) *Error {
	value := x.Value()
	for it := x.Key(); it.Next(); {
		k := it.Node()
		at := rangeOf(k)
		if depth++; depth > maxDepth {
			return b.fail(at, "", "tables are nested more than %d deep", maxDepth)
		}
		if err := b.grow(at); err != nil {
			return err
		}
		name := string(k.Data)
		e := t.find(name)
		switch {
		case it.IsLast() && e == nil:
			v, err := b.value(value, at, depth)
			if err != nil {
				return err
			}
			t.add(name, at, v)
		case it.IsLast(), e != nil && e.value.kind != aTable:
			return b.twice(at, name, e)
		case e == nil:
			n := &node{kind: aTable, span: at}
			t.add(name, at, n)
			t = n
		default:
			t = e.value
		}
	}
	return nil
}

// value copies a value out of the parser.
func (b *builder) value(x *unstable.Node, at span, depth int) (*node, *Error) {
	if depth > maxDepth {
		return nil, b.fail(at, "", "values are nested more than %d deep", maxDepth)
	}
	if err := b.grow(at); err != nil {
		return nil, err
	}
	if x.Raw.Length > 0 {
		at = rangeOf(x)
	}
	n := &node{span: at, text: string(x.Data)}
	switch x.Kind {
	case unstable.String:
		n.kind = aString
	case unstable.Integer:
		n.kind = anInteger
	case unstable.Float:
		n.kind = aFloat
	case unstable.Bool:
		n.kind = aBoolean
	case unstable.Array:
		n.kind = anArray
		for it := x.Children(); it.Next(); {
			item, err := b.value(it.Node(), at, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	case unstable.InlineTable:
		n.kind = aTable
		for it := x.Children(); it.Next(); {
			if err := b.keyValue(n, it.Node(), depth+1); err != nil {
				return nil, err
			}
		}
	default:
		n.kind = aTime
	}
	return n, nil
}
