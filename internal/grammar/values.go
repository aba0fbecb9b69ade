package grammar

import (
	"net/netip"
	"strconv"
	"strings"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// Checks of values. What a value means is decided here once; the executor
// reads it with the functions at the end.

// number is the check of a decimal number in r.
func number(word string, r irm.Range) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || s[0] == '+' {
			return errno.New(errno.Invalid, "keyword %q cannot be %q", word, s).Next("%s", r.Hint())
		}
		if !r.Has(n) {
			return errno.New(errno.Invalid, "keyword %q cannot be %s", word, s).Next("%s", r.Hint())
		}
		return nil
	}
}

// text is the check of a name, or of the name of an IPCP or a layer.
func text(what string) func(string) error {
	return func(s string) error { return irm.CheckName(what, s) }
}

// path is the check of a file for the security of a name.
func path(word string) func(string) error {
	return func(s string) error {
		switch {
		case s == "":
			return errno.New(errno.Invalid, "keyword %q is empty", word).Next("give the path of a file")
		case len(s) > irm.MaxPath:
			return errno.New(errno.Invalid, "the path for %q is %d bytes long", word, len(s)).
				Next("it can have %d", irm.MaxPath)
		}
		return nil
	}
}

// address is the check of an IP address of either family.
func address(word string) func(string) error {
	return func(s string) error {
		if _, err := netip.ParseAddr(s); err != nil {
			return errno.New(errno.Invalid, "keyword %q cannot be %q: that is no IP address", word, s).
				Next("give one such as 192.0.2.1 or 2001:db8::1")
		}
		return nil
	}
}

func ethertype(s string) error {
	n, err := Ethertype(s)
	if err != nil || !irm.EthertypeRange.Has(int64(n)) {
		return errno.New(errno.Invalid, "keyword %q cannot be %q", "ethertype", s).
			Next("it can be 0x0600 to 0xFFFE; 0xA000 to 0xEFFF are free of well-known protocols")
	}
	return nil
}

func pid(s string) error {
	if n, err := strconv.ParseInt(s, 10, 32); err != nil || n <= 0 || s[0] == '+' {
		return errno.New(errno.Invalid, "%q is not a process id", s).
			Next("give the number that ps or irm process list shows")
	}
	return nil
}

func count(s string) error {
	if n, err := strconv.ParseInt(s, 10, 32); err != nil || n <= 0 || s[0] == '+' {
		return errno.New(errno.Invalid, "keyword %q cannot be %q", "count", s).Next("give a number above 0")
	}
	return nil
}

// accept makes the check of a word from a function of package irm.
func accept[T any](parse func(string) (T, bool)) func(string) bool {
	return func(s string) bool {
		_, ok := parse(s)
		return ok
	}
}

// Ethertype reads a value of the keyword ethertype: hexadecimal, with 0x or
// without.
func Ethertype(s string) (uint16, error) {
	digits := s
	if len(s) > 2 && (strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X")) {
		digits = s[2:]
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	return uint16(n), err
}

// Number reads a value that Parse has checked.
func Number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
