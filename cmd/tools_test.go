// Package cmd_test runs the built tools with a daemon, as a user does.
package cmd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ouroboros/test/host"
)

func TestMain(m *testing.M) { os.Exit(host.Main(m)) }

var tools = []string{"oping", "oecho", "ocbr", "operf"}

// server runs the server of a tool, bound to a name.
func server(t *testing.T, d *host.Daemon, name, tool string, words ...string) *host.Process {
	t.Helper()
	p := d.Go(t, nil, tool, append([]string{"--listen"}, words...)...)
	d.Bind(t, p, name)
	return p
}

// interrupt is Ctrl-C; the exit code must be 0.
func interrupt(t *testing.T, p *host.Process, signal syscall.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(t); code != 0 {
		t.Errorf("%s: exit code %d after %v\n%s", p.Cmd, code, signal, p.Out)
	}
}

func wants(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing in:\n%s", part, got)
		}
	}
}

func TestToolsWithoutADaemon(t *testing.T) {
	bin, dir := host.Bin(t), t.TempDir()
	run := func(tool string, words ...string) (stdout, stderr string, code int) {
		cmd := exec.Command(filepath.Join(bin, tool), words...)
		cmd.Env = append(os.Environ(), "OUROBOROS_RUNTIME_DIR="+dir)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		cmd.Run()
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	for _, tool := range tools {
		for _, tc := range []struct {
			words          []string
			code           int
			stdout, stderr string
		}{
			{[]string{"--help"}, 0, "Usage: " + tool, ""},
			{[]string{"--version"}, 0, tool + " 0.23.0\n", ""},
			{[]string{"--nonsense"}, 1, "", "Unknown option: --nonsense."},
			{[]string{"-l", "stray"}, 1, "", `Unexpected word: "stray".`},
			{[]string{"-l"}, 1, "", "start one with: irmd"},
		} {
			stdout, stderr, code := run(tool, tc.words...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("%s %v: exit code %d\nstdout: %s\nstderr: %s", tool, tc.words, code, stdout, stderr)
			}
		}
	}
}

func TestOpingThroughADaemon(t *testing.T) {
	d := host.Start(t)
	s := server(t, d, "oping", "oping", "-Q")
	wants(t, d.OK(t, "oping", "-n", "oping", "-c", "3", "-i", "10"),
		"Pinging oping with 64 bytes of data (3 packets):\n\n64 bytes from oping: seq=0 time=",
		"--- oping ping statistics ---\n3 packets transmitted, 3 received, 0 out-of-order, 0% packet loss, time: ")
	for _, mode := range []string{"-f", "-F"} {
		wants(t, d.OK(t, "oping", "-n", "oping", mode, "-c", "1000", "-Q", "-s", "1500"), "1000 packets transmitted, 1000 received")
	}
	for _, q := range []string{"raw", "best", "video", "voice", "data"} {
		wants(t, d.OK(t, "oping", "-n", "oping", "-c", "1", "-i", "1", "-q", q), " 1 received")
	}
	var r struct{ Received int }
	if err := json.Unmarshal([]byte(d.OK(t, "oping", "-n", "oping", "-c", "5", "-i", "1", "--json")), &r); err != nil || r.Received != 5 {
		t.Errorf("got %+v, %v", r, err)
	}
	if got := d.Run(t, "oping", "-n", "nobody"); got.Code != 1 || !strings.Contains(got.Stderr, "Failed to allocate flow: -1007.") {
		t.Errorf("got %+v", got)
	}

	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		c := d.Go(t, nil, "oping", "-n", "oping", "-i", "5")
		c.Out.Await(t, "seq=")
		interrupt(t, c, signal)
		wants(t, c.Out.String(), "--- oping ping statistics ---", "rtt min/avg/max/mdev = ")
	}
	interrupt(t, s, syscall.SIGINT)
	wants(t, s.Out.String(), "Ouroboros ping server started.\nNew flow 64.\n", "--- ping server statistics ---")
}

func TestAKilledServerEndsItsClients(t *testing.T) {
	d := host.Start(t)
	for _, mode := range []string{"-f", "-F"} {
		s := server(t, d, "oping", "oping", "-Q")
		c := d.Go(t, nil, "oping", "-n", "oping", mode)
		c.Out.Await(t, "seq=")
		s.Kill()
		if code := c.Wait(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		wants(t, c.Out.String(), "--- oping ping statistics ---")
	}
}

func TestAKilledClientLeavesItsServer(t *testing.T) {
	d := host.Start(t)
	s := server(t, d, "oping", "oping", "-Q", "--json")
	c := d.Go(t, nil, "oping", "-n", "oping", "-f")
	c.Out.Await(t, "seq=")
	c.Kill()
	s.Out.Await(t, `"event":"end"`)
	wants(t, d.OK(t, "oping", "-n", "oping", "-c", "1", "-i", "1"), " 1 received")
	interrupt(t, s, syscall.SIGTERM)
}

func TestAServerWhoseDaemonGoesSaysSo(t *testing.T) {
	d := host.Start(t)
	s := server(t, d, "oping", "oping")
	d.Kill()
	if code := s.Wait(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	wants(t, s.Out.String(), "The server ends.")
}

func TestOutputIntoAPipeThatCloses(t *testing.T) {
	d := host.Start(t)
	server(t, d, "oping", "oping", "-Q")
	out := d.OK(t, "/bin/sh", "-c", "oping -n oping -f | head -n 3")
	wants(t, out, "64 bytes from oping: seq=0")
}

func TestOechoThroughADaemon(t *testing.T) {
	d := host.Start(t)
	s := server(t, d, "oecho", "oecho")
	for range 3 {
		if got := d.OK(t, "oecho"); got != "Server replied with Client says hi!\n" {
			t.Errorf("got %q", got)
		}
	}
	interrupt(t, s, syscall.SIGINT)
	wants(t, s.Out.String(), "Starting the server.\nNew flow.\nMessage from client is Client says hi!.\nNew flow.\n")
}

func TestOcbrThroughADaemon(t *testing.T) {
	d := host.Start(t)
	s := server(t, d, "cbr", "ocbr")
	wants(t, d.OK(t, "ocbr", "--server_apn", "cbr", "-d", "1", "-r", "1M", "-s", "1000"),
		"Client started, duration 1, rate 1000000 b/s, size 1000 B.\nsent statistics:       125 packets,       125000 bytes in ")
	s.Out.Await(t, "Test on flow 64 ended: deallocated\n")
	d.OK(t, "ocbr", "-n", "cbr", "-d", "100ms", "-f", "-s", "524288")
	c := d.Go(t, nil, "ocbr", "-n", "cbr", "-f")
	s.Out.Await(t, "pps")
	interrupt(t, c, syscall.SIGINT)
	wants(t, c.Out.String(), "sent statistics: ")
	interrupt(t, s, syscall.SIGINT)
	wants(t, s.Out.String(), "Server started, interval is 1 s, timeout is 1 s.\nNew flow.\n", "\n3 flows, ")
}

func TestOperfThroughADaemon(t *testing.T) {
	d := host.Start(t)
	s := server(t, d, "perf", "operf")
	wants(t, d.OK(t, "operf", "-n", "perf", "-d", "500", "-f"),
		"Doing a unidirectional test.\nFlooding perf with 1500 byte packets for 0.5 seconds.\n\nTest finished.\n\n--- perf perf statistics ---\n")
	wants(t, d.OK(t, "operf", "-n", "perf", "-t", "bi", "-d", "500", "-r", "10M"),
		"Doing a bidirectional test.\nSending 1500 byte packets for 0.5 s to perf at 10.000 Mb/s.\n\nTest finished.\n", " 0% packet loss")
	c := d.Go(t, nil, "operf", "-n", "perf", "-t", "bi", "-f")
	c.Out.Await(t, "Flooding")
	interrupt(t, c, syscall.SIGINT)
	wants(t, c.Out.String(), "--- perf perf statistics ---")
	interrupt(t, s, syscall.SIGINT)
	wants(t, s.Out.String(), "Ouroboros perf server started.\nNew flow 64.\nDoing a unidirectional test.\n", "3 flows, ")
}
