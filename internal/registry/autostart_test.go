package registry

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
	"ouroboros/qos"
)

// testStarter runs f instead of a program.
type testStarter struct {
	starts atomic.Int32
	run    func(ctx context.Context, pid int) error
}

func (s *testStarter) Start(ctx context.Context, argv []string, uid, gid uint32, exited func(error)) (int, error) {
	if s.run == nil {
		return 0, errors.New("exec format error")
	}
	pid := 100 + int(s.starts.Add(1))
	go func() { exited(s.run(ctx, pid)) }()
	return pid, nil
}

// program makes an executable file that is never run.
func makeProgram(t testing.TB, name string) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("\x7fELF\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve is a program that accepts one flow after delay and runs until the node
// ends.
func serve(n **testNode, path *string, delay time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, pid int) error {
		time.Sleep(delay)
		h, err := (*n).Announce(Identity{PID: pid, Exe: *path}, testOwner("started"))
		if err != nil {
			return err
		}
		defer h.Exit()
		for {
			if _, err := h.Accept(ctx); err != nil {
				return nil
			}
		}
	}
}

func startingNode(t *testing.T, delay time.Duration) (*testNode, *testStarter, string) {
	path := makeProgram(t, "server")
	s := &testStarter{}
	var n *testNode
	n = newNode(t, func(c *Config) { c.Starter = s })
	s.run = serve(&n, &path, delay)
	if err := n.BindProgram(bg, irm.ProgramBinding{Program: path, Args: []string{"--listen"}, Name: "a", Auto: true}); err != nil {
		t.Fatal(err)
	}
	return n, s, path
}

func TestAProgramIsStartedAtOnceAndWaitedFor(t *testing.T) {
	for _, delay := range []time.Duration{0, 900 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			n, s, _ := startingNode(t, delay)
			client := n.process(20)
			took(t, delay, func() {
				if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
					t.Fatal(err)
				}
			})
			took(t, 0, func() {
				if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
					t.Fatal(err)
				}
			})
			if s.starts.Load() != 1 {
				t.Fatalf("%d starts", s.starts.Load())
			}
			infos, _ := n.ListProcesses(bg)
			if !infos[1].Auto {
				t.Errorf("not listed as started on demand: %+v", infos)
			}
		})
	}
}

func TestOneStartServesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, path := startingNode(t, time.Second)
		n.BindProgram(bg, irm.ProgramBinding{Program: path, Name: "b", Auto: true})
		errs := make(chan error, 20)
		for i := range 20 {
			client := n.process(20 + i)
			go func() { _, err := client.Alloc(bg, []string{"a", "b"}[i%2], qos.Raw); errs <- err }()
		}
		for range 20 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if s.starts.Load() != 1 {
			t.Fatalf("%d starts", s.starts.Load())
		}
	})
}

func TestAProgramThatEndsBeforeItAcceptsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, path := startingNode(t, 0)
		s.run = func(context.Context, int) error {
			time.Sleep(50 * time.Millisecond)
			return errors.New("exit status 3")
		}
		client := n.process(20)
		took(t, 50*time.Millisecond, func() {
			_, err := client.Alloc(bg, "a", qos.Raw)
			wantIs(t, err, errno.IPCP)
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "exit status 3") {
				t.Errorf("the error does not say what happened: %v", err)
			}
		})
		// Starts are held back, twice as long after each failure.
		for _, pause := range []time.Duration{100, 200, 400, 800} {
			took(t, pause*time.Millisecond+50*time.Millisecond, func() {
				_, err := client.Alloc(bg, "a", qos.Raw)
				wantIs(t, err, errno.IPCP)
			})
		}
		took(t, 0, func() { // no use in waiting
			_, err := client.Alloc(within(t, 100*time.Millisecond), "a", qos.Raw)
			wantIs(t, err, errno.IPCP)
		})
		time.Sleep(2 * time.Second)
		s.run = serve(&n, &path, 0)
		if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAProgramThatCannotBeStartedIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, path := startingNode(t, 0)
		s.run = nil
		_, err := n.process(20).Alloc(bg, "a", qos.Raw)
		wantIs(t, err, errno.IPCP)
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "exec format error") {
			t.Errorf("the error does not say what happened: %v", err)
		}
	})
}

func TestAProgramThatNeverAcceptsIsWaitedForUntilTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, path := startingNode(t, 0)
		s.run = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
		client := n.process(20)
		for _, d := range []time.Duration{3 * time.Second, never} {
			want := d
			if d == never {
				want = 20 * time.Second
			}
			took(t, want, func() {
				_, err := client.Alloc(within(t, d), "a", qos.Raw)
				wantIs(t, err, errno.TimedOut)
				if !strings.Contains(err.Error(), path) {
					t.Errorf("the error does not name the program: %v", err)
				}
			})
		}
		if s.starts.Load() != 1 {
			t.Fatalf("%d starts", s.starts.Load())
		}
	})
}

func TestAProgramIsStartedAgainAfterItWasKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, path := startingNode(t, 0)
		client := n.process(20)
		kill, cancel := context.WithCancel(bg)
		s.run = func(_ context.Context, pid int) error {
			serve(&n, &path, 0)(kill, pid)
			return errors.New("signal: killed")
		}
		if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		cancel()
		synctest.Wait()
		s.run = serve(&n, &path, 0)
		took(t, 0, func() {
			if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func TestTheLogTellsAKilledProgramFromABrokenOne(t *testing.T) {
	uid, gid := self()
	for _, tc := range []struct{ script, want string }{
		{"kill $$", "level=INFO msg=\"somebody ended a program"},
		{"kill -9 $$", "level=INFO msg=\"somebody ended a program"},
		{"kill -SEGV $$", "level=WARN msg=\"a program that was started on demand has failed"},
		{"exit 3", "level=WARN msg=\"a program that was started on demand has failed"},
	} {
		t.Run(tc.script, func(t *testing.T) {
			log := &logBuffer{}
			path := filepath.Join(t.TempDir(), "server")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tc.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			n := newNode(t, func(c *Config) {
				c.Starter = &OSStarter{}
				c.Log = slog.New(slog.NewTextHandler(log, nil))
			})
			if err := n.BindProgramAs(bg, irm.ProgramBinding{Program: path, Name: "a", Auto: true}, uid, gid); err != nil {
				t.Fatal(err)
			}
			if _, err := n.process(20).Alloc(bg, "a", qos.Raw); !errors.Is(err, errno.IPCP) {
				t.Errorf("got %v", err)
			}
			if !strings.Contains(log.String(), tc.want) {
				t.Errorf("%s is missing in:\n%s", tc.want, log)
			}
		})
	}
}

// noticedStarter says when a program runs.
type noticedStarter struct {
	*OSStarter
	started chan struct{}
}

func (s noticedStarter) Start(ctx context.Context, argv []string, uid, gid uint32, exited func(error)) (int, error) {
	defer close(s.started)
	return s.OSStarter.Start(ctx, argv, uid, gid, exited)
}

func TestAProgramThatEndsWithTheNodeHasNotFailed(t *testing.T) {
	uid, gid := self()
	log := &logBuffer{}
	started := make(chan struct{})
	path := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nsleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, func(c *Config) {
		c.Starter = noticedStarter{&OSStarter{}, started}
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	if err := n.BindProgramAs(bg, irm.ProgramBinding{Program: path, Name: "a", Auto: true}, uid, gid); err != nil {
		t.Fatal(err)
	}
	client := n.process(20)
	done := make(chan error, 1)
	go func() {
		_, err := client.Alloc(bg, "a", qos.Raw)
		done <- err
	}()
	<-started
	if err := n.Close(bg); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, errno.IRMd) {
		t.Errorf("the client got %v", err)
	}
	if got := log.String(); strings.Contains(got, "level=WARN") {
		t.Errorf("it warned:\n%s", got)
	}
}

func TestUnbindingAProgramRemovesItsAutomaticStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, path := startingNode(t, 0)
		client := n.process(20)
		for _, word := range []string{path, filepath.Base(path)} {
			if err := n.UnbindProgram(bg, word, "a"); err != nil {
				t.Fatal(err)
			}
			_, err := client.Alloc(bg, "a", qos.Raw)
			wantIs(t, err, errno.IPCP)
			wantIs(t, n.UnbindProgram(bg, word, "a"), errno.NoEntry)
			if progs, _ := n.ListPrograms(bg); len(progs) != 0 {
				t.Fatalf("programs are left: %+v", progs)
			}
			if err := n.BindProgram(bg, irm.ProgramBinding{Program: path, Name: "a", Auto: true}); err != nil {
				t.Fatal(err)
			}
		}
		if s.starts.Load() != 0 {
			t.Fatal("an unbound program was started")
		}
		if err := n.UnbindProgram(bg, path, ""); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAScriptThatBecomesAnotherProgramStillServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, _ := startingNode(t, 0)
		other := "/usr/bin/other"
		s.run = serve(&n, &other, time.Millisecond)
		if _, err := n.process(20).Alloc(bg, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
	})
}

// A script may run the server beside itself, and another when that one ends.
func TestAServerThatAStartedScriptRunsServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, _ := startingNode(t, 0)
		s.run = func(ctx context.Context, pid int) error {
			for i := 1; ; i++ {
				time.Sleep(time.Millisecond)
				h, err := n.Announce(Identity{PID: 1000 * i, Group: pid, Exe: "/usr/bin/other"}, testOwner("server"))
				if err != nil {
					return err
				}
				_, err = h.Accept(ctx)
				if err != nil {
					h.Exit()
					return nil
				}
				time.Sleep(time.Second)
				h.Exit()
			}
		}
		client := n.process(20)
		for range 3 {
			if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1500 * time.Millisecond)
		}
		if s.starts.Load() != 1 {
			t.Errorf("%d starts", s.starts.Load())
		}
	})
}

// Whoever is not of the group of a start is no server because of it.
func TestAProcessOfAnotherGroupIsNotAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, _ := startingNode(t, 0)
		path := "/usr/bin/other"
		s.run = serve(&n, &path, time.Millisecond)
		if _, err := n.process(20).Alloc(bg, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Announce(Identity{PID: 30, Group: 30, Exe: path}, testOwner("alone")); err != nil {
			t.Fatal(err)
		}
		infos, _ := n.ListProcesses(bg)
		for _, p := range infos {
			if p.PID == 30 && (p.Auto || len(p.Names) > 0) {
				t.Errorf("%+v", p)
			}
		}
	})
}
