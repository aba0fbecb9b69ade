package grammar

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const helpWidth = 79

// WriteHelp writes the help of the node: purpose, syntax, what the words mean,
// notes and examples.
func (n *Node) WriteHelp(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n\n", n.Line(), n.Purpose)
	n.usage(&b)
	if n.Leaf() {
		n.helpWords(&b)
	} else {
		n.helpSub(&b)
	}
	for _, note := range n.notes() {
		b.WriteString("\n")
		wrap(&b, note, 0)
	}
	n.helpExamples(&b)
	if n.parent == nil {
		b.WriteString("\nOptions, anywhere before --:\n")
		var rows [][2]string
		for _, o := range GlobalOptions() {
			rows = append(rows, [2]string{strings.TrimSpace(o.Word + " " + o.Arg), o.Help})
		}
		columns(&b, rows)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteUsage writes the syntax alone, for the end of an error.
func (n *Node) WriteUsage(w io.Writer) error {
	var b strings.Builder
	n.usage(&b)
	if !n.Leaf() {
		n.helpSub(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (n *Node) usage(b *strings.Builder) {
	head := "Usage: " + n.Line()
	b.WriteString(head)
	at := utf8.RuneCountInString(head)
	indent := at + 1
	if indent > 32 {
		indent = 12
	}
	for _, part := range n.synopsis() {
		if at+1+len(part) > helpWidth {
			fmt.Fprintf(b, "\n%*s%s", indent, "", part)
			at = indent + len(part)
			continue
		}
		b.WriteString(" " + part)
		at += 1 + len(part)
	}
	b.WriteString("\n")
}

// synopsis gives the parts of the syntax after the words of the node.
func (n *Node) synopsis() []string {
	if !n.Leaf() {
		if n.parent == nil {
			return []string{"<object>", "<operation>", "[<keyword> <value>]..."}
		}
		return []string{"<operation>", "[<keyword> <value>]..."}
	}
	var parts []string
	if n.Subject != nil {
		parts = append(parts, n.Subject.Arg)
	}
	if n.Free != nil {
		parts = append(parts, "["+n.Free.Arg+"]")
	}
	for _, required := range []bool{true, false} {
		for _, k := range n.Keywords {
			if k.Repeat || k.Required != required {
				continue
			}
			part := strings.TrimSpace(k.Word + " " + k.Arg)
			if !required {
				part = "[" + part + "]"
			}
			if k.Many {
				part += "..."
			}
			parts = append(parts, part)
		}
	}
	if n.Rest != nil {
		parts = append(parts, "[-- "+n.Rest.Arg+"]")
	}
	return parts
}

func (n *Node) helpSub(b *strings.Builder) {
	b.WriteString("\n")
	var rows [][2]string
	for _, s := range n.Sub {
		if !s.Hidden {
			rows = append(rows, [2]string{s.Word, s.Purpose})
		}
	}
	columns(b, rows)
}

// helpWords explains subject and keywords, those of a group under its heading.
func (n *Node) helpWords(b *strings.Builder) {
	for _, g := range n.groups() {
		b.WriteString("\n")
		if g.name != "" {
			b.WriteString(g.name + ":\n")
		}
		var rows [][2]string
		for _, k := range g.words {
			rows = append(rows, [2]string{n.wordHead(k), k.explain()})
		}
		if g.name == "" && n.Rest != nil {
			rows = append(rows, [2]string{"-- " + n.Rest.Arg, n.Rest.Help})
		}
		columns(b, rows)
	}
}

type group struct {
	name  string
	words []*Keyword
}

// groups sorts the words by group, in the order in which groups appear, those
// without a group first and what is required first of all.
func (n *Node) groups() []group {
	all := []group{{}}
	for _, required := range []bool{true, false} {
	next:
		for _, k := range n.words() {
			if k.Required != required {
				continue
			}
			for i := range all {
				if all[i].name == k.Group {
					all[i].words = append(all[i].words, k)
					continue next
				}
			}
			all = append(all, group{k.Group, []*Keyword{k}})
		}
	}
	if len(all[0].words) == 0 && n.Rest == nil {
		all = all[1:]
	}
	return all
}

// wordHead is how the word is written on a command line.
func (n *Node) wordHead(k *Keyword) string {
	if k == n.Subject || k == n.Free {
		return k.Arg
	}
	return strings.TrimSpace(k.Word + " " + k.Arg)
}

// explain is the help of a keyword with its words, default and other
// spellings.
func (k *Keyword) explain() string {
	s := k.Help
	if len(k.Words) > 0 {
		s += ": " + strings.Join(k.Words, ", ")
	}
	var more []string
	if k.Default != "" {
		more = append(more, "default "+k.Default)
	}
	if len(k.Also) > 0 && !strings.HasPrefix(k.Also[0], "-") {
		more = append(more, "also "+strings.Join(k.Also, ", "))
	}
	if len(more) > 0 {
		s += " (" + strings.Join(more, "; ") + ")"
	}
	return s
}

// notes gives the paragraphs after the words.
func (n *Node) notes() []string {
	notes := n.Notes
	if json := n.jsonNote(); json != "" {
		notes = append(notes[:len(notes):len(notes)], json)
	}
	return notes
}

func (n *Node) helpExamples(b *strings.Builder) {
	if len(n.Examples) == 0 {
		return
	}
	b.WriteString("\nExamples:\n")
	for _, e := range n.Examples {
		if e.Text != "" {
			fmt.Fprintf(b, "  %s\n      %s\n", e.Line, e.Text)
		} else {
			fmt.Fprintf(b, "  %s\n", e.Line)
		}
	}
}

// columns writes rows of a word and its explanation.
func columns(b *strings.Builder, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	width = min(width, 28)
	for _, r := range rows {
		fmt.Fprintf(b, "  %-*s", width, r[0])
		if len(r[0]) > width {
			fmt.Fprintf(b, "\n  %-*s", width, "")
		}
		b.WriteString("  ")
		wrap(b, r[1], width+4)
	}
}

// wrap writes text broken into lines; the first one begins at column indent,
// the others are indented so far.
func wrap(b *strings.Builder, text string, indent int) {
	at := indent
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > helpWidth:
			fmt.Fprintf(b, "\n%*s", indent, "")
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	b.WriteByte('\n')
}
