package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/irm"
	"ouroboros/test/host"
)

// connect gives both ends of a flow between two clients of this process.
func connect(t *testing.T, d *host.Daemon) (a, b *ouroboros.Flow) {
	t.Helper()
	l, err := open(t, d).Listen(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *ouroboros.Flow, 1)
	go func() {
		f, err := l.AcceptFlow(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- f
	}()
	a, err = open(t, d).Alloc(t.Context(), "here", nil)
	if err != nil {
		t.Fatal(err)
	}
	if b = <-got; b == nil {
		t.FailNow()
	}
	return a, b
}

// Each size of a message is read with buffers of 8 bytes, with partial reads
// and without.
func TestPartialReadsOverADaemon(t *testing.T) {
	d := host.Start(t)
	a, b := connect(t, d)
	const n = 8
	big := 128 * n
	for _, c := range []struct {
		size    int
		partial []int // what the reads give, then nothing is left
		whole   error // of one read without partial reads
	}{
		{1, []int{1}, nil},
		{n - 1, []int{n - 1}, nil},
		{n, []int{n, 0}, nil},
		{n + 1, []int{n, 1}, ouroboros.ErrMsgSize},
		{2 * n, []int{n, n, 0}, ouroboros.ErrMsgSize},
		{big, append(slices.Repeat([]int{n}, 128), 0), ouroboros.ErrMsgSize},
	} {
		msg := []byte(strings.Repeat("abcdefghijklm", c.size))[:c.size]
		buf := make([]byte, n)
		write := func() {
			t.Helper()
			if _, err := a.Write(msg); err != nil {
				t.Fatal(err)
			}
		}
		empty := func() {
			t.Helper()
			if k, err := b.Read(buf); k != 0 || !errors.Is(err, ouroboros.ErrWouldBlock) {
				t.Errorf("size %d: then %d, %v", c.size, k, err)
			}
		}
		b.SetFlags(ouroboros.DefaultFlags | ouroboros.NonBlockingRead)
		write()
		if k, err := b.Read(nil); k != 0 || err != nil {
			t.Errorf("size %d: into nothing: %d, %v", c.size, k, err)
		}
		var got []byte
		for _, want := range c.partial {
			k, err := b.Read(buf)
			if k != want || err != nil {
				t.Errorf("size %d: %d, %v; want %d", c.size, k, err, want)
			}
			got = append(got, buf[:k]...)
		}
		if string(got) != string(msg) {
			t.Errorf("size %d: %q", c.size, got)
		}
		empty()

		b.SetFlags(ouroboros.DefaultFlags | ouroboros.NonBlockingRead | ouroboros.NoPartialRead)
		write()
		k, err := b.Read(buf)
		if !errors.Is(err, c.whole) || err == nil && k != c.size {
			t.Errorf("size %d whole: %d, %v", c.size, k, err)
		}
		empty()
	}
	// An empty message is none, and the longest arrives whole.
	if k, err := a.Write(nil); k != 0 || err != nil || b.RxQueueLen() != 0 {
		t.Error(k, err, b.RxQueueLen())
	}
	sent := make(chan error, 1)
	go func() { _, err := a.Write(make([]byte, ouroboros.MaxMessage)); sent <- err }()
	b.SetFlags(ouroboros.DefaultFlags)
	if k, err := b.Read(make([]byte, ouroboros.MaxMessage+1)); k != ouroboros.MaxMessage || err != nil {
		t.Error(k, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if _, err := a.Write(make([]byte, ouroboros.MaxMessage+1)); !errors.Is(err, ouroboros.ErrMsgSize) {
		t.Error(err)
	}
}

func TestEventsOverADaemon(t *testing.T) {
	d := host.Start(t)
	a, b := connect(t, d)
	set, other := ouroboros.NewFlowSet(), ouroboros.NewFlowSet()
	defer other.Close()
	if err := set.Add(b); err != nil {
		t.Fatal(err)
	}
	if err := other.Add(b); !errors.Is(err, ouroboros.ErrPerm) {
		t.Errorf("in two sets: %v", err)
	}
	want := func(s *ouroboros.FlowSet, types ...ouroboros.EventType) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), host.Patience)
		defer cancel()
		var got []ouroboros.EventType
		for len(got) < len(types) {
			evs, err := s.Wait(ctx, nil)
			if err != nil {
				t.Fatalf("%v after %d events", err, len(got))
			}
			for _, e := range evs {
				got = append(got, e.Type)
			}
		}
		if !slices.Equal(got, types) {
			t.Errorf("%d events %v, want %v", len(got), got[:min(9, len(got))], types[:min(9, len(types))])
		}
	}
	// As many events as messages, though nobody read one.
	for range 5000 {
		if _, err := a.Write([]byte("m")); err != nil {
			t.Fatal(err)
		}
	}
	want(set, slices.Repeat([]ouroboros.EventType{ouroboros.FlowPacket}, 5000)...)
	a.SetFlags(ouroboros.DefaultFlags | ouroboros.Down)
	want(set, ouroboros.FlowDown)
	a.SetFlags(ouroboros.DefaultFlags)
	want(set, ouroboros.FlowUp)

	// A set that ends takes its pending events along; its flows are free.
	a.Write([]byte("m"))
	set.Close()
	if err := other.Add(b); err != nil {
		t.Fatal(err)
	}
	want(other, ouroboros.FlowPacket) // one for all that waits
	a.Write([]byte("last"))
	a.Close()
	want(other, ouroboros.FlowPacket, ouroboros.FlowDealloc)

	// A process that is killed is a flow that is down.
	s := serve(t, d, "deaf", "victim")
	f, err := open(t, d).Alloc(t.Context(), "victim", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Add(f); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	want(other, ouroboros.FlowDown)
	f.Close()
	if other.Has(f) {
		t.Error("a deallocated flow is a member")
	}
}

// in gives a context that ends after d, or never.
func in(t *testing.T, d time.Duration) context.Context {
	if d < 0 {
		return t.Context()
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// stubborn is a name whose program never accepts.
func stubborn(t *testing.T, d *host.Daemon) string {
	t.Helper()
	err := d.Irm.BindProgram(t.Context(), irm.ProgramBinding{Program: "/bin/sleep", Args: []string{"1000"}, Name: "stubborn", Auto: true})
	if err != nil {
		t.Fatal(err)
	}
	return "stubborn"
}

func TestTimeoutsOverADaemon(t *testing.T) {
	d := host.Start(t)
	never := stubborn(t, d)
	serve(t, d, "echo", "ready")
	c := open(t, d)
	l, err := open(t, d).Listen(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	alloc := func(name string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := c.Alloc(ctx, name, nil); return err }
	}
	accept := func(ctx context.Context) error { _, err := l.AcceptFlow(ctx); return err }
	join := func(layer string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := c.Join(ctx, layer); return err }
	}
	if _, err := d.Irm.CreateIPCP(t.Context(), "l1", irm.Local); err != nil {
		t.Fatal(err)
	}
	d.OK(t, "irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "home")
	host.Eventually(t, "the server accepts", func() bool { return alloc("ready")(in(t, 0)) == nil })
	for _, tc := range []struct {
		what  string
		call  func(context.Context) error
		limit time.Duration
		want  error
	}{
		{"alloc from one who never accepts, 0", alloc(never), 0, ouroboros.ErrTimeout},
		{"alloc from one who never accepts, 1 ms", alloc(never), time.Millisecond, ouroboros.ErrTimeout},
		{"alloc from one who never accepts, 300 ms", alloc(never), 300 * time.Millisecond, ouroboros.ErrTimeout},
		{"alloc from one who accepts, none", alloc("ready"), -1, nil},
		{"alloc of an unknown name, none", alloc("unknown"), -1, ouroboros.ErrName},
		{"alloc of a name that a layer may know, 0", alloc("unknown"), 0, ouroboros.ErrTimeout},
		{"accept, 0", accept, 0, ouroboros.ErrTimeout},
		{"accept, 1 ms", accept, time.Millisecond, ouroboros.ErrTimeout},
		{"accept, 300 ms", accept, 300 * time.Millisecond, ouroboros.ErrTimeout},
		{"join an unknown layer, none", join("nowhere"), -1, ouroboros.ErrIPCP},
		{"join an unknown layer, 0", join("nowhere"), 0, ouroboros.ErrIPCP},
		{"join a layer that is not for it, none", join("home"), -1, ouroboros.ErrNotAlloc},
		{"join a layer that is not for it, long", join("home"), host.Patience, ouroboros.ErrNotAlloc},
	} {
		began := time.Now()
		err := tc.call(in(t, tc.limit))
		took := time.Since(began)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.what, err)
		}
		if tc.want == ouroboros.ErrTimeout && took < tc.limit || took > tc.limit+15*time.Second {
			t.Errorf("%s: took %v", tc.what, took)
		}
	}

	// A poll takes the flow that a client waits for.
	ended := make(chan error, 1)
	go func() { ended <- alloc("mine")(in(t, -1)) }()
	host.Eventually(t, "the poll finds the client", func() bool { return accept(in(t, 0)) == nil })
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// And no flow is lost by a server whose accepts time out all the time.
	for i := range 100 {
		go func() { ended <- alloc("mine")(in(t, -1)) }()
		for err := errors.New("not yet"); err != nil; {
			if err = accept(in(t, time.Duration(i*20)*time.Microsecond)); err != nil && !errors.Is(err, ouroboros.ErrTimeout) {
				t.Fatal(err)
			}
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestCloseEndsBlockedCalls(t *testing.T) {
	d := host.Start(t)
	never := stubborn(t, d)
	server := serve(t, d, "deaf", "deaf")
	c := open(t, d)
	l, err := c.Listen(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Alloc(t.Context(), "deaf", nil)
	if err != nil {
		t.Fatal(err)
	}
	set := ouroboros.NewFlowSet()
	defer set.Close()
	if err := set.Add(f); err != nil {
		t.Fatal(err)
	}
	none := context.Background()
	calls := map[string]func() error{
		"alloc":    func() error { _, err := c.Alloc(none, never, nil); return err },
		"accept":   func() error { _, err := c.Accept(none); return err },
		"listener": func() error { _, err := l.AcceptFlow(none); return err },
		"read":     func() error { _, err := f.Read(make([]byte, 10)); return err },
		"write": func() error {
			for {
				if _, err := f.Write(make([]byte, 1000)); err != nil {
					return err
				}
			}
		},
	}
	var wg sync.WaitGroup
	for what, call := range calls {
		wg.Go(func() {
			if err := call(); err == nil {
				t.Errorf("%s ended well", what)
			}
		})
	}
	host.Eventually(t, "all wait", func() bool {
		procs, err := d.Irm.ListProcesses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range procs {
			if strings.HasSuffix(p.Program, ".test") {
				n += p.Accepts
			}
		}
		return n == 3 && f.TxQueueLen() > 100 // the server's accept, and two of ours
	})
	c.Close()
	wg.Wait()
	if err := set.Add(f); !errors.Is(err, ouroboros.ErrNotAlloc) {
		t.Errorf("a flow of a closed client: %v", err)
	}
	server.Kill()
	clean(t, d)
}

func TestADestroyedNameEndsWhatWaitsForIt(t *testing.T) {
	d := host.Start(t)
	never := stubborn(t, d)
	c := open(t, d)
	ended := make(chan error, 10)
	for range 10 {
		go func() { _, err := c.Alloc(t.Context(), never, nil); ended <- err }()
	}
	host.Eventually(t, "the program was started", func() bool {
		return status(t, d).Counters["programs_started"] == 1
	})
	d.OK(t, "irm", "name", "destroy", never)
	for range 10 {
		if err := <-ended; !errors.Is(err, ouroboros.ErrName) {
			t.Error(err)
		}
	}
}

func TestTwoProgramsOfTheSameBaseName(t *testing.T) {
	d := host.Start(t)
	oecho := filepath.Join(host.Bin(t), "oecho")
	one, two := filepath.Join(t.TempDir(), "oecho"), filepath.Join(t.TempDir(), "oecho")
	for _, to := range []string{one, two} {
		d.OK(t, "/bin/cp", oecho, to)
	}
	d.OK(t, "irm", "bind", "program", one, "name", "one")
	d.OK(t, "irm", "bind", "program", two, "name", "two")
	a, b := d.Go(t, nil, one, "--listen"), d.Go(t, nil, two, "--listen")
	bound(t, d, "one")
	bound(t, d, "two")
	procs, err := d.Irm.ListProcesses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		if p.PID == a.PID() && !slices.Equal(p.Names, []string{"one"}) || p.PID == b.PID() && !slices.Equal(p.Names, []string{"two"}) {
			t.Errorf("%+v", p)
		}
	}
	// The base name alone means both.
	d.OK(t, "irm", "unbind", "program", "oecho")
	if progs, err := d.Irm.ListPrograms(t.Context()); err != nil || len(progs) != 0 {
		t.Errorf("%+v, %v", progs, err)
	}
}

// A script is a program like any other, whether it becomes the server, runs it
// beside itself, or is one in a language of its own.
func TestScriptsAreStartedOnDemand(t *testing.T) {
	d := host.Start(t)
	for name, text := range map[string]string{
		"becomes": "#!/bin/sh\nexec %s --listen --quiet\n",
		"runs":    "#!/bin/sh -e\n%s --listen --quiet\ntrue\n",
		"again":   "#!/usr/bin/env sh\nwhile true; do %s --listen --quiet; done\n",
	} {
		t.Run(name, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), name)
			writeFile(t, script, fmt.Sprintf(text, filepath.Join(host.Bin(t), "oping")))
			d.OK(t, "irm", "bind", "program", script, "name", name, "auto")
			for range 2 {
				if out := d.OK(t, "oping", "-n", name, "-c", "1", "-i", "10ms"); !strings.Contains(out, "1 received") {
					t.Error(out)
				}
				// What serves is ended; the next client gets another.
				procs, err := d.Irm.ListProcesses(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range procs {
					if slices.Contains(p.Names, name) {
						if !p.Auto {
							t.Errorf("not marked as started on demand: %+v", p)
						}
						syscall.Kill(p.PID, syscall.SIGKILL)
					}
				}
			}
			d.OK(t, "irm", "unbind", "program", script)
		})
	}
}

// A program that lives longer than its daemon finds the next one.
func TestTheNextCallFindsTheNextDaemon(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("OUROBOROS_RUNTIME_DIR", dir)
	for range 3 {
		d := host.StartIn(t, dir)
		l, err := ouroboros.Listen(t.Context(), "mine")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error, 1)
		go func() { _, err := l.AcceptFlow(context.Background()); accepted <- err }()
		f, err := ouroboros.Alloc(t.Context(), "mine", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
		d.Kill()
		if _, err := f.Read(make([]byte, 1)); !errors.Is(err, ouroboros.ErrFlowDown) {
			t.Errorf("a flow of the dead daemon: %v", err)
		}
		if _, err := l.AcceptFlow(t.Context()); !errors.Is(err, ouroboros.ErrIRMd) {
			t.Errorf("a listener of the dead daemon: %v", err)
		}
		f.Close()
		l.Close()
	}
	if _, err := ouroboros.Alloc(t.Context(), "mine", nil); !errors.Is(err, ouroboros.ErrIRMd) {
		t.Errorf("without a daemon: %v", err)
	}
}

func TestAKilledDaemonTakesWhatItStartedAlong(t *testing.T) {
	d := host.Start(t)
	never := stubborn(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := open(t, d).Alloc(ctx, never, nil); !errors.Is(err, ouroboros.ErrTimeout) {
		t.Fatal(err)
	}
	children := func() int {
		tasks, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, path := range tasks {
			b, err := os.ReadFile(path)
			cmd, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			if err == nil && strings.Contains(string(b), d.Dir) && strings.HasPrefix(string(cmd), "/bin/sleep") {
				n++
			}
		}
		return n
	}
	host.Eventually(t, "it is started", func() bool { return children() == 1 })
	d.Kill()
	host.Eventually(t, "what it started has ended", func() bool { return children() == 0 })
}

// What a process had written arrives, though it was killed.
func TestQueuedMessagesOutliveTheirWriter(t *testing.T) {
	d := host.Start(t)
	l, err := open(t, d).Listen(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, d, "tell", "mine")
	f, err := l.AcceptFlow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Out.Await(t, "told")
	p.Kill()
	host.Eventually(t, "the flow is down", func() bool {
		_, err := f.Write([]byte("x"))
		return errors.Is(err, ouroboros.ErrFlowDown)
	})
	buf := make([]byte, 100)
	for i := range 3 {
		if n, err := f.Read(buf); err != nil || string(buf[:n]) != fmt.Sprint("message ", i) {
			t.Errorf("read %q, %v", buf[:n], err)
		}
	}
	if _, err := f.Read(buf); !errors.Is(err, ouroboros.ErrFlowDown) {
		t.Error(err)
	}
	f.Close()
	clean(t, d)
}

func TestAStoppedDaemonEndsWhatWaits(t *testing.T) {
	d := host.Start(t)
	never := stubborn(t, d)
	c := open(t, d)
	ended := make(chan error, 2)
	go func() { _, err := c.Alloc(t.Context(), never, nil); ended <- err }()
	go func() { _, err := c.Accept(t.Context()); ended <- err }()
	host.Eventually(t, "both wait", func() bool {
		procs, err := d.Irm.ListProcesses(t.Context())
		return err == nil && len(procs) == 1 && procs[0].Accepts == 1 && status(t, d).Counters["programs_started"] == 1
	})
	if code := d.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for range 2 {
		if err := <-ended; !errors.Is(err, ouroboros.ErrIRMd) {
			t.Error(err)
		}
	}
}

// Two readers get different messages, and a deallocation ends both, and the
// writers at the other side.
func TestReadersAndWritersOfOneFlow(t *testing.T) {
	d := host.Start(t)
	a, b := connect(t, d)
	const each = 2000
	var mu sync.Mutex
	seen := map[string]int{}
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			buf := make([]byte, 64)
			for {
				n, err := b.Read(buf)
				if err != nil {
					if !errors.Is(err, ouroboros.ErrNotAlloc) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				seen[string(buf[:n])]++
				mu.Unlock()
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			for i := range each {
				if _, err := fmt.Fprintf(a, "%d of writer %d", i, w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	host.Eventually(t, "each message was read once", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 2*each
	})
	for msg, n := range seen {
		if n != 1 {
			t.Errorf("%q came %d times", msg, n)
		}
	}
	b.Close()
	readers.Wait()
	if _, err := a.Write([]byte("x")); !errors.Is(err, ouroboros.ErrFlowDown) {
		t.Error(err)
	}
}
