package test

import (
	"strings"
	"testing"

	"ouroboros/test/host"
)

// more waits until a load has done two hundred further rounds.
func more(t *testing.T, p *host.Process) {
	t.Helper()
	before := strings.Count(p.Out.String(), "ok")
	host.Eventually(t, "the others go on", func() bool {
		return strings.Count(p.Out.String(), "ok") > before+1
	})
	if strings.Contains(p.Out.String(), "unexpected") {
		t.Error(p.Out)
	}
}

func TestGarbageInTheMemoryOfAFlowEndsThatFlowAlone(t *testing.T) {
	d := host.Start(t)
	server := serve(t, d, "echo", "victim")
	load := start(t, d, "load", "victim")
	load.Out.Await(t, "ok")
	h := start(t, d, "hostile", "victim")
	h.Out.Await(t, "harmless")
	more(t, load)
	h.Out.Await(t, "broken")
	more(t, load)
	h.Kill()
	more(t, load)
	if strings.Contains(server.Out.String(), "end:") {
		t.Errorf("the server has ended: %s", server.Out)
	}
	load.Kill()
	server.Kill()
	clean(t, d)
}

func TestKilledServerEndsABlockedWrite(t *testing.T) {
	d := host.Start(t)
	s := serve(t, d, "deaf", "victim")
	c := start(t, d, "stuff", "victim")
	c.Out.Await(t, "full")
	s.Kill()
	c.Out.Await(t, "write: 1005")
	clean(t, d)
}

func TestStoppedDaemonEndsABlockedWrite(t *testing.T) {
	d := host.Start(t)
	serve(t, d, "deaf", "victim")
	c := start(t, d, "stuff", "victim")
	c.Out.Await(t, "full")
	d.Kill()
	c.Out.Await(t, "write: 1005")
}
