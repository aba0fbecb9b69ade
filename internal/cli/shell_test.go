package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asIRM makes this test binary act as the command irm on a node of its own.
const asIRM = "TEST_ACT_AS_IRM"

// actAsIRM carries out the words of the command line.
func actAsIRM() int {
	env := Env{Stdout: os.Stdout, Stderr: os.Stderr, Version: "0.0", Dial: populated}
	return Run(context.Background(), os.Args[1:], env)
}

// shell starts a shell that finds an irm in PATH, and gives the lines that the
// script writes.
func shell(t *testing.T, name string, script string, args ...string) []string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: there is no %s here to try its completion with", name)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	wrapper := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", asIRM, self)
	if err := os.WriteFile(filepath.Join(dir, "irm"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"a file", "server.pem"} {
		if err := os.WriteFile(filepath.Join(work, f), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, append(args, "-c", script)...)
	cmd.Dir = work
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "TERM=dumb", "LC_ALL=C.UTF-8", "GORACE=atexit_sleep_ms=0"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return strings.Split(string(out), "\n")
}

// completions are lines and what the last word of each can become; what a
// shell adds by itself is not looked at.
var completions = []struct {
	line string
	want []string
}{
	{"irm na", []string{"name"}},
	{"irm ipcp b", []string{"bootstrap"}},
	{"irm ipcp create type ud", []string{"udp4", "udp6"}},
	{"irm ipcp bootstrap routing ", []string{"ecmp", "lfa", "link_state"}},
	{"irm ipcp destroy name ", []string{"l1", "l2"}},
	{"irm name show o", []string{"oecho", "oping"}},
	{"irm name register oping layer h", []string{"home"}},
	{"irm name show site:", []string{"site:web"}},
	{"irm --json ipcp show l", []string{"l1", "l2"}},
	{"irm name create x skeypath ser", []string{"server.pem"}},
	{"irm zz ", nil},
}

func TestBashCompletes(t *testing.T) {
	var b strings.Builder
	b.WriteString(`source <(irm completion bash)
try() {
    COMP_LINE=$1; COMP_POINT=${#1}; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _irm_complete
    local IFS='|'; echo "${COMPREPLY[*]}"
}
complete -p irm >/dev/null || exit 1
`)
	for _, c := range completions {
		// Bash breaks words at colons itself.
		words := strings.Split(strings.ReplaceAll(c.line, ":", " :"), " ")
		fmt.Fprintf(&b, "try '%s' '%s'\n", c.line, strings.Join(words, "' '"))
	}
	lines := shell(t, "bash", b.String(), "--norc", "--noprofile")
	for i, c := range completions {
		var got []string
		for _, w := range strings.Split(lines[i], "|") {
			if w != "" {
				if at := strings.LastIndex(c.line, ":"); at > 0 {
					w = c.line[strings.LastIndex(c.line, " ")+1:at+1] + w
				}
				got = append(got, w)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q completes to %q, want %q", c.line, got, c.want)
		}
	}
}

func TestZshCompletes(t *testing.T) {
	t.Run("sourced", func(t *testing.T) {
		zsh(t, `source <(irm completion zsh)
complete=_irm_complete
[[ $_comps[irm] == $complete ]] || exit 1`)
	})
	t.Run("installed", func(t *testing.T) {
		zsh(t, `mkdir ../functions; irm completion zsh > ../functions/_irm
fpath=($PWD/../functions $fpath)
autoload -Uz compinit; compinit -u -D
complete=_irm
[[ $_comps[irm] == $complete ]] || exit 1`)
	})
}

// zsh tries all completions after begin, which sets complete to the function
// that zsh calls.
func zsh(t *testing.T, begin string) {
	var b strings.Builder
	b.WriteString(begin)
	b.WriteString(`
_describe() { local -a all; all=("${(@P)${@[-1]}}"); local w; for w in $all; do w=${w//\\:/$'\1'}; w=${w%%:*}; print -n -r -- "${w//$'\1'/:}|"; done }
_files() { local f; for f in *(N); do [[ $f == "$words[CURRENT]"* ]] && print -n -r -- "$f|"; done }
try() { words=("$@"); CURRENT=$#; $complete; print }
`)
	for _, c := range completions {
		fmt.Fprintf(&b, "try '%s'\n", strings.Join(strings.Split(c.line, " "), "' '"))
	}
	lines := shell(t, "zsh", b.String(), "-f")
	for i, c := range completions {
		got := strings.FieldsFunc(lines[i], func(r rune) bool { return r == '|' })
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q completes to %q, want %q", c.line, got, c.want)
		}
	}
}

func TestFishCompletes(t *testing.T) {
	var b strings.Builder
	b.WriteString("irm completion fish | source\n")
	for _, c := range completions {
		fmt.Fprintf(&b, "complete -C '%s' | string join '|'; echo END\n", c.line)
	}
	out := strings.Join(shell(t, "fish", b.String(), "--no-config"), "\n") + "\n"
	answers := strings.Split(out, "END\n")
	for i, c := range completions {
		var got []string
		for _, w := range strings.Split(strings.TrimSpace(answers[i]), "|") {
			if w, _, _ = strings.Cut(w, "\t"); w != "" {
				got = append(got, w)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q completes to %q, want %q", c.line, got, c.want)
		}
	}
}
