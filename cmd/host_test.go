package cmd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ouroboros/internal/tool/tooltest"
)

// patience is how long something may take that must happen.
const patience = time.Minute

// bin is where the commands of this test are; see TestMain.
var bin string

// TestMain builds all commands once.
func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ouroboros-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-o", dir, "./...").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	bin = dir
	return m.Run()
}

// host is a daemon in a directory of its own.
type host struct {
	dir    string
	daemon *process
}

// start runs a daemon and waits until it says that it is ready.
func start(t *testing.T) *host {
	t.Helper()
	// Not t.TempDir: the path of a socket must be short.
	dir, err := os.MkdirTemp("", "ouroboros-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	h := &host{dir: filepath.Join(dir, "run")}
	h.daemon = h.spawn(t, []string{"NOTIFY_SOCKET=" + notify.LocalAddr().String()}, "irmd", "--stdout")
	notify.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 1024); ; {
		n, err := notify.Read(buf)
		if err != nil {
			t.Fatalf("the daemon is not ready: %v", err)
		}
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			return h
		}
	}
}

// command is one of our commands, or of the system, with this daemon.
func (h *host) command(ctx context.Context, name string, words ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(bin, name)
	}
	cmd := exec.CommandContext(ctx, name, words...)
	cmd.Env = append(os.Environ(), "OUROBOROS_RUNTIME_DIR="+h.dir, "PATH="+bin+":"+os.Getenv("PATH"))
	return cmd
}

// run runs a command to its end.
func (h *host) run(t *testing.T, name string, words ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := h.command(ctx, name, words...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// ok runs a command that must succeed, and gives its output.
func (h *host) ok(t *testing.T, name string, words ...string) string {
	t.Helper()
	stdout, stderr, code := h.run(t, name, words...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(words, " "), code, stdout, stderr)
	}
	return stdout
}

// process is a command that runs.
type process struct {
	cmd    *exec.Cmd
	output tooltest.Text // both outputs
	reap   func() error
}

// spawn starts a command that is killed at the end of the test.
func (h *host) spawn(t *testing.T, env []string, name string, words ...string) *process {
	t.Helper()
	p := &process{cmd: h.command(context.Background(), name, words...)}
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.reap = sync.OnceValue(p.cmd.Wait)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", p.cmd, p.output.String())
		}
	})
	return p
}

// serve starts the server of a tool, and binds it to a name.
func (h *host) serve(t *testing.T, name, tool string, words ...string) *process {
	t.Helper()
	p := h.spawn(t, nil, tool, append([]string{"--listen"}, words...)...)
	p.output.Await(t, "tart") // the first line of all of them, when they have announced themselves
	h.ok(t, "irm", "bind", "process", fmt.Sprint(p.cmd.Process.Pid), "name", name)
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.reap()
}

// wait waits for the end, and gives the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	limit := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer limit.Stop()
	p.reap()
	return p.cmd.ProcessState.ExitCode()
}

// interrupt is Ctrl-C; the exit code must be 0.
func (p *process) interrupt(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("%s: exit code %d after %v", p.cmd, code, signal)
	}
}
