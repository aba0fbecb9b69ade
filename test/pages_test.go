package test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ouroboros/internal/grammar"
	"ouroboros/test/host"
)

var update = flag.Bool("update", false, "write docs/commands/irm.md anew")

// irmPage is the page of irm: its help texts, as the command prints them.
func irmPage(t *testing.T) []byte {
	var page bytes.Buffer
	page.WriteString("# irm\n\nWhat `irm help` says, of every word. This page is made from the grammar itself\n" +
		"(`go test ./test -run IrmPage -update`).\n")
	var write func(n *grammar.Node)
	write = func(n *grammar.Node) {
		if n.Hidden || n.IsHelp() {
			return
		}
		page.WriteString("\n## " + n.Line() + "\n\n```\n")
		if err := n.WriteHelp(&page); err != nil {
			t.Fatal(err)
		}
		page.WriteString("```\n")
		for _, s := range n.Sub {
			write(s)
		}
	}
	write(grammar.IRM())
	return page.Bytes()
}

func TestIrmPageIsWhatTheGrammarSays(t *testing.T) {
	path := filepath.Join(host.Root(), "docs", "commands", "irm.md")
	want := irmPage(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("docs/commands/irm.md is out of date: go test ./test -run IrmPage -update")
	}
}

// A page names every option that --help does, and no other.
func TestPagesAndHelpNameTheSameOptions(t *testing.T) {
	inHelp := regexp.MustCompile(`--[a-z][a-z_-]*`)
	inPage := regexp.MustCompile(`\*\*(--[a-z][a-z_-]*)\*\*`)
	for _, page := range []string{"oping.1.md", "oecho.1.md", "ocbr.1.md", "operf.1.md", "obc.1.md", "ovpn.1.md", "irmd.8.md"} {
		name, _, _ := strings.Cut(page, ".")
		help, err := exec.Command(filepath.Join(host.Bin(t), name), "--help").Output()
		if err != nil {
			t.Fatalf("%s --help without a daemon: %v", name, err)
		}
		text, err := os.ReadFile(filepath.Join(host.Root(), "docs", "commands", page))
		if err != nil {
			t.Fatal(err)
		}
		options := map[string]int{}
		for _, o := range inHelp.FindAllString(string(help), -1) {
			options[o] |= 1
		}
		for _, m := range inPage.FindAllStringSubmatch(string(text), -1) {
			options[m[1]] |= 2
		}
		for o, where := range options {
			switch where {
			case 1:
				t.Errorf("%s does not explain %s", page, o)
			case 2:
				t.Errorf("%s explains %s, which %s --help does not have", page, o, name)
			}
		}
	}
}

func TestManualPagesRender(t *testing.T) {
	if _, err := exec.LookPath("man"); err != nil {
		t.Skip("man is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command("make", "man", "MANDIR="+dir)
	cmd.Dir = host.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make man: %v\n%s", err, out)
	}
	for _, page := range []string{"irm.1", "oping.1", "oecho.1", "ocbr.1", "operf.1", "obc.1", "ovpn.1", "irmd.8"} {
		cmd := exec.Command("man", "--warnings", "-l", filepath.Join(dir, page))
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "MANPAGER=cat", "LC_ALL=C.UTF-8")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil || errs.Len() > 0 {
			t.Errorf("man %s: %v\n%s", page, err, errs.String())
		}
		for _, section := range []string{"NAME", "SYNOPSIS", "OPTIONS"} {
			if !strings.Contains(string(out), section) {
				t.Errorf("%s has no section %s", page, section)
			}
		}
	}
}
