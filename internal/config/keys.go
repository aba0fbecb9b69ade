package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"ouroboros/internal/errno"
	"ouroboros/irm"
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
	hint := Suggest(e.name, all)
	if hint == "" {
		hint = "known are " + strings.Join(names, ", ")
	}
	d.fail(e.span, hint, "unknown key %q in %s", e.name, where)
}

// want reports a value that is not what its key wants, wantFor says why.
func (d *decoder) want(e *entry, v *node, want string) { d.wantFor(e, v, want, "") }

func (d *decoder) wantFor(e *entry, v *node, want, why string) {
	got := string(v.kind)
	switch v.kind {
	case aString:
		got = strconv.Quote(v.text)
	case anInteger, aBoolean, aFloat:
		got = v.text
	}
	d.fail(v.span, why, "%q cannot be %s: expected %s", e.name, got, want)
}

// integer is a key whose value lies in r.
func integer[T ~int | ~uint8 | ~uint16 | ~uint32 | ~int64](name string, r irm.Range, dst *T) key {
	want := "an integer from " + r.String()
	if r.Min == r.Max {
		want = r.String()
	}
	return key{name: name, read: func(d *decoder, e *entry) {
		n, ok := number(e.value)
		if !ok || !r.Has(n) {
			d.wantFor(e, e.value, want, r.Why)
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

// path is a key with the path of something; what says of what.
func path(name, what string, dst *string) key {
	return key{name: name, read: func(d *decoder, e *entry) {
		if e.value.kind != aString {
			d.want(e, e.value, "a string: the path of "+what)
			return
		}
		if d.isPath(e.value, what) {
			*dst = e.value.text
		}
	}}
}

// isPath checks what is to be a path.
func (d *decoder) isPath(v *node, what string) bool {
	switch {
	case v.text == "":
		d.fail(v.span, "", "the path of %s is empty", what)
	case len(v.text) > irm.MaxPath:
		d.fail(v.span, "", "the path of %s is %d bytes long: at most %d are possible", what, len(v.text), irm.MaxPath)
	case strings.ContainsRune(v.text, 0):
		d.fail(v.span, "", "the path of %s holds a zero byte", what)
	default:
		return true
	}
	return false
}

// name is a key with the name of something; what says of what.
func name(k, what string, dst *string) key {
	return key{name: k, read: func(d *decoder, e *entry) {
		if e.value.kind != aString {
			d.want(e, e.value, "a string: the "+what)
			return
		}
		if d.named(e.value.span, what, e.value.text) {
			*dst = e.value.text
		}
	}}
}

// named checks what is to be the name of something.
func (d *decoder) named(at span, what, s string) bool { return d.pass(at, irm.CheckName(what, s)) }

// pass reports an error of a check of package irm.
func (d *decoder) pass(at span, err error) bool {
	if err == nil {
		return true
	}
	hint := ""
	text := err.Error()
	var detail *errno.Detail
	if errors.As(err, &detail) {
		text, hint = detail.Cause, detail.Hint
	}
	d.fail(at, hint, "%s", text)
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
			d.fail(e.value.span, Suggest(e.value.text, words), "%q cannot be %q: expected %s", e.name, e.value.text, want)
			return
		}
		*dst = v
	}}
}

// address is a key with an IP address for a layer of type t, udp4 or udp6.
func address(name string, t irm.IPCPType, dst *netip.Addr) key {
	want, sample := "an IPv4 address", "192.0.2.1"
	if t == irm.UDP6 {
		want, sample = "an IPv6 address", "2001:db8::1"
	}
	want += fmt.Sprintf(" such as %q", sample)
	return key{name: name, read: func(d *decoder, e *entry) {
		a, err := netip.ParseAddr(e.value.text)
		switch {
		case e.value.kind != aString, err != nil, irm.CheckIP(t, a) != nil:
			d.want(e, e.value, want)
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
