package grammar

// Command is a command line understood.
type Command struct {
	Node    *Node
	Options Options
	Args    []string // after "--", or words that the node takes as they are
	Dashes  bool     // "--" was there

	values map[string][]string
}

// Options may stand anywhere before "--".
type Options struct {
	JSON    bool
	Dir     string // runtime directory; empty = not given
	Help    bool   // show the help of Node
	Version bool
	Man     bool // with Help: the manual page
}

// Has reports whether the keyword or flag was given.
func (c *Command) Has(word string) bool { return len(c.values[word]) > 0 }

// Value gives the last value of a keyword, "" when it was not given.
func (c *Command) Value(word string) string {
	v := c.values[word]
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

// Values gives all values of a keyword that accumulates.
func (c *Command) Values(word string) []string { return c.values[word] }

func (c *Command) set(k *Keyword, value string) {
	if k.Many {
		c.values[k.Word] = append(c.values[k.Word], value)
		return
	}
	c.values[k.Word] = []string{value}
}

// Error says what is wrong with a command line.
type Error struct {
	Node  *Node  // where: its help is the next step
	Cause string // "\"zz\" is not a keyword"; empty when only words are missing
	Hint  string // "did you mean \"type\"?"; may be empty
	Usage bool   // the syntax of Node is worth showing
	Code  int    // exit code
}

func (e *Error) Error() string {
	s := e.Cause
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}
