package registry

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
	"ouroboros/qos"
)

// announce is a process that runs the program at path.
func (n *testNode) announce(t *testing.T, pid int, path string) *Process {
	t.Helper()
	h, err := n.Announce(Identity{PID: pid, Exe: path}, testOwner("same program"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Exit)
	return h
}

func TestClientsThatRunTheBoundProgramDoNotPassForServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, path := startingNode(t, 0)
		n.announce(t, 30, path) // another client, that does nothing
		client := n.announce(t, 31, path)
		took(t, 0, func() {
			if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
				t.Fatal(err)
			}
		})
		if s.starts.Load() != 1 {
			t.Errorf("%d starts", s.starts.Load())
		}
	})
}

func TestABoundProgramThatIsNotStartedIsWaitedForOnceItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		path := makeProgram(t, "p")
		if err := n.BindProgram(bg, irm.ProgramBinding{Program: path, Name: "a"}); err != nil {
			t.Fatal(err)
		}
		client := n.announce(t, 30, path)
		// Alone the client has no server to wait for.
		took(t, 0, func() {
			if _, err := client.Alloc(bg, "a", qos.Raw); !errors.Is(err, errno.IPCP) {
				t.Errorf("alone: %v", err)
			}
		})
		// A process that has just come up may be a server.
		server := n.announce(t, 31, path)
		go func() {
			time.Sleep(300 * time.Millisecond)
			server.Accept(bg)
		}()
		took(t, 300*time.Millisecond, func() {
			if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
				t.Error(err)
			}
		})
		server.Exit()
		// It was another client: the request goes on without it.
		n.announce(t, 32, path)
		took(t, time.Second, func() {
			if _, err := client.Alloc(bg, "a", qos.Raw); !errors.Is(err, errno.IPCP) {
				t.Errorf("another client: %v", err)
			}
		})
	})
}

// Two connections of a process: one is asked and ends while the other says that
// the process runs another program by now.
func TestAConnectionEndsWhileItsProcessBecomesAnotherProgram(t *testing.T) {
	n := newNode(t, nil)
	first := n.announce(t, 30, "/usr/bin/one")
	var left sync.WaitGroup
	left.Go(func() {
		if pid := first.PID(); pid != 30 {
			t.Errorf("pid %d", pid)
		}
		first.Exit()
	})
	n.announce(t, 30, "/usr/bin/two")
	left.Wait()
}
