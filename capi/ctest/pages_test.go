package ctest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ouroboros/test/host"
)

// glob reads the files that match a pattern below the module.
func glob(t *testing.T, pattern ...string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(append([]string{host.Root()}, pattern...)...))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %v: %v", pattern, err)
	}
	texts := make(map[string]string)
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(p)] = string(b)
	}
	return texts
}

var (
	comment   = regexp.MustCompile(`(?s)/\*.*?\*/`)
	prototype = regexp.MustCompile(`(?m)^(?:const |enum )?[a-z_]+ +\**(\w+)\([^;]*\);`)
	nameLine  = regexp.MustCompile(`(?m)^# NAME\n\n(.*?) - `)
)

// Each call of the headers has a page in section 3, shows the prototype there,
// and is exported; and each error of a page exists.
func TestEachCallHasAPage(t *testing.T) {
	pages := make(map[string]string) // by call
	for file, text := range glob(t, "docs", "commands", "*.3.md") {
		m := nameLine.FindStringSubmatch(text)
		if m == nil {
			t.Errorf("%s has no names", file)
			continue
		}
		for _, n := range strings.Split(m[1], ", ") {
			pages[n] = text
		}
	}
	exported, err := shell(t, library(t), "nm", "-D", "--defined-only", "libouroboros-dev.so", "libouroboros-irm.so")
	if err != nil {
		t.Skip("no nm")
	}
	core, _ := shell(t, library(t), "nm", "-D", "--defined-only", "libouroboros.so")
	calls := 0
	for file, text := range glob(t, "include", "ouroboros", "*.h") {
		for _, m := range prototype.FindAllStringSubmatch(comment.ReplaceAllString(text, ""), -1) {
			calls++
			if !strings.Contains(pages[m[1]], m[1]+"(") {
				t.Errorf("%s: %s has no page", file, m[1])
			}
			for lib, symbols := range map[string]string{"the thin libraries": exported, "libouroboros.so": core} {
				if !strings.Contains(symbols, " T "+m[1]+"\n") {
					t.Errorf("%s does not have %s", lib, m[1])
				}
			}
		}
	}
	if calls < 50 {
		t.Errorf("only %d calls were found in the headers", calls)
	}
}
