package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The variable that makes this test program the one in the sandbox.
const sandboxRole = "IRMD_TEST_SANDBOX"

// inSandbox is the program in the sandbox.
func inSandbox(dir string) {
	if os.Getenv(sandboxRole+"_IN") == "" {
		fmt.Println(enterAnew(dir))
		return
	}
	fmt.Println(escape(dir))
}

// enterAnew goes into the sandbox as the daemon does.
func enterAnew(dir string) error {
	runtime.LockOSThread()
	exe, err := os.Executable()
	if err == nil {
		err = enterSandbox(exe, dir)
	}
	if err != nil {
		return err
	}
	return syscall.Exec(exe, os.Args[:1], append(os.Environ(), sandboxRole+"_IN=1"))
}

// escape tries what the sandbox forbids, on whatever threads there are, and
// what it allows.
func escape(dir string) string {
	var wrong []string
	forbidden := func(what string, err error) {
		// A move to another place is refused as one between file systems.
		if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EXDEV) {
			wrong = append(wrong, fmt.Sprintf("%s: %v", what, err))
		}
	}
	allowed := func(what string, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", what, err))
		}
	}
	outside := filepath.Join(filepath.Dir(dir), "outside")
	forbidden("write outside", os.WriteFile(outside, nil, 0o644))
	forbidden("make a directory outside", os.Mkdir(outside+"-dir", 0o755))
	forbidden("overwrite outside", os.WriteFile(filepath.Join(filepath.Dir(dir), "there"), nil, 0o644))
	forbidden("remove outside", os.Remove(filepath.Join(filepath.Dir(dir), "there")))
	forbidden("move out", os.Rename(filepath.Join(dir, "mine"), outside))
	forbidden("execute", exec.Command("/bin/true").Run())
	allowed("read", func() error { _, err := os.ReadFile("/etc/passwd"); return err }())
	allowed("write", os.WriteFile(filepath.Join(dir, "new"), []byte("x"), 0o600))
	allowed("rename", os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "newer")))
	allowed("remove", os.Remove(filepath.Join(dir, "newer")))
	allowed("write to nothing", os.WriteFile(os.DevNull, []byte("x"), 0))
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	allowed("listen", err)
	if err == nil {
		l.Close()
	}
	if version, _, _ := syscall.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); version >= 6 {
		forbidden("signal the parent", unix.Kill(os.Getppid(), 0))
	}
	return "tried everything\n" + strings.Join(wrong, "\n")
}

func TestTheSandboxHolds(t *testing.T) {
	if _, _, e := syscall.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); e != 0 {
		t.Skipf("this kernel has no Landlock: %v", e)
	}
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{filepath.Join(dir, "there"), filepath.Join(in, "mine")} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), sandboxRole+"="+in)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "tried everything" {
		t.Errorf("%v\n%s", err, out)
	}
}
