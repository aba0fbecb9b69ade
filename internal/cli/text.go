package cli

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable escapes what would break a line or command the terminal. Names
// may hold any bytes.
func printable(s string) string {
	clean := utf8.ValidString(s)
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			clean = false
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// json writes v, indented.
func (c *call) json(v any) error {
	e := json.NewEncoder(c.env.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// tidy makes lists and objects that are nil empty ones, so that a script sees
// [] and {} and never null for them.
func tidy(v any) any {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Map:
		m := make(map[string]any, r.Len())
		for _, k := range r.MapKeys() {
			m[fmt.Sprint(k)] = tidy(r.MapIndex(k).Interface())
		}
		return m
	case reflect.Slice, reflect.Array:
		if b, ok := v.([]byte); ok {
			return fmt.Sprintf("%x", b)
		}
		l := make([]any, r.Len())
		for i := range l {
			l[i] = tidy(r.Index(i).Interface())
		}
		return l
	}
	return v
}

// tree writes values of any depth, one line a value, the keys sorted:
//
//	key       value
//	another
//	  inner   value
func (c *call) tree(v map[string]any, indent int) error {
	keys := make([]string, 0, len(v))
	width := 0
	for k := range v {
		keys = append(keys, k)
		width = max(width, len(k))
	}
	sort.Strings(keys)
	for _, k := range keys {
		if err := c.branch(k, v[k], indent, min(width, 24)); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) branch(key string, v any, indent, width int) error {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return c.printf("%*s%-*s  -\n", indent, "", width, printable(key))
		}
		if err := c.printf("%*s%s\n", indent, "", printable(key)); err != nil {
			return err
		}
		return c.tree(v, indent+2)
	case []any:
		if flat, ok := flatten(v); ok {
			return c.printf("%*s%-*s  %s\n", indent, "", width, printable(key), flat)
		}
		for i, e := range v {
			if err := c.branch(fmt.Sprintf("%s %d", key, i+1), e, indent, width); err != nil {
				return err
			}
		}
		return nil
	}
	return c.printf("%*s%-*s  %s\n", indent, "", width, printable(key), scalar(v))
}

// flatten joins a list of plain values.
func flatten(l []any) (string, bool) {
	if len(l) == 0 {
		return "-", true
	}
	words := make([]string, len(l))
	for i, e := range l {
		switch e.(type) {
		case map[string]any, []any:
			return "", false
		}
		words[i] = scalar(e)
	}
	return strings.Join(words, " "), true
}

// scalar writes a number without an exponent, and nothing as a dash.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if v == "" {
			return "-"
		}
		return printable(v)
	}
	return printable(fmt.Sprint(v))
}
