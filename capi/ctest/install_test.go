package ctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/test/host"
)

const hello = `#include <ouroboros/dev.h>
#include <ouroboros/irm.h>
#include <ouroboros/errno.h>
int main(void) { struct name_info *n; return flow_read(64, n = 0, 0) == -ENOTALLOC && irm_list_names(&n) == -EIRMD ? 0 : 1; }
`

const cmakeLists = `cmake_minimum_required(VERSION 3.13)
project(hello C)
find_package(Ouroboros 0.23 REQUIRED)
add_executable(hello hello.c)
target_link_libraries(hello Ouroboros::ouroboros-dev Ouroboros::ouroboros-irm)
`

// What is installed is found by the ways in which C programs are built, and
// uninstalling leaves nothing.
func TestInstalledLibraryIsFound(t *testing.T) {
	libs := library(t)
	root := t.TempDir()
	prefix := filepath.Join(root, "usr")
	install := func(target string) {
		t.Helper()
		out, err := shell(t, host.Root(), "make", target, "PREFIX="+prefix, "LIBOUT="+libs, "lib=", "-o", "lib")
		if err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
	}
	install("install-lib")
	write := func(name, text string) string {
		p := filepath.Join(root, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	c := write("hello.c", hello)
	lib := filepath.Join(prefix, "lib")
	runs := func(program string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = []string{"LD_LIBRARY_PATH=" + lib, "OUROBOROS_RUNTIME_DIR=" + filepath.Join(root, "nowhere")}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", program, err, out)
		}
	}

	t.Run("pkg-config", func(t *testing.T) {
		if _, err := exec.LookPath("pkg-config"); err != nil {
			t.Skip("no pkg-config")
		}
		cmd := exec.CommandContext(t.Context(), "pkg-config", "--cflags", "--libs", "ouroboros-dev", "ouroboros-irm")
		cmd.Env = append(os.Environ(), "PKG_CONFIG_PATH="+filepath.Join(lib, "pkgconfig"))
		flags, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, flags)
		}
		program := filepath.Join(root, "by-pkg-config")
		args := append([]string{c, "-o", program}, strings.Fields(string(flags))...)
		if out, err := shell(t, root, "cc", args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		runs(program)
	})
	t.Run("cmake", func(t *testing.T) {
		if _, err := exec.LookPath("cmake"); err != nil {
			t.Skip("no cmake")
		}
		write("CMakeLists.txt", cmakeLists)
		build := filepath.Join(root, "build")
		if out, err := shell(t, root, "cmake", "-S", root, "-B", build, "-DCMAKE_PREFIX_PATH="+prefix); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := shell(t, root, "cmake", "--build", build); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		runs(filepath.Join(build, "hello"))
	})
	t.Run("the library alone", func(t *testing.T) {
		program := filepath.Join(root, "alone")
		out, err := shell(t, root, "cc", c, "-I"+filepath.Join(prefix, "include"), "-o", program, "-L"+lib, "-louroboros")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		runs(program)
	})
	install("uninstall")
	filepath.WalkDir(prefix, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			t.Errorf("left: %s", p)
		}
		return err
	})
}
