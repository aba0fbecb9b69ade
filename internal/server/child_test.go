package server

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/fabric"
	"ouroboros/internal/registry"
	"ouroboros/internal/session"
	"ouroboros/irm"
	"ouroboros/qos"
)

// child is what this test binary does when a test runs it as another process.
// It says "ready" or what went wrong on its output, and stays until its input
// ends.
func child(role string) {
	dir := os.Getenv("OUROBOROS_RUNTIME_DIR")
	word, arg, _ := strings.Cut(role, " ")
	err := roles[word](dir, arg)
	if err != nil {
		fmt.Println(err)
	} else {
		fmt.Println("ready")
	}
	bufio.NewReader(os.Stdin).ReadByte()
}

var roles = map[string]func(dir, arg string) error{
	// alloc holds a flow to a name.
	"alloc": func(dir, name string) error {
		c, err := session.Dial(dir)
		if err == nil {
			_, err = c.Alloc(context.Background(), name, qos.Data)
		}
		return err
	},
	// accept waits for a flow to a name.
	"accept": func(dir, name string) error {
		c, err := session.Dial(dir)
		if err == nil {
			err = c.Bind(context.Background(), name)
		}
		if err == nil {
			go c.Accept(context.Background())
		}
		return err
	},
	// bound binds itself to a name, as soon as it may.
	"bound": func(dir, name string) error {
		c, err := session.Dial(dir)
		if err != nil {
			return err
		}
		for range 2000 {
			if err = c.Bind(context.Background(), name); err == nil {
				return nil
			}
			time.Sleep(5 * time.Millisecond)
		}
		return err
	},
	// hold is a client without flows.
	"hold": func(dir, _ string) error {
		_, err := session.Dial(dir)
		return err
	},
	"leave-child":  leaveChild,
	"starve":       starve,
	"tight-daemon": tightDaemon,
	"bind-program": func(dir, name string) error {
		c, err := irm.DialDir(dir)
		if err == nil {
			err = c.BindProgram(context.Background(), irm.ProgramBinding{Program: "/bin/true", Name: name, Auto: true})
		}
		return err
	},
	"list": func(dir, _ string) error {
		c, err := irm.DialDir(dir)
		if err == nil {
			_, err = c.ListNames(context.Background())
		}
		return err
	},
	"status": func(dir, _ string) error {
		c, err := irm.DialDir(dir)
		if err == nil {
			_, err = c.Status(context.Background())
		}
		return err
	},
}

// other is another process that plays a role.
type other struct {
	t   testing.TB
	cmd *exec.Cmd
	in  interface{ Close() error }
	out *bufio.Reader
}

// run starts another process, as another user when attr says so, and gives
// the first line that it says.
func (d *daemon) run(role string, attr *syscall.SysProcAttr) (*other, string) {
	d.t.Helper()
	p, line := d.runWith(role, attr)
	return p, <-line
}

// runAsync starts another process and does not wait for its first line.
func (d *daemon) runAsync(role string) (*other, <-chan string) {
	d.t.Helper()
	return d.runWith(role, nil)
}

func (d *daemon) runWith(role string, attr *syscall.SysProcAttr) (*other, <-chan string) {
	d.t.Helper()
	cmd := exec.Command(testBinary(d.t), "-test.run=^$")
	cmd.Env = append(os.Environ(), "OUROBOROS_TEST_ROLE="+role, "OUROBOROS_RUNTIME_DIR="+d.dir, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	p := &other{t: d.t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	d.t.Cleanup(p.end)
	said := make(chan string, 1)
	go func() {
		line, err := p.out.ReadString('\n')
		if err != nil {
			line = fmt.Sprintf("process %q: %v", role, err)
		}
		said <- strings.TrimSpace(line)
	}()
	return p, said
}

func (p *other) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func (p *other) end() {
	p.in.Close()
	if p.cmd.Wait(); p.cmd.ProcessState.ExitCode() == raceExit {
		p.t.Errorf("there was a data race in process %d", p.cmd.Process.Pid)
	}
}

// raceExit is the exit code with which the race detector ends a process that
// had a data race.
const raceExit = 66

// testBinary gives a copy of this binary that every user can run.
func testBinary(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := publicDir(t) + ".test"
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// daemonProcess is a daemon in another process.
type daemonProcess struct {
	*other
	dir string
}

func startDaemonProcess(t *testing.T, role string) (*daemonProcess, string) {
	t.Helper()
	d := &daemon{t: t, dir: publicDir(t)}
	p, line := d.run(role, nil)
	return &daemonProcess{p, d.dir}, line
}

// tightDaemon serves with few descriptors to spare: arg is its limit.
func tightDaemon(dir, arg string) error {
	var most uint64
	fmt.Sscan(arg, &most)
	f := fabric.New(noPorts)
	node, err := registry.New(registry.Config{Fabric: f})
	if err != nil {
		return err
	}
	s, err := New(Config{Dir: dir, Node: node, Fabric: f})
	if err != nil {
		return err
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: 4096})
	go s.Serve(background())
	return nil
}

func background() context.Context { return context.Background() }

// dialSoon is session.Dial that does not wait for a daemon which is stuck.
func dialSoon(dir string, d time.Duration) (*session.Conn, error) {
	type result struct {
		c   *session.Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := session.Dial(dir)
		ch <- result{c, err}
	}()
	select {
	case r := <-ch:
		return r.c, r.err
	case <-time.After(d):
		go func() {
			if r := <-ch; r.c != nil {
				r.c.Close()
			}
		}()
		return nil, os.ErrDeadlineExceeded
	}
}
