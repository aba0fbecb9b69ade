package ctest

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"ouroboros/test/host"
)

// The data path in C is tested alone, without Go, by messages in any order and
// by another side that writes anything into the shared memory.
func TestLanesTrustNobody(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no cc: the tests of the C library need a C compiler")
	}
	program := filepath.Join(t.TempDir(), "lane")
	args := []string{"-Wall", "-Wextra", "-g", "-O1", "-D_GNU_SOURCE", "-I" + filepath.Join(host.Root(), "include"),
		"-I" + filepath.Join(host.Root(), "capi"), source("lane"), "-o", program}
	out, err := shell(t, "", "cc", append(args, "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")...)
	if err != nil {
		t.Logf("no sanitizers: %s", out)
		if out, err := shell(t, "", "cc", args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	rounds := "60000"
	if testing.Short() {
		rounds = "15000"
	}
	for _, seed := range []string{"1", "2", "3", "4", "5"} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*host.Patience)
		defer cancel()
		if out, err := exec.CommandContext(ctx, program, seed, rounds).CombinedOutput(); err != nil {
			t.Errorf("seed %s: %v\n%s", seed, err, out)
		}
	}
}
