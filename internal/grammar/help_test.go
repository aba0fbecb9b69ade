package grammar

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", file, got)
	}
}

func TestHelp(t *testing.T) {
	for _, path := range []string{"", "ipcp", "bind", "ipcp create", "ipcp bootstrap", "name create", "name list", "bind program", "watch"} {
		var b bytes.Buffer
		find(t, path).WriteHelp(&b)
		golden(t, "help_"+strings.ReplaceAll(path, " ", "_")+".txt", b.Bytes())
	}
}

func TestEveryNodeHasAPurposeWordsAndAnExampleThatParses(t *testing.T) {
	root := IRM()
	nodes := append([]*Node{root}, root.Sub...)
	nodes = append(nodes, root.Leaves()...)
	for _, n := range nodes {
		if n.Hidden || n.IsHelp() {
			continue
		}
		if n.Purpose == "" || strings.HasSuffix(n.Purpose, ".") {
			t.Errorf("%s: purpose %q", n.Line(), n.Purpose)
		}
		if len(n.Examples) == 0 {
			t.Errorf("%s has no example", n.Line())
		}
		for _, k := range n.words() {
			if k.Help == "" {
				t.Errorf("%s %s has no help", n.Line(), k.Word)
			}
		}
		for _, w := range n.AnyOf {
			if n.keyword(w) == nil {
				t.Errorf("%s needs %q, which is no keyword", n.Line(), w)
			}
		}
		for _, e := range n.Examples {
			words := strings.Fields(strings.NewReplacer("'", "", "source <(", "", ")", "", "> ~/.config/fish/completions/irm.fish", "").Replace(e.Line))
			if words[0] != "irm" {
				t.Errorf("%s: example %q", n.Line(), e.Line)
			}
			if _, err := Parse(root, words[1:]); err != nil {
				t.Errorf("%s: example %q: %v", n.Line(), e.Line, err)
			}
		}
		var b bytes.Buffer
		n.WriteHelp(&b)
		for _, line := range strings.Split(b.String(), "\n") {
			if utf8.RuneCountInString(line) > 80 || strings.TrimRight(line, " ") != line {
				t.Errorf("%s: line %q is wider than 80 or ends in blanks", n.Line(), line)
			}
		}
	}
}

func TestTheManualPageIsComplete(t *testing.T) {
	var b bytes.Buffer
	root := IRM()
	root.WriteMan(&b, "0.0")
	page := b.String()
	for _, n := range root.Leaves() {
		if !n.Hidden && !strings.Contains(page, ".SS "+roff(n.Line())+"\n") {
			t.Errorf("the page has no %q", n.Line())
		}
	}
	for i, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "'") {
			t.Errorf("line %d is a request by accident: %s", i+1, line)
		}
	}
	if strings.Contains(page, CompleteWord) {
		t.Error("the page shows the hidden operation")
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("SKIPPED: no groff to check the manual page with")
	}
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}
