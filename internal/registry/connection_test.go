package registry

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// restarted gives a node that comes up with what is in the store; setup is
// called for each IPCP that it makes.
func restarted(t *testing.T, s Store, setup func(i *testIPCP)) *testNode {
	return newNode(t, func(c *Config) {
		c.Store = s
		c.NewIPCP = func(kind irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
			i := &testIPCP{host: host, id: id, server: oap.NewServer(oap.ServerConfig{})}
			setup(i)
			return i, nil
		}
	})
}

func works(context.Context, string, string) error { return nil }

func TestConnectionsAreMadeAgainAfterARestart(t *testing.T) {
	for _, kind := range []irm.IPCPType{irm.Unicast, irm.Broadcast} {
		for _, enrolled := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				store := &memStore{}
				n := restarted(t, store, func(i *testIPCP) { i.connect = works })
				pid, err := n.CreateIPCP(bg, "u", kind)
				if err == nil && enrolled {
					_, err = n.EnrollIPCP(bg, pid, "n1")
				} else if err == nil {
					_, err = n.BootstrapIPCP(bg, pid, irm.NewConfig(kind, "big"))
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range []SavedConnection{
					{irm.Management, "n1", qos.Raw}, {irm.DataTransfer, "n1", qos.Voice},
					{irm.DataTransfer, "n2", qos.Raw}, {irm.DataTransfer, "n3", qos.Raw},
					{irm.DataTransfer, "n2", qos.Voice}, // a second one
				} {
					if err := n.ConnectIPCP(bg, pid, c.Component, c.Dst, c.QoS); err != nil {
						t.Fatal(err)
					}
				}
				for _, dst := range []string{"n2", "n3", "never connected"} {
					if err := n.DisconnectIPCP(bg, pid, irm.DataTransfer, dst); err != nil {
						t.Fatal(err)
					}
				}
				n.end()

				// The neighbours come later: n2 after 3 s, n1 after a minute.
				begin := time.Now()
				var again *testIPCP
				var order []string
				n = restarted(t, store, func(i *testIPCP) {
					again = i
					up := func(dst string) error {
						if time.Since(begin) < map[string]time.Duration{"n1": time.Minute, "n2": 3 * time.Second}[dst] {
							return errno.TimedOut
						}
						return nil
					}
					i.enroll = func(_ context.Context, dst string) error { return up(dst) }
					i.connect = func(_ context.Context, component, dst string) error {
						i.mu.Lock()
						order = append(order, component+" "+dst)
						i.mu.Unlock()
						return up(dst)
					}
				})
				time.Sleep(10 * time.Second)
				synctest.Wait()
				want := ""
				if !enrolled {
					want = "Data Transfer n2 raw"
				}
				if got := again.connections(); got != want {
					t.Errorf("after 10 s: %s", got)
				}
				if !n.Connected(pid, irm.Management, "n1") || n.Connected(pid, irm.Management, "n2") {
					t.Error("the node does not know what is to be connected")
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if got := again.connections(); got != "Data Transfer n1 voice, Data Transfer n2 raw, Management n1 raw" {
					t.Errorf("in the end: %s", got)
				}
				if m, d := slices.Index(order, "Management n1"), slices.Index(order, "Data Transfer n1"); m < 0 || m > d {
					t.Errorf("management goes before data transfer: %v", order)
				}
				n.end()
				s, err := store.Load()
				if err != nil || len(s.IPCPs) != 1 || len(s.IPCPs[0].Connections) != 3 {
					t.Errorf("kept: %+v, %v", s, err)
				}
			})
		}
	}
}

func TestAConnectionThatIsNotWantedAnyMoreIsNotMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memStore{}
		store.Save(&Snapshot{IPCPs: []SavedIPCP{{PID: FirstIPCP, Name: "u", Type: irm.Unicast, Config: irm.NewConfig(irm.Unicast, "big"),
			Connections: []SavedConnection{{irm.DataTransfer, "n1", qos.Raw}, {irm.DataTransfer, "n2", qos.Raw}}}}})
		var u *testIPCP
		n := restarted(t, store, func(i *testIPCP) {
			u = i
			i.connect = func(ctx context.Context, _, dst string) error {
				if dst == "n2" { // answers late
					time.Sleep(3 * time.Second)
					return nil
				}
				return errno.TimedOut
			}
		})
		time.Sleep(time.Second / 2)
		for _, dst := range []string{"n1", "n2"} { // while it waits, and while it is being made
			if err := n.DisconnectIPCP(bg, FirstIPCP, irm.DataTransfer, dst); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := u.connections(); got != "" {
			t.Errorf("connected: %s", got)
		}
		u.connect = works
		n.end()
		if s, err := store.Load(); err != nil || len(s.IPCPs[0].Connections) != 0 {
			t.Errorf("kept: %+v, %v", s, err)
		}
	})
}

func TestNamesThatADirectoryDoesNotTakeYetAreRegisteredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memStore{}
		store.Save(&Snapshot{
			Names: []SavedName{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}},
			IPCPs: []SavedIPCP{{PID: FirstIPCP, Name: "u", Type: irm.Unicast, Config: irm.NewConfig(irm.Unicast, "big"), Names: []string{"a", "b", "c"}}},
		})
		var u *testIPCP
		n := restarted(t, store, func(i *testIPCP) {
			u = i
			up := time.Now().Add(10 * time.Second)
			i.reg = func(context.Context) error {
				if time.Now().Before(up) {
					return errno.TimedOut
				}
				return nil
			}
		})
		time.Sleep(5 * time.Second)
		if err := n.UnregName(bg, "b", FirstIPCP); err != nil {
			t.Error(err)
		}
		if err := n.DestroyName(bg, "c"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if names, _ := n.ListNames(bg); len(names) != 3 || len(u.names) != 1 {
			t.Errorf("%d names are registered: %+v", len(u.names), names)
		}
		n.end()
		if s, err := store.Load(); err != nil || !slices.Equal(s.IPCPs[0].Names, []string{"a"}) {
			t.Errorf("kept: %+v, %v", s, err)
		}
	})
}

func TestConnectionsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := restarted(t, nil, func(i *testIPCP) { i.connect = works })
		pid, err := n.CreateIPCP(bg, "u", irm.Unicast)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(bg)
		var seen []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			n.Watch(ctx, func(e irm.Event) error {
				if e.Kind == "ipcp" {
					seen = append(seen, e.Action+" "+e.Name+" "+e.Layer+" "+e.Detail)
				}
				return nil
			})
		}()
		synctest.Wait()
		n.EnrollIPCP(bg, pid, "n1")
		n.ConnectIPCP(bg, pid, irm.Management, "n1", qos.Raw)
		n.DisconnectIPCP(bg, pid, irm.Management, "n1")
		synctest.Wait()
		cancel()
		<-done
		want := []string{"enrolled u enrolled ", "connected u enrolled Management with n1", "disconnected u enrolled Management with n1"}
		if !slices.Equal(seen, want) {
			t.Errorf("told: %q", seen)
		}
	})
}
