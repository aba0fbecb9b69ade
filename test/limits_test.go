package test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ouroboros"
	"ouroboros/internal/ring"
	"ouroboros/irm"
	"ouroboros/test/host"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// clear wants a limit's error that names what is full.
func clear(t *testing.T, err, sentinel error, words ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("got %v, want %v", err, sentinel)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestLimitsOfADaemonHaveClearErrors(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "irmd.toml")
	writeFile(t, conf, "[limits]\nflows_per_process = 3\nnames = 2\nclients = 5\n")
	d := host.Start(t, "--config", conf)
	if err := d.Irm.CreateName(t.Context(), irm.NameInfo{Name: "one", Balance: irm.RoundRobin}); err != nil {
		t.Fatal(err)
	}
	serve(t, d, "echo", "one") // two of them, so that the client is the first to be full
	serve(t, d, "echo", "one")
	c := open(t, d)
	var held []*ouroboros.Flow
	for range 3 {
		host.Eventually(t, "both servers accept, and so take turns", func() bool {
			procs, err := d.Irm.ListProcesses(t.Context())
			accept := 0
			for _, p := range procs {
				accept += min(p.Accepts, 1)
			}
			return err == nil && accept == 2
		})
		f, err := c.Alloc(t.Context(), "one", nil)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, f)
	}
	_, err := c.Alloc(t.Context(), "one", nil)
	clear(t, err, ouroboros.ErrLimit, "holds 3 flows", "deallocate some")
	held[0].Close()
	host.Eventually(t, "there is room again", func() bool {
		f, err := c.Alloc(t.Context(), "one", nil)
		if err == nil {
			held = append(held, f)
		}
		return err == nil
	})

	if err := d.Irm.CreateName(t.Context(), irm.NameInfo{Name: "two"}); err != nil {
		t.Fatal(err)
	}
	clear(t, d.Irm.CreateName(t.Context(), irm.NameInfo{Name: "three"}), ouroboros.ErrLimit, "2 names", "irm name destroy")

	var clients []*ouroboros.Client
	for {
		c, err := ouroboros.Open(d.Dir)
		if err != nil {
			clear(t, err, ouroboros.ErrLimit, "client")
			break
		}
		if clients = append(clients, c); len(clients) > 5 {
			t.Fatal("no limit")
		}
	}
	for _, c := range clients {
		c.Close()
	}
	if _, err := held[1].Write([]byte("goes on")); err != nil {
		t.Error(err)
	}
}

// limited takes a resource from a running process, and gives it back.
func limited(t *testing.T, pid, resource int, most uint64, while func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: before.Max}, nil); err != nil {
		t.Fatal(err)
	}
	while()
	if err := unix.Prlimit(pid, resource, &before, nil); err != nil && err != unix.ESRCH { // it may have ended
		t.Fatal(err)
	}
}

// A daemon without descriptors, or that cannot make memory, refuses flows and
// says why; those that are there go on, and all is well when it is over.
func TestADaemonWithoutResourcesRefusesFlowsAndGoesOn(t *testing.T) {
	for _, tc := range []struct {
		name     string
		resource int
		most     uint64
		number   int
		words    []string
	}{
		{"descriptors", unix.RLIMIT_NOFILE, 8, 24, []string{"the node has no file descriptors left", "LimitNOFILE"}},
		{"memory for flows", unix.RLIMIT_FSIZE, 4096, 12, []string{"cannot make the memory of a flow"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := host.Start(t)
			serve(t, d, "echo", "one")
			c := open(t, d)
			var f *ouroboros.Flow
			for range ring.LinkSegments { // the flows that need nothing of the node
				var err error
				if f, err = c.Alloc(t.Context(), "one", nil); err != nil {
					t.Fatal(err)
				}
			}
			limited(t, d.Cmd.Process.Pid, tc.resource, tc.most, func() {
				_, err := c.Alloc(t.Context(), "one", nil)
				if ouroboros.Errno(err) != tc.number {
					t.Fatalf("%v: number %d, want %d", err, ouroboros.Errno(err), tc.number)
				}
				clear(t, err, err, tc.words...)
				f.Write([]byte("x"))
				if k, err := f.Read(make([]byte, 10)); k != 1 || err != nil {
					t.Errorf("the flow that was there: %d, %v", k, err)
				}
			})
			if _, err := c.Alloc(t.Context(), "one", nil); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A server without descriptors cannot take a flow: it is told why, and its
// client has a flow that is down, and neither waits.
func TestAServerWithoutDescriptorsTakesNoFlow(t *testing.T) {
	d := host.Start(t)
	s := serve(t, d, "deaf", "one")
	c := open(t, d)
	for range ring.LinkSegments { // the flows that need no descriptors
		if _, err := c.Alloc(t.Context(), "one", nil); err != nil {
			t.Fatal(err)
		}
	}
	host.Eventually(t, "the server has them", func() bool {
		return strings.Count(s.Out.String(), "flow") == ring.LinkSegments
	})
	limited(t, s.PID(), unix.RLIMIT_NOFILE, 3, func() {
		f, err := c.Alloc(t.Context(), "one", nil)
		if err != nil {
			t.Fatal(err)
		}
		f.SetReadTimeout(host.Patience)
		if _, err := f.Read(make([]byte, 1)); !errors.Is(err, ouroboros.ErrFlowDown) {
			t.Errorf("the client reads: %v", err)
		}
		f.Close()
		s.Out.Await(t, "end: cannot take the flow: this process has no file descriptors left; deallocate flows")
	})
	c.Close()
	s.Kill()
	clean(t, d)
}
