// Package args reads the command lines of the test tools.
//
// The grammar is a plain one: each word is an option, an option that takes a
// value consumes the next word whatever it is, and nothing is abbreviated or
// run together. A long option may also carry its value after "=".
//
//	oping -n NAME -c 3 --interval 200ms
//	      │  └ value of -n
//	      └ option
package args

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// ErrHelp and ErrVersion are returned by Parse for --help and --version.
var (
	ErrHelp    = errors.New("help asked for")
	ErrVersion = errors.New("version asked for")
)

// UsageError is a mistake in the command line. Its text is a sentence for the
// user, and names the word.
type UsageError struct {
	text string
	lost bool
}

func (e *UsageError) Error() string { return e.text }

// Errorf makes a UsageError.
func Errorf(format string, a ...any) error {
	return &UsageError{text: fmt.Sprintf(format, a...)}
}

// Lost makes the UsageError of a command line without what it is about: whoever
// typed it needs the whole help, where one wrong word needs a line.
func Lost(format string, a ...any) error {
	return &UsageError{text: fmt.Sprintf(format, a...), lost: true}
}

// option is one line of the help text.
type option struct {
	short string // "-c"; may be empty
	long  string // "--count"; may be empty
	alias string // another long spelling, not shown
	value string // what the value is called in the help; empty = takes none
	help  string
	set   func(value string) error
}

func (o *option) match(word string) bool {
	return word == o.short || word == o.long || word == o.alias
}

// Set is the command line of one tool.
type Set struct {
	tool    string
	about   string
	options []*option
	titles  map[int]string // heads of groups, by the index of the first option
}

// New makes a Set that knows --help and --version. about says in a sentence
// what the tool is for.
func New(tool, about string) *Set {
	return &Set{tool: tool, about: about, titles: make(map[int]string)}
}

// Group starts a group of options in the help text.
func (s *Set) Group(title string) { s.titles[len(s.options)] = title }

// Flag adds an option without a value. An empty short or long name is none.
func (s *Set) Flag(p *bool, short, long, help string) {
	s.Do(func() { *p = true }, short, long, help)
}

// Do adds an option without a value that calls set.
func (s *Set) Do(set func(), short, long, help string) {
	s.options = append(s.options, &option{short: short, long: long, help: help,
		set: func(string) error { set(); return nil }})
}

// Func adds an option whose value is given to set. A UsageError of set is
// returned by Parse as it is; to any other the option and the word are added.
func (s *Set) Func(set func(value string) error, short, long, value, help string) {
	s.options = append(s.options, &option{short: short, long: long, value: value, help: help, set: set})
}

// String adds an option whose value is kept as it is.
func (s *Set) String(p *string, short, long, value, help string) {
	s.Func(func(v string) error { *p = v; return nil }, short, long, value, help)
}

// Int adds an option with a whole number.
func (s *Set) Int(p *int64, short, long, value, help string) {
	s.Func(func(v string) (err error) { *p, err = ParseInt(v); return err }, short, long, value, help)
}

// Duration adds an option with a time; a number without a unit counts plain.
func (s *Set) Duration(p *time.Duration, plain time.Duration, short, long, value, help string) {
	s.Func(func(v string) (err error) { *p, err = ParseDuration(v, plain); return err }, short, long, value, help)
}

// Alias gives the option added last another long spelling.
func (s *Set) Alias(long string) { s.options[len(s.options)-1].alias = long }

// Parse reads the words after the name of the program. The error is ErrHelp,
// ErrVersion or a UsageError.
func (s *Set) Parse(words []string) error {
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch word {
		case "--help", "-h":
			return ErrHelp
		case "--version":
			return ErrVersion
		}
		name, value, joined := word, "", false
		if strings.HasPrefix(word, "--") {
			name, value, joined = strings.Cut(word, "=")
		}
		o := s.find(name)
		switch {
		case o == nil && strings.HasPrefix(word, "-") && len(word) > 1:
			return Errorf("Unknown option: %s.", word)
		case o == nil:
			return Errorf("Unexpected word: %q. Every word must be an option or its value.", word)
		case o.value == "" && joined:
			return Errorf("Option %s takes no value, but %q gives one.", name, word)
		case o.value != "" && !joined:
			if i++; i == len(words) {
				return Errorf("Option %s needs a value: %s.", word, o.value)
			}
			value = words[i]
		}
		if err := o.set(value); err != nil {
			var usage *UsageError
			if errors.As(err, &usage) {
				return err
			}
			return Errorf("%q is no value for %s: %v.", value, name, err)
		}
	}
	return nil
}

func (s *Set) find(name string) *option {
	if name == "" {
		return nil
	}
	for _, o := range s.options {
		if o.match(name) {
			return o
		}
	}
	return nil
}

// WriteMistake writes an error of Parse, and what to do next.
func (s *Set) WriteMistake(w io.Writer, err error) {
	var usage *UsageError
	if errors.As(err, &usage) && usage.lost {
		fmt.Fprintf(w, "%v\n\n", err)
		s.Usage(w)
		return
	}
	fmt.Fprintf(w, "%v\nTry: %s --help\n", err, s.tool)
}

// Usage writes the help text.
func (s *Set) Usage(w io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s [OPTION]...\n\n%s\n\n", s.tool, s.about)
	for i, o := range s.options {
		if title, ok := s.titles[i]; ok {
			if i > 0 {
				b.WriteByte('\n')
			}
			if title != "" {
				fmt.Fprintf(&b, "%s:\n", title)
			}
		}
		writeOption(&b, o)
	}
	b.WriteByte('\n')
	writeOption(&b, &option{long: "--version", help: "Print the version and exit"})
	writeOption(&b, &option{short: "-h", long: "--help", help: "Print this text and exit"})
	io.WriteString(w, b.String())
}

// helpColumn is where the explanations of the options start.
const helpColumn = 29

func writeOption(b *strings.Builder, o *option) {
	head := "      "
	if o.short != "" {
		head = "  " + o.short + ", "
		if o.long == "" {
			head = "  " + o.short
		}
	}
	head += o.long
	if o.value != "" {
		head += " " + o.value
	}
	if len(head) > helpColumn-2 {
		b.WriteString(head + "\n")
		head = ""
	}
	for line := range strings.Lines(o.help + "\n") {
		fmt.Fprintf(b, "%-*s%s", helpColumn, head, line)
		head = ""
	}
}
