package registry

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// failing fails n times with err, then works.
func failing(n int, err error) func(context.Context) error {
	return func(context.Context) error {
		if n--; n >= 0 {
			return err
		}
		return nil
	}
}

// logged makes a node write its log into a buffer.
func logged(b *bytes.Buffer) func(*Config) {
	var mu sync.Mutex
	return func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return b.Write(p)
		}), nil))
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// persistent gives a node with one unicast IPCP that is in no layer.
func persistentNode(t *testing.T, change ...func(*Config)) (*testNode, *testIPCP, int) {
	var made *testIPCP
	n := newNode(t, func(c *Config) {
		c.NewIPCP = func(kind irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
			i := &testIPCP{host: host, id: id, server: oap.NewServer(oap.ServerConfig{})}
			if made == nil {
				made = i
			}
			return i, nil
		}
		for _, f := range change {
			f(c)
		}
	})
	pid, err := n.CreateIPCP(bg, "u", irm.Unicast)
	if err != nil {
		t.Fatal(err)
	}
	return n, made, pid
}

func TestWhatCannotBeDoneYetIsTriedAgainWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n, _, pid := persistentNode(t, logged(&log))
		begin := time.Now()
		if err := n.Persist(bg, pid, "enroll with n1", failing(9, errno.TimedOut)); err != nil {
			t.Fatal(err)
		}
		// 1, 2, 4, 8, 16, 30, 30, 30, 30 seconds and up to a quarter more.
		if took := time.Since(begin); took < 151*time.Second || took > 151*time.Second*5/4 {
			t.Errorf("it took %v", took)
		}
		lines := strings.Count(log.String(), "\n")
		if lines != 2 || !strings.Contains(log.String(), "cannot be done yet") || !strings.Contains(log.String(), "done at last") {
			t.Errorf("logged:\n%s", &log)
		}
	})
}

func TestNewsEndAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, i, pid := persistentNode(t)
		other, err := n.CreateIPCP(bg, "v", irm.Unicast)
		if err != nil {
			t.Fatal(err)
		}
		i.connect = func(context.Context, string, string) error { return nil }
		for _, news := range []func() error{
			func() error { _, err := n.EnrollIPCP(bg, other, "x"); return err },
			func() error { return n.ConnectIPCP(bg, pid, irm.Management, "x", qos.Raw) },
		} {
			done := make(chan error, 1)
			begin := time.Now()
			go func() { done <- n.Persist(bg, pid, "wait", failing(1, errno.NameError)) }()
			time.Sleep(100 * time.Millisecond)
			if err := news(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil || time.Since(begin) != 100*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		}
	})
}

func TestWhatCanNeverBeDoneIsNotTriedAgain(t *testing.T) {
	for _, final := range []error{errno.Invalid, errno.NotSup, errno.New(errno.IPCPType, "a broadcast layer")} {
		synctest.Test(t, func(t *testing.T) {
			n, _, pid := persistentNode(t)
			took(t, 0, func() { wantIs(t, n.Persist(bg, pid, "enroll", failing(1, final)), final) })
		})
	}
}

func TestPersistEndsWithItsCallerItsIPCPAndItsNode(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(n *testNode, pid int, cancel func())
		want error
	}{
		{"the caller", func(_ *testNode, _ int, cancel func()) { cancel() }, context.Canceled},
		{"the IPCP", func(n *testNode, pid int, _ func()) { n.DestroyIPCP(bg, pid) }, errno.IPCP},
		{"an IPCP that failed", func(n *testNode, pid int, _ func()) { n.ipcps.byPID[pid].host.Failed(errno.IPCP) }, errno.IPCP},
		{"the node", func(n *testNode, _ int, _ func()) { n.Close(bg) }, errno.IRMd},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, _, pid := persistentNode(t)
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				time.AfterFunc(10*time.Second, func() { tc.end(n, pid, cancel) })
				wantIs(t, n.Persist(ctx, pid, "enroll", failing(99, errno.TimedOut)), tc.want)
				if tc.want != context.Canceled {
					wantIs(t, n.Persist(bg, pid, "enroll", failing(0, nil)), tc.want)
				}
				synctest.Wait() // the end of the node
			})
		})
	}
}

func TestAnAdministratorGoesBeforeAnAttemptInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, i, pid := persistentNode(t)
		i.enroll = func(ctx context.Context, dst string) error {
			if dst == "there" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		background := make(chan error, 1)
		go func() {
			background <- n.Persist(bg, pid, "enroll with gone", func(ctx context.Context) error {
				_, err := n.EnrollIPCP(ctx, pid, "gone")
				if n.isJoined(n.ipcps.byPID[pid]) {
					return nil
				}
				return err
			})
		}()
		synctest.Wait()
		took(t, 0, func() {
			if _, err := n.EnrollIPCP(bg, pid, "there"); err != nil {
				t.Fatal(err)
			}
		})
		if err := <-background; err != nil {
			t.Error(err)
		}
	})
}

func TestAnEnrolmentThatFailsSaysAtWhichStepAndWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, i, pid := persistentNode(t)
		fails := func(err error, want ...string) {
			t.Helper()
			i.enroll = func(ctx context.Context, _ string) error { <-ctx.Done(); return err }
			begin := time.Now()
			_, got := n.EnrollIPCP(bg, pid, "n1")
			if got == nil || time.Since(begin) != enrollWait {
				t.Fatalf("%v after %v", got, time.Since(begin))
			}
			for _, w := range want {
				if !strings.Contains(got.Error(), w) {
					t.Errorf("%q does not say %q", got, w)
				}
			}
		}
		fails(context.DeadlineExceeded, `cannot enroll "u" with "n1": it took longer than 20s`)
		fails(errno.New(errno.TimedOut, "the member did not send the configuration").Next("see its log"),
			`cannot enroll "u" with "n1": the member did not send the configuration; see its log`)
		fails(errno.New(errno.NameError, "nobody knows that name"), "this node is in no layer that could lead there")
		other, err := n.CreateIPCP(bg, "below", irm.EthDIX)
		if err != nil {
			t.Fatal(err)
		}
		cfg := irm.NewConfig(irm.EthDIX, "lan")
		cfg.Eth.Device = "lo"
		if _, err := n.BootstrapIPCP(bg, other, cfg); err != nil {
			t.Fatal(err)
		}
		fails(errno.New(errno.NameError, "nobody knows that name").Next("start a server"), "nobody knows that name; at the node of that member",
			"irm bind ipcp IPCP name n1", "irm name register n1 layer LAYER")
		// What each part on the way says again is left out.
		fails(errno.New(errno.FlowDown, `cannot enroll with "n1": no flow to "n1": cannot allocate a flow to "n1": layer "n1": it is gone`),
			`cannot enroll "u" with "n1": layer "n1": it is gone`)
	})
}
