package test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/test/host"
)

// betrayed is a line of three, all members of a layer in which everybody reaches
// everybody, and a traitor at the middle, which does what the words say.
//
//	a ──── b ──── c
//	       │
//	       x
func betrayed(t testing.TB, spec qos.Spec, words ...string) (n *network, x *host.Process) {
	t.Helper()
	n = lay(t, "ab bc bx")
	traitor := n.site("x")
	n.sites = n.sites[:3]
	n.start(t)
	n.join(t, over(spec))
	n.settled(t, 2)
	n.speak(t, "net")
	n.everybody(t, nil)
	traitor.Daemon = host.StartAt(t, traitor.space)
	x = start(t, traitor.Daemon, "traitor", append([]string{"bx", "n.b"}, words...)...)
	x.Out.Await(t, "in the layer")
	return n, x
}

// lean fails when a daemon holds more memory than one in a network of three has
// reason to.
func (n *network) lean(t testing.TB) {
	t.Helper()
	const most = 200 // MiB
	for _, s := range n.sites {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		kib := 0
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				fmt.Sscan(rest, &kib)
			}
		}
		t.Logf("%s holds %d MiB", s.name, kib>>10)
		if kib == 0 || kib>>10 > most {
			t.Errorf("%s holds %d KiB", s.name, kib)
		}
	}
}

func TestATraitorHurtsNobody(t *testing.T) {
	t.Parallel()
	words := []string{"garbage", "allocator", "directory=echo.c", "links"}
	n, x := betrayed(t, qos.Raw, words...)
	a, b := n.site("a"), n.site("b")
	s := n.streams(t, "a", "c", nil)
	f := a.call(t, "echo.c", &qos.Data) // and one that is there all the time
	f.SetReadTimeout(host.Patience)
	for _, w := range words {
		from := s.now()
		fmt.Fprintln(x.In, "go")
		x.Out.Await(t, "done "+strings.Split(w, "=")[0])
		lost, sent := s.lost(t, from), s.now()-from
		t.Logf("%s: of %d messages of others %d were lost", w, sent, lost)
		// Who forges the links of others interrupts them for a moment.
		if most := 20 + sent/5; lost > most && w != "links" {
			t.Errorf("%s: of %d messages of others %d were lost", w, sent, lost)
		}
		begin := time.Now()
		n.together(t)
		t.Logf("all reach all after %v", time.Since(begin))
		if _, err := f.Write([]byte(w)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		if got, err := f.Read(buf); err != nil || string(buf[:got]) != w {
			t.Errorf("%s: the flow that was there: %q, %v", w, buf[:got], err)
		}
	}
	n.knows(t, 2+1) // and that of the traitor
	n.lean(t)

	v := b.show(t)
	for what, n := range map[string]float64{
		"updates that are none":     v.LinkState.Counters["malformed"],
		"forged updates":            v.LinkState.Counters["forged"],
		"allocations that are none": v.Flows.Arrivals["malformed"],
		"refused allocations":       v.Flows.Arrivals["refused"],
		"messages for no flow":      v.Flows.Flows.Unknown,
		"directory, unreadable":     v.Directory.Counters["malformed"],
		"directory, unasked":        v.Directory.Counters["unasked"],
		"directory, spoofed":        v.Directory.Counters["spoofed"],
	} {
		if n == 0 {
			t.Errorf("b has counted no %s", what)
		}
	}
	if text := b.Log().String(); strings.Count(text, "\n") > 500 || strings.Contains(text, "has failed") {
		t.Errorf("b says too much:\n%.5000s", text)
	}
}

func TestAFlooderLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	n, x := betrayed(t, qos.Raw, "flood")
	s := n.streams(t, "a", "c", nil)
	from := s.now()
	fmt.Fprintln(x.In, "go")
	for range 5 {
		n.site("a").talk(t, "echo.c", &qos.Data)
		n.site("c").talk(t, "echo.b", nil)
	}
	x.Out.Await(t, "done flood")
	lost, sent := s.lost(t, from), s.now()-from
	t.Logf("of %d messages of others %d were lost; %s", sent, lost, x.Out)
	if lost > sent/2 {
		t.Errorf("of %d messages of others %d were lost", sent, lost)
	}
	n.together(t)
	n.lean(t)
}

// Who opens flows and says nothing, who stops in the middle of an enrolment, and
// who hears nothing any more: whatever the connection with it is like.
func TestAStuckNeighbourDelaysOnlyItself(t *testing.T) {
	for name, spec := range map[string]qos.Spec{"raw": qos.Raw, "data": qos.Data} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, x := betrayed(t, spec, "mute")
			a, b, c := n.site("a"), n.site("b"), n.site("c")
			toB, toC := n.streams(t, "a", "b", nil), n.streams(t, "a", "c", nil)
			from := toB.now()
			fmt.Fprintln(x.In, "go")
			x.Out.Await(t, "done mute")
			x.Cmd.Process.Signal(syscall.SIGSTOP)
			c.Signal(syscall.SIGSTOP)
			defer c.Signal(syscall.SIGCONT)

			// Others come meanwhile.
			begin := time.Now()
			for _, another := range []string{"m.a", "k.a", "l.a"} {
				a.enroll(t, another, irm.Unicast, "n.b")
				a.attend(t, another, "ab")
				a.connect(t, another, "n.b", spec)
			}
			took := time.Since(begin)
			t.Logf("three members enrolled and connected in %v", took)
			if took > 10*time.Second {
				t.Errorf("three members enrolled and connected in %v", took)
			}
			for range 5 {
				a.talk(t, "echo.b", &qos.Data)
				b.talk(t, "echo.a", nil)
			}
			if lost, sent := toB.lost(t, from), toB.now()-from; lost > sent/10 {
				t.Errorf("of %d messages to b %d were lost", sent, lost)
			}
			// It goes on as if nothing had been.
			c.Signal(syscall.SIGCONT)
			toC.flows(t)
			n.together(t)
			if n := n.redials(t); n != 0 {
				t.Errorf("%d connections were made again", n)
			}
			n.lean(t)
		})
	}
}
