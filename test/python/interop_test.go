package python

import (
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/internal/netns"
	"ouroboros/test/host"
)

// tries is how often a client allocates: the C implementation asks for a name
// once, and loses an answer at times.
const tries = 5

// The echo programs of Python and of the C implementation talk to each other
// over an Ethernet.
func TestTheEchoesOfPythonAndOfTheCImplementation(t *testing.T) {
	if !host.HasReference() {
		t.Skip("no " + host.ReferenceVariable + ": the tests against the C implementation need the directory that it is installed in")
	}
	python := installed(t)
	script := filepath.Join(source(), "examples", "oecho.py")
	a, b := netns.Pair(t)
	ours, theirs := host.StartAt(t, a), host.StartReference(t, b)
	for node, dev := range map[host.Node]string{ours: a.Dev, theirs: b.Dev} {
		node.OK(t, "irm", "ipcp", "bootstrap", "name", "i1", "type", "eth-dix", "layer", "net", "dev", dev)
	}

	t.Run("a client in Python", func(t *testing.T) {
		s := theirs.Go(t, nil, "oecho", "--listen")
		theirs.Bind(t, s, "oecho")
		theirs.OK(t, "irm", "name", "register", "oecho", "layer", "net")
		answered(t, func() host.Result { return ours.Run(t, python, script) }, "Hello, PyOuroboros!")
		s.Out.Await(t, "Hello, PyOuroboros!")
		theirs.OK(t, "irm", "name", "destroy", "oecho")
		s.Kill()
	})
	t.Run("a server in Python", func(t *testing.T) {
		s := ours.Go(t, []string{"PYTHONUNBUFFERED=1"}, python, script, "-l")
		s.Out.Await(t, "Starting the server.")
		ours.OK(t, "irm", "name", "register", "oecho", "layer", "net")
		theirs.OK(t, "irm", "name", "create", "oecho")
		answered(t, func() host.Result { return theirs.Run(t, "oecho") }, "Server replied with Client says hi!")
		s.Out.Await(t, "Message from client is Client says hi!")
	})
}

// answered runs a client until it prints what it should.
func answered(t *testing.T, run func() host.Result, want string) {
	t.Helper()
	for try := 1; ; try++ {
		r := run()
		if strings.Contains(r.Stdout, want) {
			return
		}
		if try == tries {
			t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		t.Logf("try %d: %s%s", try, r.Stdout, r.Stderr)
	}
}
