package grammar

import "strings"

// Completion says what a word being typed can become.
type Completion struct {
	Words  []Candidate // known from the grammar, in its order
	Source Source      // and these live values
	Dir    string      // of the daemon to ask for them, if the words say so
	Of     string      // the subject of the words, where the values are of it
}

// Candidate is a word and what it is for.
type Candidate struct{ Word, Help string }

// Complete gives what the last of words can become; words are those after
// "irm". Words before it that are not understood give nothing.
func Complete(root *Node, words []string) Completion {
	if len(words) == 0 {
		words = []string{""}
	}
	done, typed := words[:len(words)-1], words[len(words)-1]
	done, dir, inDir, raw := dropOptions(done)
	if inDir {
		return Completion{Source: Dirs}
	}
	c := root.candidates(done)
	c.Dir = dir
	if !raw && strings.HasPrefix(typed, "-") {
		for _, o := range GlobalOptions() {
			c.Words = append(c.Words, Candidate{o.Word, o.Help})
		}
	}
	var fit []Candidate
	for _, w := range c.Words {
		if strings.HasPrefix(w.Word, typed) {
			fit = append(fit, w)
		}
	}
	c.Words = fit
	return c
}

// dropOptions takes the global options out; dir is the value of --dir; inDir:
// that comes next; raw: "--" was there.
func dropOptions(words []string) (left []string, dir string, inDir, raw bool) {
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w == "--":
			return append(left, words[i:]...), dir, false, true
		case w == "--dir":
			if i++; i == len(words) {
				return left, dir, true, false
			}
			dir = words[i]
		case strings.HasPrefix(w, "--dir="):
			dir = w[len("--dir="):]
		case w == "--json", w == "--version", w == "-h", w == "--help":
		default:
			left = append(left, w)
		}
	}
	return left, dir, false, false
}

// candidates gives what can follow words below n.
func (n *Node) candidates(words []string) Completion {
	for !n.Leaf() {
		if len(words) == 0 {
			return n.subCandidates()
		}
		sub := n.child(words[0])
		if sub == nil {
			return Completion{}
		}
		words = words[1:]
		if sub.IsHelp() {
			return n.helpCandidates(words)
		}
		n = sub
	}
	return n.leafCandidates(words)
}

func (n *Node) subCandidates() Completion {
	var c Completion
	for _, s := range n.Sub {
		if !s.Hidden {
			c.Words = append(c.Words, Candidate{s.Word, s.Purpose})
		}
	}
	return c
}

// helpCandidates completes the words after help: nodes alone.
func (n *Node) helpCandidates(words []string) Completion {
	for _, w := range words {
		if n.Leaf() {
			return Completion{}
		}
		if n = n.child(w); n == nil {
			return Completion{}
		}
	}
	if n.Leaf() {
		return Completion{}
	}
	return n.subCandidates()
}

func (n *Node) leafCandidates(words []string) Completion {
	used := map[string]bool{}
	of := ""
	if n.Subject != nil {
		for len(words) > 0 {
			k := n.leadingFlag(words[0])
			if k == nil {
				break
			}
			used[k.Word] = true
			words = words[1:]
		}
		if len(words) > 0 && words[0] == "--" {
			words = words[1:]
		}
		if len(words) > 0 && n.Named && words[0] == n.Subject.Word {
			words = words[1:]
		}
		if len(words) == 0 {
			return n.Subject.values()
		}
		of = words[0]
		words = words[1:]
	}
	for len(words) > 0 {
		if words[0] == "--" && n.Rest != nil {
			return Completion{Source: Files}
		}
		k := n.match(words[0])
		switch {
		case k == nil && n.Free != nil:
			used[n.Free.Word] = true
			words = words[1:]
		case k == nil:
			return Completion{}
		case k.Arg == "":
			used[k.Word] = true
			words = words[1:]
		case len(words) == 1:
			c := k.values()
			c.Of = of
			return c
		default:
			used[k.Word] = true
			words = words[2:]
		}
	}
	var c Completion
	for _, k := range n.Keywords {
		if !k.Repeat && (k.Many || !used[k.Word]) {
			c.Words = append(c.Words, Candidate{k.Word, k.Help})
		}
	}
	if n.Rest != nil {
		c.Words = append(c.Words, Candidate{"--", n.Rest.Help})
	}
	if n.Free != nil && !used[n.Free.Word] {
		c.Source = n.Free.Source
	}
	return c
}

func (k *Keyword) values() Completion {
	c := Completion{Source: k.Source}
	for _, w := range k.Words {
		c.Words = append(c.Words, Candidate{w, ""})
	}
	return c
}
