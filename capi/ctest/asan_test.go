package ctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ouroboros/test/host"
)

// The C half of the library and the programs, watched by the address and the
// undefined behaviour sanitizers. Memcheck of Valgrind does not know the stacks
// of goroutines and reports each use of one; and the sanitizer itself fails
// where a thread is cancelled, so the program threads is not among these.
func TestCHalfUnderSanitizers(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the library again")
	}
	library(t) // or skip
	dir := t.TempDir()
	const flags = "-fsanitize=address,undefined"
	if out, err := shell(t, dir, "cc", "-x", "c", "-", flags, "-shared", "-o", "probe.so"); err != nil {
		t.Skipf("no sanitizers: %v\n%s", err, out)
	}
	lib := filepath.Join(dir, "libouroboros.so.0")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-buildvcs=false", "-o", lib,
		"-ldflags", "-X runtime.godebugDefault=asyncpreemptoff=1 -extldflags -Wl,-soname,libouroboros.so.0", "./capi")
	cmd.Dir = host.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "CGO_CFLAGS=-O1 -g "+flags, "CGO_LDFLAGS="+flags)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"flows", "events", "irm", "cep", "aio", "signals"} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(dir, name)
			args := []string{"-g", "-O1", flags, "-fno-sanitize-recover=undefined", "-I" + filepath.Join(host.Root(), "include"),
				source(name), "-o", program, lib, "-lpthread"}
			if out, err := shell(t, "", "cc", args...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			d := host.Start(t)
			p := d.Go(t, []string{"LD_LIBRARY_PATH=" + dir, "ASAN_OPTIONS=detect_leaks=0"}, program)
			if code := p.Wait(t); code != 0 || p.Out.String() != "" {
				t.Errorf("exit %d\n%s", code, p.Out)
			}
		})
	}
}
