package grammar

import (
	"fmt"
	"strings"
)

// MaxMany is how often an accumulating keyword can be given.
const MaxMany = 128

// Exit codes of a command line that is not understood.
const (
	CodeFailure = 1
	CodeNothing = 255 // irm alone
)

// Parse understands the words after "irm". A failure is an *Error.
func Parse(root *Node, args []string) (*Command, error) {
	c := &Command{Node: root, values: map[string][]string{}}
	words, err := c.takeOptions(root, args)
	if err != nil {
		return nil, err
	}
	if c.Options.Version {
		return c, nil
	}

	n := root
	for !n.Leaf() {
		if len(words) == 0 || words[0] == "--" {
			return c.stopAt(n)
		}
		sub := n.child(words[0])
		if sub == nil {
			if c.Options.Help {
				return c.stopAt(n)
			}
			return nil, unknownWord(n, words[0])
		}
		n, words = sub, words[1:]
	}
	c.Node = n

	switch {
	case n.IsHelp():
		return c.help(n.parent, words)
	case c.Options.Help:
		return c, nil
	case len(words) == 1 && words[0] == helpWord:
		c.Options.Help = true
		return c, nil
	}
	if err := c.parseLeaf(words); err != nil {
		return nil, err
	}
	return c, nil
}

// stopAt ends at an object without operation.
func (c *Command) stopAt(n *Node) (*Command, error) {
	c.Node = n
	if c.Options.Help {
		return c, nil
	}
	code := CodeFailure
	if n.parent == nil {
		code = CodeNothing
	}
	return nil, &Error{Node: n, Usage: true, Code: code}
}

// help finds the node that the words after help stand for.
func (c *Command) help(n *Node, words []string) (*Command, error) {
	c.Options.Help = true
	for _, w := range words {
		if w == "--man" {
			c.Options.Man = true
			continue
		}
		if n.Leaf() {
			break
		}
		sub := n.child(w)
		if sub == nil {
			return nil, unknownWord(n, w)
		}
		if !sub.IsHelp() {
			n = sub
		}
	}
	c.Node = n
	return c, nil
}

// takeOptions takes the options out of the words before "--".
func (c *Command) takeOptions(root *Node, args []string) ([]string, error) {
	var words []string
	for i := 0; i < len(args); i++ {
		w := args[i]
		switch {
		case w == "--":
			return append(words, args[i:]...), nil
		case w == "--json":
			c.Options.JSON = true
		case w == "--version":
			c.Options.Version = true
		case w == "-h", w == "--help":
			c.Options.Help = true
		case w == "--dir":
			if i++; i == len(args) || args[i] == "" || args[i] == "--" {
				return nil, &Error{Node: root, Code: CodeFailure,
					Cause: `option "--dir" needs a value`, Hint: "give the runtime directory of the daemon"}
			}
			c.Options.Dir = args[i]
		case strings.HasPrefix(w, "--dir="):
			if c.Options.Dir = w[len("--dir="):]; c.Options.Dir == "" {
				return nil, &Error{Node: root, Code: CodeFailure,
					Cause: `option "--dir" needs a value`, Hint: "give the runtime directory of the daemon"}
			}
		default:
			words = append(words, w)
		}
	}
	return words, nil
}

// parseLeaf reads subject, keywords and the rest of an operation.
func (c *Command) parseLeaf(words []string) error {
	n := c.Node
	for n.Subject != nil && len(words) > 0 {
		k := n.leadingFlag(words[0])
		if k == nil {
			break
		}
		c.set(k, words[0])
		words = words[1:]
	}
	if n.Subject != nil && len(words) > 0 {
		if words[0] == "--" {
			words = words[1:] // the next word is the subject, whatever it looks like
		} else if n.Named && len(words) > 1 && words[0] == n.Subject.Word {
			words = words[1:]
		}
		if len(words) > 0 {
			if err := c.take(n.Subject, words[0]); err != nil {
				return err
			}
			words = words[1:]
		}
	}
	for len(words) > 0 {
		w := words[0]
		if w == "--" && n.Rest != nil {
			c.Dashes, c.Args = true, words[1:]
			break
		}
		k := n.match(w)
		switch {
		case k == nil && n.Free != nil && !strings.HasPrefix(w, "-"),
			k != nil && n.Free != nil && k.Arg != "" && len(words) == 1:
			// A word of its own; so is a keyword that has nothing after it.
			if err := c.take(n.Free, w); err != nil {
				return err
			}
			words = words[1:]
		case k == nil:
			return unknownKeyword(n, w)
		case k.Arg == "":
			c.set(k, w)
			words = words[1:]
		case len(words) == 1:
			return needsValue(n, k)
		default:
			if err := c.take(k, words[1]); err != nil {
				return err
			}
			words = words[2:]
		}
	}
	return c.complete()
}

// leadingFlag gives the flag, such as --dot, that a word before the subject is;
// nil when it is none.
func (n *Node) leadingFlag(word string) *Keyword {
	if !strings.HasPrefix(word, "-") {
		return nil
	}
	if k := n.match(word); k != nil && k.Arg == "" {
		return k
	}
	return nil
}

// take checks a value and keeps it.
func (c *Command) take(k *Keyword, value string) error {
	v, err := k.read(c.Node, value)
	if err != nil {
		return err
	}
	if k.Many && len(c.values[k.Word]) == MaxMany {
		return &Error{Node: c.Node, Code: CodeFailure,
			Cause: fmt.Sprintf("keyword %q is given more than %d times", k.Word, MaxMany),
			Hint:  "use a pattern such as *, or several commands"}
	}
	c.set(k, v)
	return nil
}

// complete checks that nothing is missing.
func (c *Command) complete() error {
	n := c.Node
	for _, k := range n.words() {
		if k.Required && !c.Has(k.Word) {
			return &Error{Node: n, Usage: true, Code: CodeFailure, Cause: n.missing(k)}
		}
	}
	if len(n.AnyOf) == 0 {
		return nil
	}
	for _, w := range n.AnyOf {
		if c.Has(w) {
			return nil
		}
	}
	return &Error{Node: n, Usage: true, Code: CodeFailure,
		Cause: fmt.Sprintf("%s needs at least one of the keywords %s", n.Path(), list(n.AnyOf))}
}

func (n *Node) missing(k *Keyword) string {
	if k == n.Subject {
		return fmt.Sprintf("%s needs %s: %s", n.Path(), k.Arg, k.Help)
	}
	return fmt.Sprintf("%s needs the keyword %q: %s", n.Path(), k.Word, k.Help)
}

// read checks a value and gives its one spelling.
func (k *Keyword) read(n *Node, value string) (string, error) {
	fail := func(cause, hint string) (string, error) {
		return "", &Error{Node: n, Cause: cause, Hint: hint, Code: CodeFailure}
	}
	switch {
	case k.Abbrev:
		for _, w := range k.Words {
			if strings.HasPrefix(w, value) {
				return w, nil
			}
		}
		fallthrough
	case k.Accept != nil && !k.Accept(value),
		k.Accept == nil && k.Check == nil && len(k.Words) > 0 && !has(k.Words, value):
		hint := "it can be " + list(k.Words)
		if near := Nearest(value, k.Words); near != "" {
			hint = fmt.Sprintf("did you mean %q? It can be %s", near, list(k.Words))
		}
		what := fmt.Sprintf("keyword %q", k.Word)
		if k == n.Subject {
			what = k.Arg
		}
		return fail(fmt.Sprintf("%s cannot be %q", what, value), hint)
	case k.Check != nil:
		if err := k.Check(value); err != nil {
			return fail(err.Error(), "")
		}
	}
	if k.Canon != nil {
		value = k.Canon(value)
	}
	return value, nil
}

func unknownWord(n *Node, word string) error {
	e := &Error{Node: n, Cause: fmt.Sprintf("%q is unknown after %q", word, n.Line()), Code: CodeFailure}
	if near := Nearest(word, n.subWords()); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	} else {
		e.Hint = "possible: " + list(n.subWords())
	}
	return e
}

func unknownKeyword(n *Node, word string) error {
	e := &Error{Node: n, Cause: fmt.Sprintf("%q is not a keyword of %q", word, n.Line()), Code: CodeFailure}
	var known []string
	for _, k := range n.Keywords {
		known = append(append(known, k.Word), k.Also...)
	}
	options := []string{"--json", "--dir", "--version", "--help"}
	switch near := Nearest(word, append(known, options...)); {
	case near != "":
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	case n.Rest != nil:
		e.Hint = `put the arguments of the program after "--"`
	case len(known) == 0:
		e.Hint = "it takes no keywords"
	case len(known) <= 8:
		e.Hint = "possible: " + list(known)
	}
	return e
}

func needsValue(n *Node, k *Keyword) error {
	want := k.Help
	if len(k.Words) > 0 {
		want = list(k.Words)
	}
	return &Error{Node: n, Code: CodeFailure, Cause: fmt.Sprintf("keyword %q needs a value: %s", k.Word, want)}
}

// subWords lists the words below n that help shows.
func (n *Node) subWords() []string {
	var words []string
	for _, s := range n.Sub {
		if !s.Hidden {
			words = append(words, s.Word)
		}
	}
	return words
}

func has(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// list joins words for a sentence.
func list(words []string) string { return strings.Join(words, ", ") }
