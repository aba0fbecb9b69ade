package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/netns"
)

// Reference is a host that runs the C implementation: a namespace with shared
// memory and a runtime directory of its own, both new. What it leaves in them
// after a fault does not reach the next Reference.
//
// It keeps its state in fixed places, so all its programs run behind a process
// that holds those places: mounts of /dev/shm, /run and /tmp that only they see.
type Reference struct {
	Space *netns.Space

	prefix string
	holder *Process // the mounts
	irmd   *Process
	killed bool
}

// Places are made here, and then kept by a process that waits for its end. Its
// argument is the directory of the security files, which is compiled in.
const places = `mkdir -p "$0" && for d in /dev/shm /run /tmp "$0"; do mount -t tmpfs none "$d" || exit; done; echo ready && exec cat`

// SecurityFile is a file of the directory in which a reference looks for keys,
// certificates and what is to be encrypted, such as "server/oping/enc.conf".
type SecurityFile struct {
	Path string
	Data []byte
}

// StartReference runs one inside a namespace and waits until it answers. The
// security files are there before; certificates of authorities must be, since it
// reads those once. The test is skipped where none is installed.
func StartReference(t testing.TB, space *netns.Space, files ...SecurityFile) *Reference {
	t.Helper()
	if !HasReference() {
		t.Skip("no " + ReferenceVariable + ": the tests against the C implementation need the directory that it is installed in")
	}
	r := &Reference{Space: space, prefix: os.Getenv(ReferenceVariable)}
	if _, err := os.Stat(r.path("irmd")); err != nil {
		t.Fatalf("%s=%s holds no C implementation: %v", ReferenceVariable, r.prefix, err)
	}
	r.holder = launch(t, space.Command(context.Background(), "unshare", "-m", "sh", "-c", places, r.security()))
	r.holder.Out.Await(t, "ready")
	r.Secure(t, files...)
	r.irmd = r.Go(t, nil, "irmd", "--stdout")
	t.Cleanup(func() {
		for _, c := range r.Crashed() {
			t.Logf("the reference crashed: %s", c)
		}
		if t.Failed() {
			t.Logf("log of the reference:\n%s", tail(r.irmd.Out.String(), 100))
		}
		r.Kill()
	})
	Eventually(t, "the reference answers", func() bool {
		select {
		case <-r.irmd.done:
			t.Fatalf("the reference ended:\n%s", r.irmd.Out)
		default:
		}
		return r.Run(t, "irm", "ipcp", "list").Code == 0
	})
	return r
}

// security is where it looks for security files.
func (r *Reference) security() string {
	return filepath.Join(r.prefix, "etc", "ouroboros", "security")
}

// Secure puts security files in place. Each allocation reads those of its name.
func (r *Reference) Secure(t testing.TB, files ...SecurityFile) {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(r.holder.PID()), "root", r.security())
	for _, f := range files {
		path := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *Reference) path(name string) string {
	for _, dir := range []string{"bin", "sbin"} {
		if p := filepath.Join(r.prefix, dir, name); fileExists(p) {
			return p
		}
	}
	return filepath.Join(r.prefix, "sbin", name)
}

func fileExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

func (r *Reference) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	// nsenter goes by the process that holds the places, and becomes the
	// command.
	enter := []string{"-t", strconv.Itoa(r.holder.PID()), "-m", "-n", "--"}
	if stdbuf, err := exec.LookPath("stdbuf"); err == nil {
		// A C program keeps its lines back from a pipe unless told otherwise.
		enter = append(enter, stdbuf, "-oL")
	}
	cmd := exec.CommandContext(ctx, "nsenter", append(append(enter, r.path(name)), args...)...)
	cmd.Env = []string{
		"LD_LIBRARY_PATH=" + filepath.Join(r.prefix, "lib"),
		"PATH=" + filepath.Join(r.prefix, "bin") + ":" + filepath.Join(r.prefix, "sbin") + ":" + os.Getenv("PATH"),
	}
	return cmd
}

// Run runs a command of the reference to its end, or to that of a minute: some
// hang.
func (r *Reference) Run(t testing.TB, name string, args ...string) Result {
	t.Helper()
	return r.RunFor(t, time.Minute, name, args...)
}

// RunFor runs a command of the reference to its end, or for so long.
func (r *Reference) RunFor(t testing.TB, limit time.Duration, name string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return finish(t, r.command(ctx, name, args...))
}

// OK runs a command of the reference that must succeed.
func (r *Reference) OK(t testing.TB, name string, args ...string) string {
	t.Helper()
	return r.Run(t, name, args...).must(t, "the reference's "+name, args)
}

// Go runs a command of the reference in the background.
func (r *Reference) Go(t testing.TB, env []string, name string, args ...string) *Process {
	t.Helper()
	cmd := r.command(context.Background(), name, args...)
	cmd.Env = append(cmd.Env, env...)
	return launch(t, cmd)
}

// Bind binds a process to a name as soon as it has announced itself.
func (r *Reference) Bind(t testing.TB, p *Process, name string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("process %d of the reference can be bound to %s", p.PID(), name), func() bool {
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s", p.Cmd, p.Out)
		default:
		}
		return r.Run(t, "irm", "bind", "process", strconv.Itoa(p.PID()), "name", name).Code == 0
	})
}

// Log is what its daemon printed.
func (r *Reference) Log() *Output { return r.irmd.Out }

// Kill ends all of it at once: its IPC processes do not go by themselves.
func (r *Reference) Kill() {
	r.killed = true
	for _, pid := range r.children() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	r.irmd.Kill()
	r.holder.Kill()
}

// Hasten keeps threads of its processes from running in the place of the one
// that woke them, and lets IPC processes run before others. On a busy machine a
// unicast IPCP that accepts a flow else often sends its answer before it knows
// where to: the answer is lost, and its flow allocator can come to a stand. And
// one that gets a packet before it was told of it reads one too many, and its
// reader of link states comes to a stand.
func (r *Reference) Hasten() {
	schedule(r.irmd.PID(), unix.SCHED_BATCH, 0)
	for _, pid := range r.children() {
		schedule(pid, unix.SCHED_BATCH, -20)
	}
}

// schedule sets how the threads of a process run. What cannot be set is left: it
// makes tests slower, not wrong.
func schedule(pid int, policy uint32, nice int32) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, thread := range threads {
		if tid, err := strconv.Atoi(filepath.Base(thread)); err == nil {
			unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Nice: nice}, 0)
		}
	}
}

// Stands reports whether a flow allocator of it has come to a stand: it answers
// no flow request any more.
func (r *Reference) Stands() bool {
	return strings.Contains(r.irmd.Out.String(), "IPCP alloc_resp timed out")
}

// Crashed names the parts of a reference that ended by themselves. Empty after
// Kill.
func (r *Reference) Crashed() (parts []string) {
	if r.killed {
		return nil
	}
	select {
	case <-r.irmd.done:
		parts = append(parts, fmt.Sprintf("irmd: %v", r.irmd.Cmd.ProcessState))
	default:
	}
	for _, pid := range r.children() {
		// An IPC process that ended stays a zombie of its daemon.
		name, state := status(pid)
		if state == "Z" {
			parts = append(parts, fmt.Sprintf("%s (%d)", name, pid))
		}
	}
	return parts
}

// children are the processes that the daemon of the reference started.
func (r *Reference) children() (pids []int) {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", r.irmd.PID()))
	for _, file := range all {
		text, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// status gives the name and the state letter of a process.
func status(pid int) (name, state string) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), "(")
	name, rest, _ = strings.Cut(rest, ") ")
	state, _, _ = strings.Cut(rest, " ")
	return name, state
}
