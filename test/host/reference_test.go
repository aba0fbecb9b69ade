package host

import (
	"os"
	"strings"
	"testing"

	"ouroboros/internal/netns"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestADaemonRunsInsideItsNamespace(t *testing.T) {
	a, _ := netns.Pair(t)
	d := StartAt(t, a)
	d.OK(t, "irm", "ipcp", "bootstrap", "name", "l1", "type", "local", "layer", "home")
	p := d.Go(t, nil, "oping", "--listen")
	d.Bind(t, p, "oping")
	out := d.OK(t, "oping", "-n", "oping", "-c", "2", "-i", "10ms")
	if !strings.Contains(out, " 2 received") {
		t.Error(out)
	}
	if out := d.Run(t, "cat", "/proc/net/dev"); out.Code == 0 {
		t.Error("cat is no command of ours")
	}
}

func TestTheReferenceRunsInsideItsNamespaceAgainAndAgain(t *testing.T) {
	a, b := netns.Pair(t)
	for _, space := range []*netns.Space{a, b} {
		r := StartReference(t, space)
		r.OK(t, "irm", "ipcp", "bootstrap", "name", "l1", "type", "local", "layer", "home")
		p := r.Go(t, nil, "oping", "--listen")
		r.Bind(t, p, "oping")
		r.OK(t, "irm", "name", "register", "oping", "layer", "home")
		out := r.OK(t, "oping", "-n", "oping", "-c", "2", "-i", "10ms")
		if !strings.Contains(out, " 2 received") {
			t.Error(out)
		}
		if c := r.Crashed(); len(c) > 0 {
			t.Error(c)
		}
	}
}
