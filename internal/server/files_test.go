package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/rundir"
	"ouroboros/internal/session"
	"ouroboros/qos"
)

// A client without descriptors loses that allocation and nothing else, also
// when the lost descriptors were those of a link.
func TestAClientOutOfDescriptorsGoesOn(t *testing.T) {
	d := start(t, Config{})
	server := d.serve("full")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			g, err := server.Accept(soon(t))
			if err != nil {
				return
			}
			t.Cleanup(func() { hangUp(server, g) })
		}
	}()
	for room := range session.GrantFDs - 1 { // the first flows of a link need no segment
		p, line := d.run(fmt.Sprintf("starve %d", room), nil)
		if line != "ready" {
			t.Errorf("room for %d: %s", room, line)
		}
		p.end()
	}
	server.Close()
	<-done
}

// starve allocates a flow with room for arg more descriptors, then with
// enough.
func starve(dir, arg string) error {
	c, err := session.Dial(dir)
	if err != nil {
		return err
	}
	var room int
	fmt.Sscan(arg, &room)
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	tight := limit
	tight.Cur = min(limit.Cur, 256) // beyond all that the runtime has opened
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &tight); err != nil {
		return err
	}
	eaten, err := eatDescriptors()
	if len(eaten) < room {
		return fmt.Errorf("only %d descriptors were free: %w", len(eaten), err)
	}
	session.CloseAll(eaten[:room])
	for range 2 {
		if g, err := c.Alloc(background(), "full", qos.Raw); !errors.Is(err, errno.NoFiles) {
			return fmt.Errorf("got %v, %v", g, err)
		}
	}
	session.CloseAll(eaten[room:])
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	g, err := c.Alloc(background(), "full", qos.Raw)
	if err != nil {
		return fmt.Errorf("with descriptors again: %w", err)
	}
	return g.End.Write([]byte("x"), writeOptions)
}

// eatDescriptors takes every descriptor that is free; err is why there was not
// one more.
func eatDescriptors() (eaten []int, err error) {
	for {
		fd, err := unix.Dup(0)
		if err != nil {
			return eaten, err
		}
		eaten = append(eaten, fd)
	}
}

// A daemon without descriptors waits for some to come back. The clients that
// came meanwhile are served then. A client takes two: with one limit or the
// other the last one is left over.
func TestADaemonOutOfDescriptorsComesBack(t *testing.T) {
	for _, most := range []int{40, 41} {
		t.Run(fmt.Sprintf("with %d", most), func(t *testing.T) {
			p, line := startDaemonProcess(t, fmt.Sprintf("tight-daemon %d", most))
			if line != "ready" {
				t.Fatal(line)
			}
			dir := p.dir
			var held []*session.Conn
			wait := patience // for the first; then the daemon is up
			for len(held) < 100 {
				c, err := dialSoon(dir, wait)
				if err != nil {
					break
				}
				held, wait = append(held, c), time.Second
			}
			if len(held) == 0 || len(held) == 100 {
				t.Fatalf("%d clients fitted in", len(held))
			}
			for _, c := range held {
				c.Close()
			}
			eventually(t, "clients are served again", func() bool {
				c, err := dialSoon(dir, time.Second)
				if err == nil {
					c.Close()
				}
				return err == nil
			})
		})
	}
}

func TestASecondDaemonIsRefusedAndADeadOneReplaced(t *testing.T) {
	p, line := startDaemonProcess(t, "tight-daemon 40")
	if line != "ready" {
		t.Fatal(line)
	}
	_, err := New(Config{Dir: p.dir})
	if !errors.Is(err, errno.Exist) || !strings.Contains(err.Error(), fmt.Sprint(p.cmd.Process.Pid)) {
		t.Errorf("got %v", err)
	}
	p.kill()
	if _, err := os.Stat(filepath.Join(p.dir, rundir.FlowSocket)); err != nil {
		t.Fatalf("the killed daemon left no socket: %v", err)
	}
	if _, err := session.Dial(p.dir); !errors.Is(err, errno.IRMd) {
		t.Errorf("dial a dead daemon: %v", err)
	}
	start(t, Config{Dir: p.dir}).works()
}
