package server

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// stranger is a user that is neither root nor the daemon's.
func stranger(t *testing.T, groups ...uint32) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: groups}}
}

func TestWhoMayDoWhat(t *testing.T) {
	me := Users{UIDs: []uint32{65534}}
	nobody := Users{}
	for _, test := range []struct {
		name                       string
		access                     Access
		groups                     []uint32
		flows, manages, sees, none string
	}{
		{name: "a stranger has flows and sees the status", flows: "ready", sees: "ready"},
		{name: "one who is listed manages", access: Access{Manage: me}, flows: "ready", manages: "ready", sees: "ready"},
		{name: "a listed group manages, also as a supplementary one",
			access: Access{Manage: Users{GIDs: []uint32{4242}}}, groups: []uint32{7, 4242}, flows: "ready", manages: "ready", sees: "ready"},
		{name: "flows for nobody", access: Access{Flows: &nobody}},
		{name: "flows for those listed", access: Access{Flows: &me}, flows: "ready", sees: "ready"},
		{name: "who manages has flows", access: Access{Manage: me, Flows: &nobody}, flows: "ready", manages: "ready", sees: "ready"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := start(t, Config{Access: test.access})
			who := stranger(t, test.groups...)
			for role, ready := range map[string]bool{
				"hold": test.flows != "", "accept x": test.manages != "", "list": test.manages != "", "status": test.sees != "",
			} {
				p, line := d.run(role, who)
				p.end()
				switch {
				case ready && line != "ready":
					t.Errorf("%s: %s", role, line)
				case !ready && !strings.Contains(line, "user 65534"):
					t.Errorf("%s: not refused: %s", role, line)
				}
			}
		})
	}
}

// Who may not manage cannot bind itself, and can listen to what it is bound to.
func TestAStrangerThatOthersBoundMayListen(t *testing.T) {
	d := start(t, Config{})
	who := stranger(t)
	p, line := d.runWith("bound x", who)
	defer p.end()
	eventually(t, "the process is bound", func() bool {
		return d.node.BindProcess(t.Context(), p.cmd.Process.Pid, "x") == nil
	})
	if line := <-line; line != "ready" {
		t.Errorf("bound by others: %s", line)
	}
	q, refusal := d.run("accept y", who)
	defer q.end()
	if !strings.Contains(refusal, "user 65534") {
		t.Errorf("not bound: %s", refusal)
	}
}

func TestARefusalSaysWhoMay(t *testing.T) {
	d := start(t, Config{})
	_, line := d.run("list", stranger(t))
	if !strings.Contains(line, "run it as root or add yourself to group ouroboros") {
		t.Errorf("got %q", line)
	}
	if d.s.count.denied.Load() == 0 {
		t.Error("not counted")
	}
}

func TestAStrangerCannotTakeAllPlaces(t *testing.T) {
	d := start(t, Config{Limits: Limits{Clients: 32, ClientsPerUser: 3}})
	who := stranger(t)
	var held []*other
	for range 3 {
		p, line := d.run("hold", who)
		if line != "ready" {
			t.Fatal(line)
		}
		held = append(held, p)
	}
	if _, line := d.run("hold", who); !strings.Contains(line, "has 3 connections") {
		t.Errorf("the fourth: %q", line)
	}
	d.works()
	held[0].end()
}

// The daemon believes the kernel about who a process is.
func TestAProcessIsWhatTheKernelSays(t *testing.T) {
	d := start(t, Config{})
	p, line := d.run("hold", stranger(t))
	if line != "ready" {
		t.Fatal(line)
	}
	l, err := d.node.ListProcesses(t.Context())
	if err != nil || len(l) != 1 {
		t.Fatalf("%v, %v", l, err)
	}
	if got := l[0]; got.PID != p.cmd.Process.Pid || got.UID != 65534 || got.Program != p.cmd.Path {
		t.Errorf("got %+v", got)
	}
}

// Programs that are started on demand are started as who bound them.
func TestAProgramIsBoundAsItsBinder(t *testing.T) {
	me := Users{UIDs: []uint32{65534}}
	d := start(t, Config{Access: Access{Manage: me}})
	_, line := d.run("bind-program prog", stranger(t))
	if line != "ready" {
		t.Fatal(line)
	}
	l, err := d.node.ListPrograms(t.Context())
	if err != nil || len(l) != 1 {
		t.Fatalf("%v, %v", l, err)
	}
	if _, err := exec.LookPath(l[0].Program); err != nil {
		t.Error(err)
	}
}
