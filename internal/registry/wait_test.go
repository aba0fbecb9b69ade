package registry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
	"ouroboros/qos"
)

// within gives a ctx that ends after d; 0 has ended already, and a negative d
// never ends.
func within(t *testing.T, d time.Duration) context.Context {
	if d < 0 {
		return bg
	}
	ctx, cancel := context.WithTimeout(bg, d)
	t.Cleanup(cancel)
	return ctx
}

// took checks that f takes exactly d of virtual time.
func took(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if got := time.Since(start); got != d {
		t.Errorf("it took %v, want %v", got, d)
	}
}

const never = time.Duration(-1)

func TestHowLongAnAllocationWaitsForABoundServer(t *testing.T) {
	for _, tc := range []struct {
		name     string
		deadline time.Duration
		accepts  time.Duration // after the allocation; never = not
		want     error
		took     time.Duration
	}{
		{"it accepts soon enough", never, 500 * time.Millisecond, nil, 500 * time.Millisecond},
		{"it does not accept", never, never, errno.IPCP, time.Second},
		{"it accepts too late", never, 1100 * time.Millisecond, errno.IPCP, time.Second},
		{"it does not accept, short deadline", 300 * time.Millisecond, never, errno.TimedOut, 300 * time.Millisecond},
		{"it does not accept, long deadline", 3 * time.Second, never, errno.IPCP, time.Second},
		{"no time at all", 0, never, errno.TimedOut, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, nil)
				server, client := n.process(10, "a"), n.process(20)
				if tc.accepts != never {
					time.AfterFunc(tc.accepts, func() { server.Accept(within(t, time.Second)) })
				}
				took(t, tc.took, func() {
					_, err := client.Alloc(within(t, tc.deadline), "a", qos.Raw)
					wantIs(t, err, tc.want)
				})
			})
		})
	}
}

// A slow server is not one that hangs: who waits behind others waits on.
func TestAllocationsInAQueueWaitWhileItMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		server, client := n.process(10, "a"), n.process(20)
		got := make(chan error, 4)
		for range 4 {
			go func() { _, err := client.Alloc(bg, "a", qos.Raw); got <- err }()
		}
		for range 3 {
			took(t, 700*time.Millisecond, func() {
				time.Sleep(700 * time.Millisecond)
				if _, err := server.Accept(bg); err != nil {
					t.Error(err)
				}
				if err := <-got; err != nil {
					t.Error(err)
				}
			})
		}
		// Now it hangs.
		took(t, time.Second, func() { wantIs(t, <-got, errno.IPCP) })
	})
}

func TestWhatADeadlineThatIsOverStillGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		server, client := n.process(10, "a"), n.process(20)
		over := within(t, 0)

		_, err := server.Accept(over)
		wantIs(t, err, errno.TimedOut)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error("the time-out is not one of the standard library")
		}

		n.accepting(server)
		if _, err := client.Alloc(over, "a", qos.Raw); err != nil {
			t.Error("a pending accept was not used:", err)
		}

		got := make(chan error, 1)
		go func() { _, err := client.Alloc(bg, "a", qos.Raw); got <- err }()
		synctest.Wait()
		if _, err := server.Accept(over); err != nil {
			t.Error("a waiting allocation was not served:", err)
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

func TestACallerThatGivesUpSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		p := n.process(10, "a")
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_, err := p.Accept(ctx)
		wantIs(t, err, context.Canceled)
		_, err = n.process(20).Alloc(ctx, "a", qos.Raw)
		wantIs(t, err, context.Canceled)
	})
}

func TestAcceptTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		p := n.process(10, "a")
		for _, d := range []time.Duration{0, 500 * time.Millisecond} {
			took(t, d, func() {
				_, err := p.Accept(within(t, d))
				wantIs(t, err, errno.TimedOut)
			})
		}
		// An accept that timed out attracts no flow.
		_, err := n.process(20).Alloc(within(t, 0), "a", qos.Raw)
		wantIs(t, err, errno.TimedOut)
	})
}

func TestNamesThatCannotBeReachedFailAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		p := n.process(10)
		if err := n.CreateName(bg, irm.NameInfo{Name: "known"}); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			dst  string
			want error
		}{
			{"unknown", errno.NameError}, {"known", errno.IPCP}, {"", errno.Invalid},
			{strings.Repeat("x", 256), errno.Invalid}, {strings.Repeat("x", 255), errno.NameError},
		} {
			for _, d := range []time.Duration{0, 300 * time.Millisecond, never} {
				took(t, 0, func() {
					_, err := p.Alloc(within(t, d), tc.dst, qos.Raw)
					wantIs(t, err, tc.want)
				})
			}
		}
		_, err := p.Alloc(bg, "unknown", qos.Raw)
		var d *errno.Detail
		if !errors.As(err, &d) || d.Hint == "" || !strings.Contains(err.Error(), `cannot allocate a flow to "unknown"`) {
			t.Errorf("the error does not help: %v", err)
		}
	})
}

func TestAClientLearnsAtOnceThatItsServerDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		server, client := n.process(10, "a"), n.process(20)
		time.AfterFunc(100*time.Millisecond, server.Exit)
		took(t, 100*time.Millisecond, func() {
			_, err := client.Alloc(bg, "a", qos.Raw)
			wantIs(t, err, errno.IPCP)
		})
	})
}

func TestAWaitingAllocationEndsWithItsProcessAndItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		n.process(10, "a")
		client := n.process(20)
		time.AfterFunc(100*time.Millisecond, client.Exit)
		took(t, 100*time.Millisecond, func() {
			_, err := client.Alloc(bg, "a", qos.Raw)
			wantIs(t, err, errno.Pipe)
		})
		other := n.process(30)
		time.AfterFunc(100*time.Millisecond, func() { n.DestroyName(bg, "a") })
		took(t, 100*time.Millisecond, func() {
			_, err := other.Alloc(bg, "a", qos.Raw)
			wantIs(t, err, errno.NameError)
		})
	})
}

func TestThoseWhoWaitAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(c *Config) { c.RequestWait = time.Minute })
		server := n.process(10, "a", "b")
		order := make(chan int, 10)
		for i := range 10 {
			client := n.process(20 + i)
			go func() {
				if _, err := client.Alloc(bg, []string{"a", "b"}[i%2], qos.Raw); err == nil {
					order <- i
				}
			}()
			synctest.Wait()
		}
		for want := range 10 {
			if _, err := server.Accept(bg); err != nil {
				t.Fatal(err)
			}
			if got := <-order; got != want {
				t.Fatalf("allocation %d was served, want %d", got, want)
			}
		}
	})
}

func TestAnAcceptIsPutBackWhenTheFlowCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		for _, policy := range []irm.Balance{irm.RoundRobin, irm.Spill} {
			s := policy.String()
			n.CreateName(bg, irm.NameInfo{Name: s, Balance: policy})
			first, second, client := n.process(10, s), n.process(11, s), n.process(20)
			n.accepting(first)
			n.accepting(second)
			broken := errno.New(errno.NoFiles, "no descriptors are left")
			var chosen Owner
			n.fabric.direct = func(_, b Owner) error { chosen = b; return broken }
			_, err := client.Alloc(bg, s, qos.Raw)
			wantIs(t, err, errno.NoFiles)
			if chosen == nil {
				t.Fatal("nobody was chosen")
			}
			n.fabric.direct = nil
			want := map[irm.Balance]int{irm.RoundRobin: 10, irm.Spill: 11}[policy]
			if g, err := client.Alloc(bg, s, qos.Raw); err != nil || g.Peer != want {
				t.Fatalf("%v: got %+v, %v; want a flow to %d, which had been chosen", policy, g, err, want)
			}
			for _, h := range []*Process{first, second, client} {
				h.Exit()
			}
		}
	})
}

func TestAnAllocationGoesToAnotherServerWhenTheChosenOneDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		n.CreateName(bg, irm.NameInfo{Name: "a", Balance: irm.RoundRobin})
		first, second, client := n.process(10, "a"), n.process(11, "a"), n.process(20)
		dies := n.accepting(first)
		n.accepting(second)
		n.fabric.direct = func(a, b Owner) error { first.Exit(); return nil }
		g, err := client.Alloc(bg, "a", qos.Raw)
		if err != nil || g.Peer != 11 {
			t.Fatalf("got %+v, %v", g, err)
		}
		wantIs(t, (<-dies).err, errno.Pipe)
		if flows, _ := n.ListFlows(bg); len(flows) != 1 {
			t.Fatalf("flows: %+v", flows)
		}
	})
}

func TestAnAcceptWhoseTimeEndsWhileItsFlowIsMadeGetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		server, client := n.process(10, "a"), n.process(20)
		got := make(chan outcome, 1)
		go func() {
			g, err := server.Accept(within(t, time.Second))
			got <- outcome{g, err}
		}()
		synctest.Wait()
		n.fabric.direct = func(a, b Owner) error { time.Sleep(1200 * time.Millisecond); return nil }
		if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
		if o := <-got; o.err != nil {
			t.Fatal(o.err)
		}
	})
}

func TestTheEndOfTheNodeEndsEverythingThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(c *Config) { c.RequestWait = time.Minute })
		server, client := n.process(10, "a", "b"), n.process(20)
		n.accepting(server)
		g, err := client.Alloc(bg, "b", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		ends := make(chan error, 3)
		go func() { _, err := n.process(11).Accept(bg); ends <- err }()
		go func() { _, err := client.Alloc(bg, "a", qos.Raw); ends <- err }()
		go func() { ends <- n.Watch(bg, func(irm.Event) error { return nil }) }()
		synctest.Wait()
		if err := n.Close(bg); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			wantIs(t, <-ends, errno.IRMd)
		}
		if e := g.End.(*testEnd); len(e.events) == 0 || e.events[len(e.events)-1].String() != "down" {
			t.Fatalf("the end of the flow saw %v", e.events)
		}
		_, err = n.Announce(Identity{PID: 12}, testOwner("late"))
		wantIs(t, err, errno.IRMd)
		wantIs(t, n.CreateName(bg, irm.NameInfo{Name: "x"}), errno.IRMd)
		_, err = client.Alloc(bg, "a", qos.Raw)
		wantIs(t, err, errno.IRMd)
	})
}

func TestBindProcessGivesANewProcessAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		time.AfterFunc(5*time.Millisecond, func() { n.process(10) })
		took(t, 5*time.Millisecond, func() {
			if err := n.BindProcess(bg, 10, "a"); err != nil {
				t.Fatal(err)
			}
		})
		took(t, 10*time.Millisecond, func() { wantIs(t, n.BindProcess(bg, 11, "a"), errno.NoEntry) })
		took(t, 0, func() { wantIs(t, n.BindProcess(bg, 0, "a"), errno.NoEntry) })
		if len(n.awaited) != 0 {
			t.Fatal("something still waits for a process")
		}
	})
}
