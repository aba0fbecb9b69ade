package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ouroboros/test/host"
)

// configured starts the sites of a network with configuration files alone, in
// an order. The first by name bootstraps; each other one enrolls with the first
// neighbour that comes before it by name, and connects to all that do. There are
// two layers over the cables, "net" that routes and "all" that broadcasts.
func (n *network) configured(t testing.TB, order, daemon string) {
	t.Helper()
	for _, letter := range order {
		s := n.site(string(letter))
		s.file = filepath.Join(t.TempDir(), "irmd.toml")
		if err := os.WriteFile(s.file, []byte(n.configuration(s, daemon)), 0o644); err != nil {
			t.Fatal(err)
		}
		s.Daemon = host.StartAt(t, s.space, "--config", s.file)
	}
}

// configuration is the file of one site.
func (n *network) configuration(s *site, daemon string) string {
	var b strings.Builder
	b.WriteString(daemon)
	for _, c := range s.cables {
		fmt.Fprintf(&b, "[eth-dix.%q]\nbootstrap = %q\ndev = %q\nreg = [%q, %q]\n", "e."+c.name, c.name, c.name, s.member(), "all."+s.name)
	}
	for _, l := range [][3]string{
		{"unicast", "n", "bootstrap = \"net\"\n"},
		{"broadcast", "all", "bootstrap = \"all\"\n"},
	} {
		kind, name, bootstrap := l[0], l[1], l[2]
		fmt.Fprintf(&b, "[%s.%q]\nautobind = true\n", kind, name+"."+s.name)
		if kind == "unicast" {
			fmt.Fprintf(&b, "reg = [%q]\n", "echo."+s.name)
		}
		if s == n.sites[0] {
			b.WriteString(bootstrap)
			continue
		}
		var conn []string
		for _, c := range s.cables {
			if o := c.other(s); o.name < s.name {
				conn = append(conn, fmt.Sprintf("%q", name+"."+o.name))
			}
		}
		fmt.Fprintf(&b, "enrol = %s\nconn = [%s]\n", conn[0], strings.Join(conn, ", "))
	}
	return b.String()
}

func (n *network) listen(t testing.TB) {
	t.Helper()
	for _, s := range n.sites {
		s.listen(t, "echo."+s.name, echoes)
	}
}

// reaches says whether a message comes back from a name.
func (s *site) reaches(t testing.TB, name string) bool {
	t.Helper()
	const most = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	f, err := s.client(t).Alloc(ctx, name, nil)
	if err != nil {
		return false
	}
	defer f.Close()
	f.SetReadTimeout(most)
	buf := make([]byte, 16)
	if _, err := f.Write([]byte("hello")); err != nil {
		return false
	}
	got, err := f.Read(buf)
	return err == nil && string(buf[:got]) == "hello"
}

// together waits until everybody reaches everybody.
func (n *network) together(t testing.TB) {
	t.Helper()
	for _, from := range n.sites {
		for _, to := range n.sites {
			if from != to {
				host.Eventually(t, from.name+" reaches "+to.name, func() bool { return from.reaches(t, "echo."+to.name) })
			}
		}
	}
}

// restart runs the daemon of a site again in its place, with this process as
// its server.
func (n *network) restart(t testing.TB, s *site) {
	t.Helper()
	s.Daemon = s.Again(t, "--config", s.file)
	s.me = nil
	s.listen(t, "echo."+s.name, echoes)
}

// holding is what a daemon has.
type holding struct{ flows, processes, ipcps, goroutines, memfds int }

func (s *site) holds(t testing.TB) (h holding) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), host.Patience)
	defer cancel()
	flows, err := s.Irm.ListFlows(ctx)
	if err != nil {
		t.Fatal(err)
	}
	processes, err := s.Irm.ListProcesses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ipcps, err := s.Irm.ListIPCPs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return holding{
		len(flows), len(processes), len(ipcps),
		int(status(t, s.Daemon).Counters["goroutines"]), memfds(t, s.Cmd.Process.Pid),
	}
}

// holds is what all daemons have, by site.
func (n *network) holds(t testing.TB) map[string]holding {
	t.Helper()
	all := map[string]holding{}
	for _, s := range n.sites {
		all[s.name] = s.holds(t)
	}
	return all
}

// same waits until the daemons have what they had, and no more goroutines.
func (n *network) same(t testing.TB, before map[string]holding) {
	t.Helper()
	for _, s := range n.sites {
		had, now := before[s.name], holding{}
		host.Eventually(t, fmt.Sprintf("%s holds %+v", s.name, had), func() bool {
			now = s.holds(t)
			defer func() {
				if t.Failed() {
					t.Logf("it holds %+v", now)
				}
			}()
			same := now
			same.goroutines = had.goroutines
			return same == had && now.goroutines <= had.goroutines
		})
	}
}

// stop ends all daemons, and says how long each took.
func (n *network) stop(t testing.TB) {
	t.Helper()
	for _, s := range n.sites {
		begin := time.Now()
		code := s.Stop(t)
		if took := time.Since(begin); code != 0 || took > 8*time.Second {
			t.Errorf("%s: exit %d after %v", s.name, code, took)
		} else {
			t.Logf("%s: %v", s.name, took)
		}
	}
}

func TestANetworkComesUpFromItsConfigurationsInAnyOrder(t *testing.T) {
	host.Bin(t)
	for _, order := range []string{"abc", "acb", "bac", "bca", "cab", "cba"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			n := lay(t, "ab bc")
			begin := time.Now()
			n.configured(t, order, "")
			n.settled(t, 2)
			n.listen(t)
			n.together(t)
			n.hears(t, "a", "c")
			n.hears(t, "c", "a")
			took := time.Since(begin)
			t.Logf("all talk after %v", took)
			if took > 20*time.Second {
				t.Errorf("the network came up after %v", took)
			}
			n.stop(t)
		})
	}
}

func TestAMemberThatIsKilledComesBack(t *testing.T) {
	host.Bin(t)
	for name, cables := range map[string]string{"line": "ab bc", "ring": "ab bc cd de ea"} {
		for _, kept := range []string{"forget", "keep"} {
			t.Run(name+"/"+kept, func(t *testing.T) {
				t.Parallel()
				n := lay(t, cables)
				order := ""
				for _, s := range n.sites {
					order += s.name
				}
				n.configured(t, order, fmt.Sprintf("[daemon]\nstate = %q\n", kept))
				n.settled(t, len(n.cables))
				n.listen(t)
				n.together(t)
				n.quiet(t)
				a, b := n.site("a"), n.site("b")
				before := n.holds(t)

				begin := time.Now()
				b.Kill()
				if name == "ring" {
					// Nobody is told; the others go the long way.
					host.Eventually(t, "a reaches c", func() bool { return a.reaches(t, "echo.c") })
					took := time.Since(begin)
					t.Logf("a reaches c again after %v", took)
					if took > 20*time.Second {
						t.Errorf("a reaches c again after %v", took)
					}
				}
				begin = time.Now()
				n.restart(t, b)
				host.Eventually(t, "b is in the layer", func() bool { return b.reaches(t, "echo.a") })
				t.Logf("b reaches a after %v", time.Since(begin))
				n.together(t)
				took := time.Since(begin)
				t.Logf("all talk after %v", took)
				if took > 25*time.Second {
					t.Errorf("all talk again after %v", took)
				}
				n.settled(t, len(n.cables))
				n.hears(t, "a", "c")
				n.hears(t, "b", "a")
				n.quiet(t)
				n.same(t, before)
				n.stop(t)
			})
		}
	}
}
