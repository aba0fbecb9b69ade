package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Place is where something stands in a file. Line and Column count from 1;
// a column is a character.
type Place struct {
	Path   string
	Line   int
	Column int
}

func (p Place) String() string {
	return fmt.Sprintf("%s:%d:%d", p.Path, p.Line, p.Column)
}

// Error is something wrong in a configuration file.
type Error struct {
	Place
	Source  string // the line, made fit for printing
	Marked  int    // characters of it that are meant, from Column
	Message string // what is wrong
	Hint    string // what to do; may be empty
	cause   error
}

// Error gives one line: irmd.toml:3:1: unknown key "idr"; did you mean "ip"?
func (e *Error) Error() string {
	s := e.Place.String() + ": " + e.Message
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *Error) Unwrap() error { return e.cause }

// Show gives the error with its line and a marker below it:
//
//	irmd.toml:3:1: unknown key "idr"; did you mean "ip"?
//	  3 | idr = "192.0.2.1"
//	    | ^^^
func (e *Error) Show() string {
	if e.Source == "" {
		return e.Error()
	}
	number := fmt.Sprintf("%3d", e.Line)
	blank := strings.Repeat(" ", len(number))
	// The marker keeps the tabs of the line so that it stands below the same
	// place whatever the width of a tab.
	var indent strings.Builder
	for i, r := range []rune(e.Source) {
		switch {
		case i >= e.Column-1:
		case r == '\t':
			indent.WriteByte('\t')
		default:
			indent.WriteByte(' ')
		}
	}
	return fmt.Sprintf("%s\n%s | %s\n%s | %s%s", e.Error(), number, e.Source, blank,
		indent.String(), strings.Repeat("^", max(1, e.Marked)))
}

// Errors is everything wrong in a file, in its order.
type Errors []*Error

// Error shows each error with its line.
func (e Errors) Error() string {
	shown := make([]string, len(e))
	for i, one := range e {
		shown[i] = one.Show()
	}
	return strings.Join(shown, "\n")
}

// Unwrap gives the single errors to errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// span is a run of bytes of the document.
type span struct{ at, length int }

// maxShown is the longest line that an error shows, in characters.
const maxShown = 160

// errorAt makes an error for a place in the document.
func errorAt(path string, data []byte, s span, message, hint string) *Error {
	s.at = min(max(s.at, 0), len(data))
	start := 1 + bytes.LastIndexByte(data[:s.at], '\n')
	line := 1 + bytes.Count(data[:start], []byte{'\n'})
	end := len(data)
	if i := bytes.IndexByte(data[start:], '\n'); i >= 0 {
		end = start + i
	}
	column := 1 + utf8.RuneCount(data[start:s.at])
	marked := utf8.RuneCount(data[s.at:max(s.at, min(s.at+s.length, end))])
	source := printable(strings.TrimRight(string(data[start:end]), "\r"))
	if column > maxShown {
		source = "" // too far out to be shown usefully
	} else if r := []rune(source); len(r) > maxShown {
		source = string(r[:maxShown])
		marked = min(marked, maxShown-column+1)
	}
	return &Error{
		Place:  Place{Path: path, Line: line, Column: column},
		Source: source, Marked: marked, Message: message, Hint: hint,
	}
}

// printable replaces what could disturb a terminal: an error shows a line
// that may hold anything.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError) {
			return '?'
		}
		return r
	}, s)
}
