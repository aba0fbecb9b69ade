// Package grammar is the language of the command irm: a tree of words, each
// operation with its keywords, what their values can be, and help. One tree
// is the source of parsing, help, completion in the shell and the manual page.
//
//	irm OBJECT OPERATION [SUBJECT] [KEYWORD VALUE]... [-- ARGUMENT...]
//
//	irm ─┬─ ipcp ─┬─ create     keywords: type, name
//	     │        ├─ destroy    keywords: name
//	     │        └─ ...
//	     ├─ bind ─┬─ program    subject; keywords: program, name, auto; --
//	     │        └─ ...
//	     └─ ...
//
// A word matches a candidate that it is a prefix of, and of several the one
// that comes first; so an empty word matches the first. Keywords come in any
// order; of a repeated one the last value counts, unless it accumulates.
// Candidates that were added later stand after the older ones, so that an
// abbreviation keeps its meaning.
//
// The options --json, --dir DIR, --version, -h and --help may stand anywhere
// before "--".
package grammar

import "strings"

// Node is an object such as "ipcp", or an operation such as "create".
type Node struct {
	Word    string
	Purpose string // one line, without a full stop

	// An object has operations below it.
	Sub []*Node

	// An operation may have a first word that is no keyword, keywords, a word
	// that is none of the keywords, and words after "--".
	Subject  *Keyword
	Named    bool // the keyword of the subject may stand before it
	Keywords []*Keyword
	Free     *Keyword
	Rest     *Rest

	AnyOf    []string  // at least one of these keywords is needed
	Notes    []string  // paragraphs for the help
	Examples []Example // at least one for an operation
	JSON     []string  // fields of what --json prints, or of each of its elements
	List     bool      // --json prints a list
	Hidden   bool      // not in help and completion

	parent *Node
}

// Rest is what comes after "--".
type Rest struct{ Arg, Help string }

// Example is a command line and what it is for.
type Example struct{ Line, Text string }

// Keyword is a word with a value, or a flag.
type Keyword struct {
	Word  string
	Also  []string // other spellings, tried after the keywords of the node
	Exact bool     // cannot be abbreviated

	Arg      string // what the value is, as in "<ipcp>"; empty for a flag
	Help     string // one line
	Default  string // as shown; empty = none
	Required bool
	Many     bool   // accumulates
	Repeat   bool   // only repeats the subject
	Group    string // heading in the help, as in "type unicast"

	Words  []string            // what the value can be
	Abbrev bool                // the value may be abbreviated, in the order of Words
	Accept func(string) bool   // instead of Words: other spellings too
	Check  func(string) error  // of a value that is none of a few words
	Source Source              // of completion
	Canon  func(string) string // the one spelling that the executor sees
}

// Source is where live values for completion come from.
type Source int

// The sources.
const (
	NoSource   Source = iota
	IPCPs             // names of IPCPs
	Names             // registered names
	Layers            // layers that an IPCP is in
	Peers             // names and layers
	Programs          // bound programs
	Processes         // pids of processes that use the node
	Commands          // executables: PATH and files
	Files             // paths
	Dirs              // directories
	Devices           // network interfaces
	Members           // layers, and IPCPs that are in one
	Components        // of the IPCPs that the subject names
)

// link sets the parents below n.
func (n *Node) link() *Node {
	for _, s := range n.Sub {
		s.parent = n
		s.link()
	}
	return n
}

// Parent gives the node above; nil for irm itself.
func (n *Node) Parent() *Node { return n.parent }

// Path gives the words from irm down to the node, irm itself left out: "ipcp
// create".
func (n *Node) Path() string {
	if n.parent == nil {
		return ""
	}
	return strings.TrimSpace(n.parent.Path() + " " + n.Word)
}

// Line gives the words that call the node: "irm ipcp create".
func (n *Node) Line() string {
	if n.parent == nil {
		return n.Word
	}
	return n.parent.Line() + " " + n.Word
}

// IsHelp reports whether the node is the help word of its parent.
func (n *Node) IsHelp() bool { return n.Word == helpWord && n.parent != nil }

// Leaf reports whether the node is an operation.
func (n *Node) Leaf() bool { return len(n.Sub) == 0 }

// Leaves gives the operations at and below n in order, help words left out.
func (n *Node) Leaves() []*Node {
	if n.Leaf() {
		if n.IsHelp() {
			return nil
		}
		return []*Node{n}
	}
	var all []*Node
	for _, s := range n.Sub {
		all = append(all, s.Leaves()...)
	}
	return all
}

// keyword gives the keyword, subject or free word of that name; nil when there
// is none.
func (n *Node) keyword(word string) *Keyword {
	for _, k := range n.words() {
		if k.Word == word {
			return k
		}
	}
	return nil
}

// words lists all that takes a value: subject, keywords, free word.
func (n *Node) words() []*Keyword {
	var all []*Keyword
	if n.Subject != nil {
		all = append(all, n.Subject)
	}
	for _, k := range n.Keywords {
		if !k.Repeat {
			all = append(all, k)
		}
	}
	if n.Free != nil {
		all = append(all, n.Free)
	}
	return all
}

// jsonNote says what --json prints; empty when it prints nothing.
func (n *Node) jsonNote() string {
	switch {
	case len(n.JSON) == 0:
		return ""
	case n.List:
		return "With --json it prints a list of objects with the fields " + strings.Join(n.JSON, ", ") + "."
	}
	return "With --json it prints an object with the fields " + strings.Join(n.JSON, ", ") + "."
}

const helpWord = "help"
