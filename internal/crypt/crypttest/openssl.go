package crypttest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// OpenSSL runs the program of that name, another implementation of the same
// algorithms, in a directory of its own.
type OpenSSL struct {
	Dir string // in which it runs

	path string
}

// FindOpenSSL gives the program in PATH if it knows an algorithm, and skips the
// test if it does not.
func FindOpenSSL(tb testing.TB, algorithm string) *OpenSSL {
	tb.Helper()
	o, why := LookOpenSSL(tb, algorithm)
	if o == nil {
		tb.Skip(why)
	}
	return o
}

// LookOpenSSL gives the program in PATH if it knows an algorithm that stands
// against quantum computers, "" being none: those it has from version 3.5 on. Else
// it says why there is none.
func LookOpenSSL(tb testing.TB, algorithm string) (o *OpenSSL, why string) {
	tb.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		return nil, "there is no openssl in PATH to compare with"
	}
	for _, of := range []string{"-signature-algorithms", "-kem-algorithms"} {
		out, err := exec.Command(path, "list", of).Output()
		if err == nil && strings.Contains(string(out), algorithm) {
			return &OpenSSL{tb.TempDir(), path}, ""
		}
	}
	return nil, fmt.Sprintf("%s does not know %s, which OpenSSL has from 3.5 on", path, algorithm)
}

// Try runs a command of it.
func (o *OpenSSL) Try(args ...string) (string, error) {
	cmd := exec.Command(o.path, args...)
	cmd.Dir = o.Dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// OK runs a command of it that must succeed.
func (o *OpenSSL) OK(tb testing.TB, args ...string) {
	tb.Helper()
	if out, err := o.Try(args...); err != nil {
		tb.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Read gives a file in its directory.
func (o *OpenSSL) Read(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(o.Dir + "/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Write makes a file in its directory.
func (o *OpenSSL) Write(tb testing.TB, name string, text []byte) {
	tb.Helper()
	Write(tb, o.Dir+"/"+name, text)
}
