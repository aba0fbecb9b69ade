package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

var update = flag.Bool("update", false, "write the sessions in testdata anew")

// A session is a file of command lines and what they do, on a node that is
// empty at its begin:
//
//	# a comment
//	$ irm name destroy x
//	! irm: there is no name "x"; see: irm name list     standard error
//	= 1                                                 exit code, when not 0
//	$ irm name list
//	No names in system.                                 standard output
//
// Words may be quoted with '. $DIR is a directory with the files of files(),
// in which the session runs, $PID this process.
func TestSessions(t *testing.T) {
	found, err := filepath.Glob("testdata/*.session")
	if err != nil || len(found) == 0 {
		t.Fatal("there are no sessions", err)
	}
	for _, file := range found {
		name := strings.TrimSuffix(filepath.Base(file), ".session")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			dial := func(context.Context, string) (Service, error) {
				return nil, errno.New(errno.IRMd, "no daemon answers in /run/ouroboros").Next("start one with: irmd")
			}
			if !strings.HasPrefix(name, "without") {
				node := sessionNode(t, name)
				dial = func(context.Context, string) (Service, error) { return node, nil }
			}
			got := play(t, string(text), dial)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s (go test -update writes it anew):\n%s", file, difference(string(text), got))
			}
		})
		// The same words through the socket of a daemon do the same.
		t.Run(name+" through a daemon", func(t *testing.T) {
			if *update || strings.HasPrefix(name, "without") {
				t.Skip("nothing to compare")
			}
			dir := daemon(t, sessionNode(t, name))
			got := play(t, string(text), func(context.Context, string) (Service, error) { return irm.DialContext(t.Context(), dir) })
			if got != string(text) {
				t.Errorf("%s:\n%s", file, difference(string(text), got))
			}
		})
	}
}

// sessionNode makes the node on which a session is played.
func sessionNode(t *testing.T, session string) node {
	n := newNode(t)
	if session == "flows" {
		serve(t, n)
	}
	return n
}

var (
	clock = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d)?`)
	// An IPCP is its node's user, who is root in the sessions.
	ipcpRow  = regexp.MustCompile(`(\| +4194\d{3} \|) +\d+ \|`)
	ipcpJSON = regexp.MustCompile(`("pid": 4194\d{3},\n +"uid": )\d+`)

	blanks = regexp.MustCompile(`(?m) +|-{2,}`)
)

// steady replaces what differs from run to run. A table that it is in is as
// wide as it happens to be.
func steady(out string, back func(string) string) string {
	out = ipcpRow.ReplaceAllString(out, fmt.Sprintf("$1 %6d |", 0))
	out = ipcpJSON.ReplaceAllString(out, "${1}0")
	same := clock.ReplaceAllString(back(out), "TIME")
	if same == out || !strings.HasPrefix(out, "+-") {
		return same
	}
	return blanks.ReplaceAllStringFunc(same, func(s string) string { return s[:1] })
}

// play carries out the command lines of a session and writes it anew.
func play(t *testing.T, session string, dial func(context.Context, string) (Service, error)) string {
	dir := files(t)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	defer os.Chdir(wd)
	t.Setenv("PATH", dir+"/sub")

	names := strings.NewReplacer("$DIR", dir, "$PID", strconv.Itoa(os.Getpid()))
	pid := regexp.MustCompile(`\b` + strconv.Itoa(os.Getpid()) + `\b`)
	back := func(s string) string {
		return pid.ReplaceAllLiteralString(strings.ReplaceAll(s, dir, "$DIR"), "$PID")
	}
	var b strings.Builder
	for _, line := range strings.Split(session, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			b.WriteString(line + "\n")
		case strings.HasPrefix(line, "$ "):
			b.WriteString(line + "\n")
			words := split(names.Replace(line[2:]))
			if words[0] != "irm" {
				t.Fatalf("%q is not a command line of irm", line)
			}
			var stdout, stderr bytes.Buffer
			code := Run(context.Background(), words[1:], Env{Stdout: &stdout, Stderr: &stderr, Version: "0.0", Dial: dial})
			b.WriteString(steady(stdout.String(), back))
			if s := stderr.String(); s != "" {
				s = back(s)
				b.WriteString("! " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n! ") + "\n")
			}
			if code != 0 {
				fmt.Fprintf(&b, "= %d\n", code)
			}
		}
	}
	return b.String()
}

// split breaks a line into words; ' quotes.
func split(line string) []string {
	var words []string
	var word strings.Builder
	in, some := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			in, some = !in, true
		case r == ' ' && !in:
			if some {
				words = append(words, word.String())
			}
			word.Reset()
			some = false
		default:
			word.WriteRune(r)
			some = true
		}
	}
	if some {
		words = append(words, word.String())
	}
	return words
}

// difference shows the lines round the first one that differs.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range g {
		if i >= len(w) || w[i] != g[i] {
			from := max(0, i-6)
			return fmt.Sprintf("line %d: want\n%s\ngot\n%s", i+1,
				strings.Join(w[min(from, len(w)):min(i+6, len(w))], "\n"), strings.Join(g[from:min(i+6, len(g))], "\n"))
		}
	}
	return "the end is missing"
}
