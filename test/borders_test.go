package test

import (
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ouroboros/internal/rundir"
	"ouroboros/test/host"
)

// A stranger connects and says nothing, says garbage, or stops in the middle;
// those who work do not notice.
func TestStrangersOnTheSocketsHurtNobody(t *testing.T) {
	d := host.Start(t)
	serve(t, d, "echo", "steady")
	worker := start(t, d, "load", "steady")
	worker.Out.Await(t, "ok")

	r := rand.New(rand.NewPCG(5, 6))
	garbage := make([]byte, 8192)
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	var silent []net.Conn
	for i := range 100 {
		c, err := net.Dial("unixpacket", filepath.Join(d.Dir, rundir.FlowSocket))
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			silent = append(silent, c)
			continue
		}
		for range 10 {
			if _, err := c.Write(garbage[:r.IntN(len(garbage))]); err != nil {
				break // cut off, as it should be
			}
		}
		c.Close()
	}
	for i := range 100 {
		c, err := net.Dial("unix", filepath.Join(d.Dir, rundir.APISocket))
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0:
			silent = append(silent, c)
			continue
		case 1:
			c.Write(garbage[:r.IntN(len(garbage))])
		case 2:
			c.Write([]byte("POST /ouroboros.v1.Irm/ListNames HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"))
		case 3:
			c.Write([]byte("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")) // and never reads
			silent = append(silent, c)
			continue
		}
		c.Close()
	}
	before := strings.Count(worker.Out.String(), "ok")
	host.Eventually(t, "the worker goes on", func() bool {
		return strings.Count(worker.Out.String(), "ok") > before+2
	})
	if strings.Contains(worker.Out.String(), "unexpected") {
		t.Error(worker.Out)
	}
	if _, err := d.Irm.ListNames(t.Context()); err != nil {
		t.Error(err)
	}
	for _, c := range silent {
		c.Close()
	}
}

func TestScriptManagesOverTheSocket(t *testing.T) {
	d := host.Start(t)
	client := http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(d.Dir, rundir.APISocket))
	}}}
	defer client.CloseIdleConnections()
	d.OK(t, "irm", "name", "create", "scripted")
	resp, err := client.Post("http://irmd/ouroboros.v1.Irm/ListNames", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := make([]byte, 4096)
	n, _ := resp.Body.Read(body)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body[:n]), "scripted") {
		t.Errorf("%s: %s", resp.Status, body[:n])
	}
}

// asNobody runs a command of ours as a user without rights.
func asNobody(t *testing.T, d *host.Daemon, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(host.Bin(t), name), args...)
	cmd.Env = d.Env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestOthersMayHaveFlowsAndMayNotManage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can act as another user")
	}
	place, err := os.MkdirTemp("", "ouroboros-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(place) })
	for _, dir := range []string{place, host.Bin(t)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := host.StartIn(t, place)
	oping := filepath.Join(host.Bin(t), "oping")
	d.OK(t, "irm", "bind", "program", oping, "name", "oping", "auto", "--", "--listen", "--quiet")
	if out, err := asNobody(t, d, "oping", "-n", "oping", "-c", "1", "-i", "10ms"); err != nil || !strings.Contains(out, "1 received") {
		t.Errorf("a flow for another user: %v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"name", "create", "mine"}, {"name", "destroy", "oping"}, {"name", "list"},
		{"ipcp", "create", "type", "local", "name", "x"}, {"unbind", "program", oping, "name", "oping"},
		{"bind", "process", "1", "name", "oping"},
	} {
		out, err := asNobody(t, d, "irm", args...)
		if err == nil || !strings.Contains(out, "root") {
			t.Errorf("irm %s as another user: %v, %s", strings.Join(args, " "), err, out)
		}
	}
}
