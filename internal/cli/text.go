package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
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

// tidy brings what components show into the form that JSON has, also when no
// daemon stands between: objects are map[string]any, lists []any, bytes are
// hexadecimal. Lists and objects that are nil become empty ones, so that a
// script sees [] and {} and never null for them.
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
	case reflect.Struct, reflect.Pointer:
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var plain any
		if d.Decode(&plain) != nil {
			return fmt.Sprint(v)
		}
		return tidy(plain)
	}
	return v
}

// scalar writes a number without an exponent and with three decimals at most,
// and nothing as a dash.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case float64:
		if v != math.Trunc(v) {
			v = math.Round(v*1000) / 1000
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if v == "" {
			return "-"
		}
		return printable(v)
	}
	return printable(fmt.Sprint(v))
}
