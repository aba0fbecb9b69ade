// Package table writes tables of text, right-aligned, in the form that scripts
// know:
//
//	+---------+----------------------+
//	|     pid |                 name |
//	+---------+----------------------+
//	| 4194305 |                   l1 |
//	+---------+----------------------+
//
// A column has a least width; a longer value is never cut and pushes the rest
// of its line to the right.
package table

import (
	"io"
	"strings"
)

// Column is a heading and the least width of the values below it.
type Column struct {
	Title string
	Width int
}

// Write writes the table. A row has a value for each column.
func Write(w io.Writer, columns []Column, rows [][]string) error {
	var b strings.Builder
	rule(&b, columns)
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.Title
	}
	line(&b, columns, titles)
	rule(&b, columns)
	for _, r := range rows {
		line(&b, columns, r)
	}
	rule(&b, columns)
	_, err := io.WriteString(w, b.String())
	return err
}

func rule(b *strings.Builder, columns []Column) {
	for _, c := range columns {
		b.WriteByte('+')
		b.WriteString(strings.Repeat("-", c.Width+2))
	}
	b.WriteString("+\n")
}

// line pads by bytes, as scripts count them.
func line(b *strings.Builder, columns []Column, values []string) {
	for i, c := range columns {
		b.WriteString("| ")
		b.WriteString(strings.Repeat(" ", max(0, c.Width-len(values[i]))))
		b.WriteString(values[i])
		b.WriteByte(' ')
	}
	b.WriteString("|\n")
}

// Fit widens columns to the longest of their values.
func Fit(columns []Column, rows [][]string) []Column {
	fit := make([]Column, len(columns))
	for i, c := range columns {
		fit[i] = Column{c.Title, max(c.Width, len(c.Title))}
		for _, r := range rows {
			fit[i].Width = max(fit[i].Width, len(r[i]))
		}
	}
	return fit
}
