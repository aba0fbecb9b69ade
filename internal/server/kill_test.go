package server

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/qos"
)

func TestAKilledClientIsFlowDownForItsServer(t *testing.T) {
	d := start(t, Config{})
	server := d.serve("victim")
	for range 5 {
		p, line := d.runAsync("alloc victim")
		g, err := server.Accept(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := <-line; got != "ready" {
			t.Fatal(got)
		}
		if g.Peer != p.cmd.Process.Pid {
			t.Errorf("peer is %d, not %d", g.Peer, p.cmd.Process.Pid)
		}
		ended := events(g)
		began := time.Now()
		p.kill()
		want(t, ended, flow.EventDown)
		if took := time.Since(began); took > 5*time.Second { // by no limit of time
			t.Errorf("noticed after %v", took)
		}
		hangUp(server, g)
	}
	eventually(t, "nothing of the killed is left", func() bool {
		flows, _ := d.node.ListFlows(t.Context())
		procs, _ := d.node.ListProcesses(t.Context())
		return len(flows) == 0 && len(procs) == 1
	})
}

func TestAKilledServerTakesItsAcceptsWithIt(t *testing.T) {
	d := start(t, Config{})
	p, line := d.run("accept doomed", nil)
	if line != "ready" {
		t.Fatal(line)
	}
	p.kill()
	eventually(t, "the process is forgotten", func() bool {
		procs, _ := d.node.ListProcesses(t.Context())
		return len(procs) == 0
	})
	if _, err := d.dial().Alloc(soon(t), "doomed", qos.Raw); err == nil || errors.Is(err, errno.TimedOut) {
		t.Errorf("alloc to a name that nobody serves: %v", err)
	}
}

// The child of a killed process holds the socket: the pidfd tells.
func TestADeadProcessWhoseChildHoldsTheSocketIsReleased(t *testing.T) {
	d := start(t, Config{})
	p, line := d.run("leave-child", nil)
	if line != "ready" {
		t.Fatal(line)
	}
	if procs, _ := d.node.ListProcesses(t.Context()); len(procs) != 1 {
		t.Fatalf("%d processes", len(procs))
	}
	p.kill()
	eventually(t, "the process is forgotten", func() bool {
		procs, _ := d.node.ListProcesses(t.Context())
		return len(procs) == 0
	})
	if n := d.s.count.died.Load(); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// leaveChild connects, and gives the socket to a sleeping child.
func leaveChild(dir, _ string) error {
	fd, err := rawDial(dir)
	if err != nil {
		return err
	}
	if err := rawHello(fd); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sleep", "5")
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	return cmd.Start()
}
