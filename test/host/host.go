// Package host runs whole hosts for tests: the built commands, a daemon in a
// directory of its own, and processes that are killed.
package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ouroboros/internal/netns"
	"ouroboros/irm"
)

// Patience is how long a test waits for something that must happen. It is
// long because machines that run tests are busy; it is never slept through.
const Patience = time.Minute

var build struct {
	sync.Once
	dir string
	err error
}

// Bin builds all commands once for this test program and gives their
// directory. Main removes it.
func Bin(t testing.TB) string {
	t.Helper()
	build.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "ouroboros-bin-"); build.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", build.dir, "./cmd/...")
		cmd.Dir = Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.dir
}

// Main runs the tests of a package and removes what Bin built.
func Main(m *testing.M) int {
	defer Clean()
	return m.Run()
}

// Clean removes what Bin built, for a program that has no Main.
func Clean() {
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
}

// Root is the directory of the module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Daemon is a running irmd.
type Daemon struct {
	Dir   string // runtime directory
	Cmd   *exec.Cmd
	Irm   *irm.Client
	Space *netns.Space // that it and its programs run in; nil: that of the test

	bin  string
	log  *Output
	done chan struct{} // closed when the process has been reaped
}

// Output collects what a process prints; it may be read while it grows.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
	ch chan struct{}
}

// NewOutput makes an empty one.
func NewOutput() *Output { return &Output{ch: make(chan struct{}, 1)} }

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(p)
	select {
	case o.ch <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Await waits until the output contains text.
func (o *Output) Await(t testing.TB, text string) {
	t.Helper()
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.ch:
		case <-limit.C:
			t.Fatalf("waited %v for %q in:\n%s", Patience, text, o)
		}
	}
}

// Start runs a daemon in a new directory and waits until it is ready.
func Start(t testing.TB, args ...string) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "ouroboros-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return StartIn(t, dir, args...)
}

// StartIn runs a daemon in dir.
func StartIn(t testing.TB, dir string, args ...string) *Daemon {
	t.Helper()
	return start(t, nil, dir, args...)
}

// StartAt runs a daemon in a new directory inside a network namespace; what
// the Daemon runs is inside as well.
func StartAt(t testing.TB, space *netns.Space, args ...string) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "ouroboros-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return start(t, space, dir, args...)
}

// Again runs a daemon in the place of one that has ended.
func (d *Daemon) Again(t testing.TB, args ...string) *Daemon {
	t.Helper()
	return start(t, d.Space, d.Dir, args...)
}

func start(t testing.TB, space *netns.Space, dir string, args ...string) *Daemon {
	t.Helper()
	d := &Daemon{Dir: dir, Space: space, bin: Bin(t), log: NewOutput(), done: make(chan struct{})}
	d.Cmd = d.command(context.Background(), "irmd", append([]string{"--stdout"}, args...)...)
	d.Cmd.Stdout, d.Cmd.Stderr = d.log, d.log
	if err := d.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.Cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(func() {
		how := "it ran to the end of the test"
		select {
		case <-d.done:
			how = "it had ended: " + d.Cmd.ProcessState.String()
		default:
		}
		d.Kill()
		if t.Failed() {
			t.Logf("log of the daemon (%s):\n%s", how, tail(d.log.String(), 200))
		}
	})
	d.AwaitReady(t)
	return d
}

func tail(s string, lines int) string {
	l := strings.Split(s, "\n")
	if len(l) > lines {
		l = l[len(l)-lines:]
	}
	return strings.Join(l, "\n")
}

// AwaitReady waits until the daemon answers.
func (d *Daemon) AwaitReady(t testing.TB) {
	t.Helper()
	Eventually(t, "the daemon answers", func() bool {
		select {
		case <-d.done:
			t.Fatalf("the daemon ended:\n%s", d.log)
		default:
		}
		var err error
		if d.Irm == nil {
			d.Irm, err = irm.DialDir(d.Dir)
		}
		if err == nil {
			_, err = d.Irm.Status(context.Background())
		}
		return err == nil
	})
}

// Eventually polls until what holds.
func Eventually(t testing.TB, sentence string, holds func() bool) {
	t.Helper()
	limit := time.Now().Add(Patience)
	for wait := time.Millisecond; !holds(); wait = min(2*wait, 50*time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited %v, and still not: %s", Patience, sentence)
		}
		time.Sleep(wait)
	}
}

// Env is the environment of programs that shall use this daemon.
func (d *Daemon) Env() []string {
	env := []string{"OUROBOROS_RUNTIME_DIR=" + d.Dir, "PATH=" + d.bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OUROBOROS_") && !strings.HasPrefix(kv, "PATH=") {
			env = append(env, kv)
		}
	}
	return env
}

// Log is what the daemon printed.
func (d *Daemon) Log() *Output { return d.log }

// Signal sends a signal to the daemon.
func (d *Daemon) Signal(s os.Signal) { d.Cmd.Process.Signal(s) }

// Kill ends the daemon as a power cut does, and waits for its end.
func (d *Daemon) Kill() {
	d.Signal(syscall.SIGKILL)
	<-d.done
}

// Stop asks the daemon to end and gives its exit code.
func (d *Daemon) Stop(t testing.TB) int {
	t.Helper()
	d.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(Patience):
		t.Fatalf("the daemon does not stop:\n%s", d.log)
	}
	return d.Cmd.ProcessState.ExitCode()
}

// Run runs a command of ours to its end.
func (d *Daemon) Run(t testing.TB, name string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*Patience)
	defer cancel()
	return finish(t, d.command(ctx, name, args...))
}

// command is a program beside the daemon.
func (d *Daemon) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	var cmd *exec.Cmd
	if d.Space == nil {
		cmd = exec.CommandContext(ctx, d.path(name), args...)
	} else {
		cmd = d.Space.Command(ctx, d.path(name), args...)
	}
	cmd.Env = d.Env()
	return cmd
}

func (d *Daemon) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.bin, name)
}

// OK runs a command that must succeed and gives its standard output.
func (d *Daemon) OK(t testing.TB, name string, args ...string) string {
	t.Helper()
	return d.Run(t, name, args...).must(t, name, args)
}

// Go runs a program in the background; it is killed at the end of the test.
func (d *Daemon) Go(t testing.TB, env []string, name string, args ...string) *Process {
	t.Helper()
	cmd := d.command(context.Background(), name, args...)
	cmd.Env = append(cmd.Env, env...)
	return launch(t, cmd)
}

// Bind binds a background process to a name as soon as it has announced
// itself.
func (d *Daemon) Bind(t testing.TB, p *Process, name string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("process %d can be bound to %s", p.PID(), name), func() bool {
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s", p.Cmd, p.Out)
		default:
		}
		return d.Irm.BindProcess(context.Background(), p.PID(), name) == nil
	})
}
