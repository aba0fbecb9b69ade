// Package ctest tests the C library with C programs: each is compiled with the
// compiler of the system, linked with the library as a user links it, and run
// beside a real daemon.
package ctest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ouroboros/test/host"
)

func TestMain(m *testing.M) {
	code := host.Main(m)
	if lib.dir != "" {
		os.RemoveAll(lib.dir)
	}
	os.Exit(code)
}

// lib is the library, built once for this test program.
var lib struct {
	sync.Once
	dir string // of the libraries; the programs are beside them
	err error
}

// library gives the directory of the libraries. Tests are skipped where there
// is no C compiler.
func library(t testing.TB) string {
	t.Helper()
	for _, tool := range []string{"cc", "make"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s: the tests of the C library need a C compiler and make", tool)
		}
	}
	lib.Do(func() {
		if lib.dir, lib.err = os.MkdirTemp("", "ouroboros-lib-"); lib.err != nil {
			return
		}
		cmd := exec.Command("make", "lib", "LIBOUT="+lib.dir)
		cmd.Dir = host.Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			lib.err = fmt.Errorf("make lib: %w\n%s", err, out)
		}
	})
	if lib.err != nil {
		t.Fatal(lib.err)
	}
	return lib.dir
}

// compile makes a program of sources and gives its path. args come after the
// sources.
func compile(t testing.TB, cc, source string, args ...string) string {
	t.Helper()
	dir := library(t)
	program := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(source), filepath.Ext(source)))
	line := []string{"-Wall", "-Wextra", "-Werror", "-g", "-O1", "-I" + filepath.Join(host.Root(), "include"), source, "-o", program}
	line = append(line, args...)
	line = append(line, "-L"+dir, "-louroboros-dev", "-louroboros-irm", "-lpthread")
	if out, err := exec.Command(cc, line...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", cc, strings.Join(line, " "), err, out)
	}
	return program
}

func source(name string) string { return filepath.Join("testdata", name+".c") }

// env lets a program find the libraries.
func env(t testing.TB) []string { return []string{"LD_LIBRARY_PATH=" + library(t)} }

// run runs a program beside a daemon; it must end with 0 and say nothing.
func run(t *testing.T, d *host.Daemon, program string, args ...string) {
	t.Helper()
	p := d.Go(t, env(t), program, args...)
	if code := p.Wait(t); code != 0 || p.Out.String() != "" {
		t.Errorf("%s: exit %d\n%s", filepath.Base(program), code, p.Out)
	}
}

// shell is a command that is not a program of ours.
func shell(t testing.TB, dir, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*host.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}
