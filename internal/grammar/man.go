package grammar

import (
	"fmt"
	"io"
	"strings"
)

// WriteMan writes the manual page of the whole tree, in the language of
// man(7). version is that of the program.
func (n *Node) WriteMan(w io.Writer, version string) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"Ouroboros %s\" \"Ouroboros\"\n", strings.ToUpper(n.Word), version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(n.Word), roff(n.Purpose))
	b.WriteString(".SH SYNOPSIS\n")
	fmt.Fprintf(&b, ".B %s\n", roff(n.Word))
	fmt.Fprintf(&b, ".I object operation\n.RI [ keyword\\ value ]...\n")
	b.WriteString(".SH DESCRIPTION\n")
	for i, note := range n.Notes {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roffLine(note))
	}
	b.WriteString(".SH OPTIONS\nThey may stand anywhere before \\-\\-.\n")
	for _, o := range GlobalOptions() {
		fmt.Fprintf(&b, ".TP\n%s\n%s", manWord(o.Word, o.Arg), roffLine(sentence(o.Help)))
	}
	b.WriteString(".SH OPERATIONS\n")
	for _, leaf := range n.Leaves() {
		if !leaf.Hidden {
			leaf.manLeaf(&b)
		}
	}
	manEnd(&b, n)
	_, err := io.WriteString(w, b.String())
	return err
}

func (n *Node) manLeaf(b *strings.Builder) {
	fmt.Fprintf(b, ".SS %s\n", roff(n.Line()))
	fmt.Fprintf(b, ".nh\n.ad l\n.B %s\n", roff(n.Line()))
	for _, part := range n.synopsis() {
		b.WriteString(strings.ReplaceAll(roffLine(part), " ", `\ `))
	}
	b.WriteString(".ad b\n.hy\n.PP\n" + roffLine(sentence(n.Purpose)))
	for _, g := range n.groups() {
		if g.name != "" {
			fmt.Fprintf(b, ".PP\n%s:\n", roff(g.name))
		}
		for _, k := range g.words {
			word := k.Word
			if k == n.Subject || k == n.Free {
				word = ""
			}
			fmt.Fprintf(b, ".TP\n%s\n%s", manWord(word, k.Arg), roffLine(sentence(k.explain())))
		}
		if g.name == "" && n.Rest != nil {
			fmt.Fprintf(b, ".TP\n%s\n%s", manWord("--", n.Rest.Arg), roffLine(sentence(n.Rest.Help)))
		}
	}
	for _, note := range n.notes() {
		b.WriteString(".PP\n" + roffLine(note))
	}
	if len(n.Examples) > 0 {
		b.WriteString(".PP\nExamples:\n.RS\n")
		for i, e := range n.Examples {
			if i > 0 {
				b.WriteString(".PP\n")
			}
			fmt.Fprintf(b, ".nf\n%s\n.fi\n", roff(e.Line))
			if e.Text != "" {
				fmt.Fprintf(b, ".RS\n%s.RE\n", roffLine(sentence(e.Text)))
			}
		}
		b.WriteString(".RE\n")
	}
}

func manEnd(b *strings.Builder, n *Node) {
	b.WriteString(`.SH ENVIRONMENT
.TP
.B OUROBOROS_RUNTIME_DIR
Runtime directory of the daemon; \-\-dir goes before it.
.SH EXIT STATUS
.TP
.B 0
Everything was done.
.TP
.B 1
Something failed; a message on standard error names the cause and the next step.
.TP
.B 255
There were no words.
.SH EXAMPLES
`)
	for _, e := range n.Examples {
		fmt.Fprintf(b, ".TP\n.B %s\n%s", roff(e.Line), roffLine(sentence(e.Text)))
	}
	b.WriteString(".SH SEE ALSO\n.BR irmd (8),\n.BR oping (1)\n")
}

// manWord sets a word in bold and its value in italics.
func manWord(word, arg string) string {
	switch {
	case arg == "":
		return ".B " + roff(word)
	case word == "":
		return ".I " + roff(strings.Trim(arg, "<>"))
	}
	return fmt.Sprintf(".BI \"%s \" \"%s\"", roff(word), roff(strings.Trim(arg, "<>")))
}

// sentence gives a line of help a capital letter and a full stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// roff escapes a text for man(7).
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, `"`, `\(dq`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

// roffLine is a line of text of its own.
func roffLine(s string) string { return roff(s) + "\n" }
