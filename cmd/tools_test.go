// Package cmd_test runs the built tools with a daemon, as a user does.
package cmd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"ouroboros"
)

var tools = []string{"oping", "oecho", "ocbr", "operf", "obc"}

// words is a command line with what the tool cannot do without.
func words(tool string, more ...string) []string {
	if tool == "obc" {
		return append(more, "-n", "layer")
	}
	return more
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
	h := &host{dir: t.TempDir()}
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
			{words(tool, "-l"), 1, "", "start one with: irmd"},
		} {
			stdout, stderr, code := h.run(t, tool, tc.words...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("%s %v: exit code %d\nstdout: %s\nstderr: %s", tool, tc.words, code, stdout, stderr)
			}
		}
	}
}

func TestOpingThroughADaemon(t *testing.T) {
	h := start(t)
	s := h.serve(t, "oping", "oping", "-Q")
	wants(t, h.ok(t, "oping", "-n", "oping", "-c", "3", "-i", "10"),
		"Pinging oping with 64 bytes of data (3 packets):\n\n64 bytes from oping: seq=0 time=",
		"--- oping ping statistics ---\n3 packets transmitted, 3 received, 0 out-of-order, 0% packet loss, time: ")
	for _, mode := range []string{"-f", "-F"} {
		wants(t, h.ok(t, "oping", "-n", "oping", mode, "-c", "1000", "-Q", "-s", "1500"), "1000 packets transmitted, 1000 received")
	}
	for _, q := range []string{"raw", "best", "video", "voice", "data"} {
		wants(t, h.ok(t, "oping", "-n", "oping", "-c", "1", "-i", "1", "-q", q), " 1 received")
	}
	var r struct{ Received int }
	if err := json.Unmarshal([]byte(h.ok(t, "oping", "-n", "oping", "-c", "5", "-i", "1", "--json")), &r); err != nil || r.Received != 5 {
		t.Errorf("got %+v, %v", r, err)
	}
	_, stderr, code := h.run(t, "oping", "-n", "nobody")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	wants(t, stderr, "Failed to allocate flow: -1007.\n  cannot")

	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		c := h.spawn(t, nil, "oping", "-n", "oping", "-i", "5")
		c.output.Await(t, "seq=")
		c.interrupt(t, signal)
		wants(t, c.output.String(), "--- oping ping statistics ---", "rtt min/avg/max/mdev = ")
	}
	s.interrupt(t, syscall.SIGINT)
	wants(t, s.output.String(), "Ouroboros ping server started.\nNew flow 64.\n", "--- ping server statistics ---")
}

func TestAKilledServerEndsItsClients(t *testing.T) {
	h := start(t)
	for _, mode := range []string{"-f", "-F"} {
		s := h.serve(t, "oping", "oping", "-Q")
		c := h.spawn(t, nil, "oping", "-n", "oping", mode)
		c.output.Await(t, "seq=")
		s.kill()
		if code := c.wait(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		wants(t, c.output.String(), "--- oping ping statistics ---")
	}
}

func TestAKilledClientLeavesItsServer(t *testing.T) {
	h := start(t)
	s := h.serve(t, "oping", "oping", "-Q", "--json")
	c := h.spawn(t, nil, "oping", "-n", "oping", "-f")
	c.output.Await(t, "seq=")
	c.kill()
	s.output.Await(t, `"event":"end"`)
	wants(t, h.ok(t, "oping", "-n", "oping", "-c", "1", "-i", "1"), " 1 received")
	s.interrupt(t, syscall.SIGTERM)
}

func TestAServerWhoseDaemonGoesSaysSo(t *testing.T) {
	h := start(t)
	s := h.serve(t, "oping", "oping")
	h.daemon.kill()
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	wants(t, s.output.String(), "The IRM daemon has ended, and the server with it.")
}

func TestOutputIntoAPipeThatCloses(t *testing.T) {
	h := start(t)
	h.serve(t, "oping", "oping", "-Q")
	out := h.ok(t, "/bin/sh", "-c", "oping -n oping -f | head -n 3")
	wants(t, out, "64 bytes from oping: seq=0")
}

func TestOutputThatCannotBeWrittenIsTold(t *testing.T) {
	h := start(t)
	h.serve(t, "oping", "oping", "-Q")
	for _, line := range []string{"oping --help >/dev/full", "oping -n oping -c 1 -i 1 >/dev/full", "ocbr --version >/dev/full"} {
		_, stderr, code := h.run(t, "/bin/sh", "-c", line)
		if code != 1 {
			t.Errorf("%s: exit code %d", line, code)
		}
		wants(t, stderr, "Could not write all of the output.\n  ")
	}
}

// A client that deallocates and is gone at once has not crashed, however the
// server comes to know of it.
func TestADeallocationIsNotTakenForACrash(t *testing.T) {
	h := start(t)
	s := h.serve(t, "oping", "oping")
	const clients = 50
	for range clients {
		h.ok(t, "oping", "-n", "oping", "-c", "20", "-f", "-Q")
	}
	s.output.AwaitCount(t, "\nFlow ", clients)
	if out := s.output.String(); strings.Contains(out, " down.") {
		t.Errorf("%d of %d flows were taken for crashed", strings.Count(out, " down."), clients)
	}
}

func TestOechoThroughADaemon(t *testing.T) {
	h := start(t)
	s := h.serve(t, "oecho", "oecho")
	for range 3 {
		if got := h.ok(t, "oecho"); got != "Server replied with Client says hi!\n" {
			t.Errorf("got %q", got)
		}
	}
	s.interrupt(t, syscall.SIGINT)
	wants(t, s.output.String(), "Starting the server.\nNew flow.\nMessage from client is Client says hi!.\nNew flow.\n")
}

func TestObcThroughADaemon(t *testing.T) {
	h := start(t)
	h.ok(t, "irm", "ipcp", "bootstrap", "type", "broadcast", "name", "b", "layer", "all")
	one, all := h.spawn(t, nil, "obc", "-l", "-n", "all", "-c", "1"), h.spawn(t, nil, "obc", "-l", "-n", "all")
	one.output.Await(t, "New flow.\n")
	all.output.Await(t, "New flow.\n")
	if got := h.ok(t, "obc", "-n", "all", "-m", "hey"); got != "" {
		t.Errorf("got %q", got)
	}
	if code := one.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	h.ok(t, "obc", "-n", "all")
	all.output.Await(t, "Message is Ouroboros multicast rocks!.\n")
	all.interrupt(t, syscall.SIGINT)
	wants(t, all.output.String(), "Starting a reader.\nNew flow.\nMessage is hey.\n")
}

func TestOcbrThroughADaemon(t *testing.T) {
	h := start(t)
	s := h.serve(t, "cbr", "ocbr")
	wants(t, h.ok(t, "ocbr", "--server_apn", "cbr", "-d", "1", "-r", "1M", "-s", "1000"),
		"Client started, duration 1, rate 1000000 b/s, size 1000 B.\nsent statistics:       125 packets,       125000 bytes in ")
	s.output.Await(t, "Test on flow 64 ended: deallocated\n")
	h.ok(t, "ocbr", "-n", "cbr", "-d", "100ms", "-f", "-s", "524288")
	c := h.spawn(t, nil, "ocbr", "-n", "cbr", "-f")
	s.output.AwaitCount(t, "pps", 3) // the third flow is reported on
	c.interrupt(t, syscall.SIGINT)
	wants(t, c.output.String(), "sent statistics: ")
	s.interrupt(t, syscall.SIGINT)
	wants(t, s.output.String(), "Server started, interval is 1 s, timeout is 1 s.\nNew flow.\n", "\n3 flows, ")
}

func TestOperfThroughADaemon(t *testing.T) {
	h := start(t)
	s := h.serve(t, "perf", "operf")
	wants(t, h.ok(t, "operf", "-n", "perf", "-d", "500", "-f"),
		"Doing a unidirectional test.\nFlooding perf with 1500 byte packets for 0.5 seconds.\n\nTest finished.\n\n--- perf perf statistics ---\n")
	wants(t, h.ok(t, "operf", "-n", "perf", "-t", "bi", "-d", "500", "-r", "10M"),
		"Doing a bidirectional test.\nSending 1500 byte packets for 0.5 s to perf at 10.000 Mb/s.\n\nTest finished.\n", " 0% packet loss")
	c := h.spawn(t, nil, "operf", "-n", "perf", "-t", "bi", "-f")
	c.output.Await(t, "Flooding")
	c.interrupt(t, syscall.SIGINT)
	wants(t, c.output.String(), "--- perf perf statistics ---")
	s.interrupt(t, syscall.SIGINT)
	wants(t, s.output.String(), "Ouroboros perf server started.\nNew flow 64.\nDoing a unidirectional test.\n", "3 flows, ")
}

func TestThousandsOfFlowsToOneServer(t *testing.T) {
	many := 5000
	if testing.Short() {
		many = 300
	}
	h := start(t)
	s := h.serve(t, "oping", "oping", "-Q", "--json")
	node, err := ouroboros.Open(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	flows := make([]*ouroboros.Flow, many)
	request := make([]byte, 64)
	for i := range flows {
		if flows[i], err = node.Alloc(t.Context(), "oping", nil); err != nil {
			t.Fatalf("flow %d: %v", i, err)
		}
		// At once: the server ends flows that are silent for long.
		if _, err := flows[i].Write(request); err != nil {
			t.Fatalf("flow %d: %v", i, err)
		}
	}
	reply := make([]byte, 65)
	for i, f := range flows {
		f.SetReadTimeout(patience)
		if n, err := f.Read(reply); err != nil || n != len(request) || reply[3] != 1 {
			t.Fatalf("flow %d: %d bytes, %v", i, n, err)
		}
	}
	for _, f := range flows {
		f.Close()
	}
	s.output.AwaitCount(t, `"event":"end"`, many)
	s.interrupt(t, syscall.SIGINT)
	wants(t, s.output.String(), fmt.Sprintf(`"flows":%d,"requests":%d,"replies":%d,"dropped":0,"failed":0,"invalid":0}`, many, many, many))
}
