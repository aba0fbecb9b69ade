package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// key is one key that a table may hold: its name, other spellings of it, and
// how its value is read.
type key struct {
	name string
	also []string
	read func(d *decoder, e *entry)

	alien bool // belongs elsewhere and is read only to say so
}

// spelled adds other spellings.
func (k key) spelled(also ...string) key {
	k.also = append(k.also, also...)
	return k
}

// decoder reads tables and collects what is wrong with them.
type decoder struct {
	path     string
	data     []byte
	errs     Errors
	warnings []*Error
}

// maxErrors is how many errors of one file are reported.
const maxErrors = 50

func (d *decoder) fail(at span, hint, format string, args ...any) {
	if len(d.errs) < maxErrors {
		d.errs = append(d.errs, errorAt(d.path, d.data, at, fmt.Sprintf(format, args...), hint))
	}
}

func (d *decoder) warn(at span, hint, format string, args ...any) {
	if len(d.warnings) < maxErrors {
		d.warnings = append(d.warnings, errorAt(d.path, d.data, at, fmt.Sprintf(format, args...), hint))
	}
}

func (d *decoder) place(at span) Place { return errorAt(d.path, d.data, at, "", "").Place }

// table reads the table t, called where in messages, and gives the entries
// that were there by the names of their keys.
func (d *decoder) table(where string, e *entry, keys []key) map[string]*entry {
	seen := map[string]*entry{}
	if e.value.kind != aTable {
		d.fail(e.value.span, "", "%s is %s: expected a table", where, e.value.kind)
		return seen
	}
	for _, e := range e.value.keys {
		k := match(keys, e.name)
		if k == nil {
			d.unknown(where, e, keys)
			continue
		}
		if first := seen[k.name]; first != nil {
			d.fail(e.span, "keep one of them", "%q says the same as %q on line %d", e.name, first.name, d.place(first.span).Line)
			continue
		}
		seen[k.name] = e
		k.read(d, e)
	}
	return seen
}

func match(keys []key, name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
		for _, a := range keys[i].also {
			if a == name {
				return &keys[i]
			}
		}
	}
	return nil
}

func (d *decoder) unknown(where string, e *entry, keys []key) {
	var names, all []string
	for _, k := range keys {
		if k.alien {
			continue
		}
		names = append(names, k.name)
		all = append(append(all, k.name), k.also...)
	}
	hint := suggest(e.name, all)
	if hint == "" {
		hint = "known are " + strings.Join(names, ", ")
	}
	d.fail(e.span, hint, "unknown key %q in %s", e.name, where)
}

// want reports a value that is not what its key wants.
func (d *decoder) want(e *entry, v *node, want string) {
	got := string(v.kind)
	switch v.kind {
	case aString:
		got = strconv.Quote(v.text)
	case anInteger, aBoolean, aFloat:
		got = v.text
	}
	d.fail(v.span, "", "%q cannot be %s: expected %s", e.name, got, want)
}

// integer is a key whose value lies in lo..hi.
func integer[T ~int | ~uint8 | ~uint16 | ~uint32 | ~int64](name string, lo, hi int64, dst *T) key {
	want := fmt.Sprintf("an integer from %d to %d", lo, hi)
	if lo == hi {
		want = strconv.FormatInt(lo, 10)
	}
	return key{name: name, read: func(d *decoder, e *entry) {
		n, ok := number(e.value)
		if !ok || n < lo || n > hi {
			d.want(e, e.value, want)
			return
		}
		*dst = T(n)
	}}
}

// number understands the integers of TOML: 4, 1_000, 0xA000, 0o17, 0b11.
func number(v *node) (int64, bool) {
	if v.kind != anInteger {
		return 0, false
	}
	text := strings.TrimPrefix(v.text, "+")
	n, err := strconv.ParseInt(text, 0, 64)
	return n, err == nil
}

// boolean is a key that is true or false.
func boolean(name string, dst *bool) key {
	return key{name: name, read: func(d *decoder, e *entry) {
		if e.value.kind != aBoolean {
			d.want(e, e.value, "true or false")
			return
		}
		*dst = e.value.text == "true"
	}}
}

// text is a key with a string of 1 to longest bytes; what says what for.
func text(name, what string, longest int, dst *string) key {
	return key{name: name, read: func(d *decoder, e *entry) {
		if e.value.kind != aString {
			d.want(e, e.value, "a string: "+what)
			return
		}
		if d.fits(e.value, what, longest) {
			*dst = e.value.text
		}
	}}
}

// fits checks the length of a string, and that C programs can hold it.
func (d *decoder) fits(v *node, what string, longest int) bool {
	return d.fitsText(v.span, v.text, what, longest)
}

func (d *decoder) fitsText(at span, text, what string, longest int) bool {
	switch {
	case text == "":
		d.fail(at, "", "%s is empty", what)
	case len(text) > longest:
		d.fail(at, "", "%s has %d bytes: at most %d are possible", what, len(text), longest)
	case strings.ContainsRune(text, 0):
		d.fail(at, "", "%s holds a zero byte", what)
	default:
		return true
	}
	return false
}

// word is a key whose value is one of the words that parse understands.
func word[T any](name, what string, words []string, parse func(string) (T, bool), dst *T) key {
	want := what + ": " + either(words)
	return key{name: name, read: func(d *decoder, e *entry) {
		if e.value.kind != aString {
			d.want(e, e.value, want)
			return
		}
		v, ok := parse(e.value.text)
		if !ok {
			d.fail(e.value.span, suggest(e.value.text, words), "%q cannot be %q: expected %s", e.name, e.value.text, want)
			return
		}
		*dst = v
	}}
}

// address is a key with an IP address; v6 says of which version.
func address(name string, v6 bool, dst *netip.Addr) key {
	want, sample := "an IPv4 address", "192.0.2.1"
	if v6 {
		want, sample = "an IPv6 address", "2001:db8::1"
	}
	want += fmt.Sprintf(" such as %q", sample)
	return key{name: name, read: func(d *decoder, e *entry) {
		a, err := netip.ParseAddr(e.value.text)
		switch {
		case e.value.kind != aString, err != nil, a.Is4() == v6, a.Is4In6(), a.Zone() != "" && !a.IsLinkLocalUnicast():
			d.want(e, e.value, want)
		case a.IsUnspecified():
			d.fail(e.value.span, "", "%q cannot be %q: expected the address of one interface", e.name, e.value.text)
		default:
			*dst = a
		}
	}}
}

// list is a key with an array of strings; item checks and takes each.
func list(name, what string, item func(d *decoder, v *node)) key {
	want := "an array of strings: " + what
	return key{name: name, read: func(d *decoder, e *entry) {
		if e.value.kind != anArray {
			sample := ""
			if e.value.kind == aString {
				sample = fmt.Sprintf(", as in [%q]", e.value.text)
			}
			d.want(e, e.value, want+sample)
			return
		}
		for _, v := range e.value.items {
			if v.kind != aString {
				d.want(e, v, want)
				continue
			}
			item(d, v)
		}
	}}
}

// seconds is a key with a duration in whole seconds.
func seconds(name string, lo, hi int64, dst *time.Duration) key {
	var n int64
	k := integer(name, lo, hi, &n)
	return key{name: name, read: func(d *decoder, e *entry) {
		n = -1
		k.read(d, e)
		if n >= 0 {
			*dst = time.Duration(n) * time.Second
		}
	}}
}
