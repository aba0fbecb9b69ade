package ctest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ouroboros/test/host"
)

var (
	shBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	cBlock  = regexp.MustCompile("(?ms)^```c\n(.*?)^```$")
)

// The page for C programmers: its program is the example, and its commands
// work as they stand.
func TestThePageRunsAsItStands(t *testing.T) {
	library(t) // or skip
	page := glob(t, "docs", "c.md")["c.md"]
	example := glob(t, "examples", "c", "echo.c")["echo.c"]
	if m := cBlock.FindStringSubmatch(page); m == nil || m[1] != example {
		t.Error("the program of docs/c.md is not examples/c/echo.c")
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n")
	for _, b := range shBlock.FindAllStringSubmatch(page, -1) {
		script.WriteString(b[1])
	}
	// In a copy of the tree, whose build directory is its own.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir = shadow(t)
	// Without the path of the directory what was compiled before serves again.
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "GOFLAGS=-trimpath")
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	for _, want := range []string{"hello from C\nand again\n", `alloc: cannot allocate a flow to "echo"`} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v, and not %q in:\n%s", err, want, out)
		}
	}
}

// shadow is a directory that looks like the module and is built in freely.
func shadow(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(host.Root())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); n != "build" && n != "bin" && n != ".git" {
			if err := os.Symlink(filepath.Join(host.Root(), n), filepath.Join(dir, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}
