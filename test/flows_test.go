package test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/irm"
	"ouroboros/test/host"
)

// start runs this test binary again in a role.
func start(t testing.TB, d *host.Daemon, role string, args ...string) *host.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return d.Go(t, []string{"OUROBOROS_TEST_ROLE=" + role}, self, args...)
}

// open makes a client of this process.
func open(t testing.TB, d *host.Daemon) *ouroboros.Client {
	t.Helper()
	c, err := ouroboros.Open(d.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func serve(t testing.TB, d *host.Daemon, role, name string) *host.Process {
	t.Helper()
	p := start(t, d, role)
	p.Out.Await(t, "ready")
	d.Bind(t, p, name)
	return p
}

func TestTwoServersOfANameTakeTurns(t *testing.T) {
	d := host.Start(t)
	if err := d.Irm.CreateName(t.Context(), irm.NameInfo{Name: "turns", Balance: irm.RoundRobin}); err != nil {
		t.Fatal(err)
	}
	a := serve(t, d, "count", "turns")
	b := serve(t, d, "count", "turns")
	accepting := func(n int) {
		host.Eventually(t, fmt.Sprintf("%d servers accept", n), func() bool {
			names, err := d.Irm.ListNames(t.Context())
			return err == nil && len(names) == 1 && names[0].Accepting == n
		})
	}
	c := open(t, d)
	for range 20 {
		accepting(2)
		f, err := c.Alloc(t.Context(), "turns", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	host.Eventually(t, "both servers have said what they got", func() bool {
		return strings.Count(a.Out.String()+b.Out.String(), "flow") == 20
	})
	if x, y := strings.Count(a.Out.String(), "flow"), strings.Count(b.Out.String(), "flow"); x != 10 || y != 10 {
		t.Errorf("of 20 flows one server got %d and the other %d", x, y)
	}
}

func TestTwoHundredParallelAllocationsSucceed(t *testing.T) {
	d := host.Start(t)
	serve(t, d, "echo", "many")
	c := open(t, d)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			f, err := c.Alloc(t.Context(), "many", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := f.Write([]byte("hello")); err != nil {
				t.Error(err)
			}
			if n, err := f.Read(make([]byte, 64)); n != 5 || err != nil {
				t.Error(n, err)
			}
		})
	}
	wg.Wait()
}

func TestAutoStartedServerAnswersItsFirstPing(t *testing.T) {
	d := host.Start(t)
	oping := filepath.Join(host.Bin(t), "oping")
	d.OK(t, "irm", "bind", "program", oping, "name", "oping", "auto", "--", "--listen", "--quiet")
	out := d.OK(t, "oping", "-n", "oping", "-c", "2", "-i", "10ms")
	if !strings.Contains(out, "2 packets transmitted, 2 received, 0 out-of-order, 0% packet loss") {
		t.Error(out)
	}
	procs, err := d.Irm.ListProcesses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	for _, p := range procs {
		if p.Auto {
			pid = p.PID
		}
	}
	if pid == 0 {
		t.Fatalf("no process is marked as started on demand: %+v", procs)
	}

	// A killed server is started again by the next client, and the end of the
	// daemon ends it.
	syscall.Kill(pid, syscall.SIGKILL)
	d.OK(t, "oping", "-n", "oping", "-c", "1", "-i", "10ms")
	procs, err = d.Irm.ListProcesses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if p.Auto {
			pid = p.PID
		}
	}
	if code := d.Stop(t); code != 0 {
		t.Errorf("the daemon exits with %d", code)
	}
	host.Eventually(t, "the server ended with the daemon", func() bool {
		return syscall.Kill(pid, 0) == syscall.ESRCH
	})
}

// The time is that of the client, from its start to its end; the best of a few,
// because machines that run tests are busy, and beside that of a program which
// only starts, because some are slow.
func TestStartOnDemandIsQuick(t *testing.T) {
	d := host.Start(t)
	oping := filepath.Join(host.Bin(t), "oping")
	start := time.Hour
	for range 5 {
		began := time.Now()
		d.OK(t, "oping", "--help")
		start = min(start, time.Since(began))
	}
	d.OK(t, "irm", "bind", "program", oping, "name", "oping", "auto", "--", "--listen", "--quiet")
	best := time.Hour
	for range 5 {
		began := time.Now()
		d.OK(t, "oping", "-n", "oping", "-c", "1", "-i", "1ms")
		best = min(best, time.Since(began))
		procs, err := d.Irm.ListProcesses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range procs {
			if p.Auto {
				syscall.Kill(p.PID, syscall.SIGKILL)
			}
		}
		host.Eventually(t, "the server is gone", func() bool {
			procs, err := d.Irm.ListProcesses(t.Context())
			return err == nil && len(procs) == 0
		})
	}
	if best > 300*time.Millisecond+10*start {
		t.Errorf("the first answer of a server that has to be started took %v, a start alone %v", best, start)
	}
	t.Logf("%v, a start alone %v", best, start)
}

func TestKilledServerIsFlowDownForItsClients(t *testing.T) {
	d := host.Start(t)
	s := serve(t, d, "echo", "victim")
	c := start(t, d, "hold", "victim", "20")
	c.Out.Await(t, "held")
	s.Kill()
	host.Eventually(t, "all 20 readers were told", func() bool {
		return strings.Count(c.Out.String(), "read: 1005") == 20
	})
	clean(t, d)
}

func TestStoppedDaemonIsFlowDownForAll(t *testing.T) {
	d := host.Start(t)
	serve(t, d, "echo", "victim")
	c := start(t, d, "hold", "victim", "5")
	c.Out.Await(t, "held")
	if code := d.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	host.Eventually(t, "all 5 readers were told", func() bool {
		return strings.Count(c.Out.String(), "read: 1005") == 5
	})
	left, err := filepath.Glob(filepath.Join(d.Dir, "*.sock"))
	if err != nil || len(left) > 0 {
		t.Errorf("the daemon left %v (%v)", left, err)
	}
}

// clean waits until the daemon holds nothing for processes that ended.
func clean(t testing.TB, d *host.Daemon) {
	t.Helper()
	host.Eventually(t, "the daemon holds no flow and no memory of the dead", func() bool {
		flows, err := d.Irm.ListFlows(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return len(flows) == 0 && memfds(t, d.Cmd.Process.Pid) == 0
	})
}

// memfds counts the shared memory that a process holds.
func memfds(t testing.TB, pid int) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("only root can look into a daemon")
	} else if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && strings.Contains(to, "memfd:") {
			n++
		}
	}
	return n
}

// rounds is how many times the slow tests repeat: few by default, as many as
// OUROBOROS_ROUNDS says in make soak.
func rounds(t testing.TB, few int) int {
	n := few
	if s := os.Getenv("OUROBOROS_ROUNDS"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatalf("OUROBOROS_ROUNDS=%q is not a number", s)
		}
	}
	return n
}

func TestKillsAtRandomPointsUnderLoadLeakNothing(t *testing.T) {
	d := host.Start(t)
	idle := func() int {
		n, ok := status(t, d).Counters["goroutines"]
		if !ok {
			t.Fatal("the daemon does not say how many goroutines it has")
		}
		return int(n)
	}

	before := idle()
	keep := serve(t, d, "echo", "steady")
	steady := start(t, d, "load", "steady")
	steady.Out.Await(t, "ready")
	r := rand.New(rand.NewPCG(1, 2))
	n := rounds(t, 12)
	for i := range n {
		server := serve(t, d, "echo", "victim")
		clients := []*host.Process{start(t, d, "load", "victim"), start(t, d, "load", "steady")}
		for _, c := range clients {
			c.Out.Await(t, "ready")
		}
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Microsecond) // a random point, not a wait
		order := []*host.Process{server, clients[0], clients[1]}
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, p := range order {
			p.Kill()
			if strings.Contains(p.Out.String(), "unexpected") {
				t.Fatalf("round %d: %s", i, p.Out)
			}
		}
		host.Eventually(t, "only the steady two are left", func() bool {
			procs, err := d.Irm.ListProcesses(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(procs) == 2
		})
	}
	if strings.Contains(steady.Out.String(), "unexpected") {
		t.Errorf("the untouched client: %s", steady.Out)
	}
	steady.Kill()
	host.Eventually(t, "the server that lived on holds no memory of the dead", func() bool {
		return memfds(t, keep.PID()) == 0
	})
	keep.Kill()
	clean(t, d)
	host.Eventually(t, fmt.Sprintf("the daemon has no more goroutines than the %d before the first of %d rounds", before, n), func() bool {
		return idle() <= before
	})
}

func status(t testing.TB, d *host.Daemon) irm.Status {
	t.Helper()
	s, err := d.Irm.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKilledDaemonLeavesAPlaceThatTheNextTakesOver(t *testing.T) {
	dir := t.TempDir()
	n := rounds(t, 4)
	r := rand.New(rand.NewPCG(3, 4))
	for range n {
		d := host.StartIn(t, dir)
		s := serve(t, d, "echo", "x")
		c := start(t, d, "load", "x")
		h := start(t, d, "hold", "x", "3")
		h.Out.Await(t, "held")
		c.Out.Await(t, "ready")
		time.Sleep(time.Duration(r.IntN(20_000)) * time.Microsecond) // a random point, not a wait
		d.Kill()
		for _, p := range []*host.Process{s, c} {
			p.Wait(t)
			p.Out.Await(t, "end: ")
			if !strings.Contains(p.Out.String(), "IRM daemon") {
				t.Errorf("without a daemon: %s", p.Out)
			}
		}
		host.Eventually(t, "the flows of a dead daemon are down", func() bool {
			return strings.Count(h.Out.String(), "read: 1005") == 3
		})
	}
}

func TestPingFloodsOnWhileServersAreKilled(t *testing.T) {
	d := host.Start(t)
	oping := filepath.Join(host.Bin(t), "oping")
	d.OK(t, "irm", "bind", "program", oping, "name", "oping", "auto", "--", "--listen", "--quiet")
	for range rounds(t, 3) {
		p := d.Go(t, nil, "oping", "-n", "oping", "-f", "-Q", "-d", "60s", "-i", "0")
		host.Eventually(t, "the flow is there", func() bool {
			flows, err := d.Irm.ListFlows(t.Context())
			return err == nil && len(flows) == 1
		})
		procs, err := d.Irm.ListProcesses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range procs {
			if s.Auto {
				syscall.Kill(s.PID, syscall.SIGKILL)
			}
		}
		p.Wait(t)
		p.Out.Await(t, "packet loss")
		clean(t, d)
	}
}
