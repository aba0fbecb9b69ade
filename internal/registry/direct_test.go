package registry

import (
	"context"
	"runtime"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/irm"
	"ouroboros/qos"
)

var bg = context.Background()

func yield() { runtime.Gosched() }

func TestAProcessThatAcceptsGetsTheFlow(t *testing.T) {
	n := newNode(t, nil)
	server, client := n.process(10, "a"), n.process(20)
	accepted := n.accepting(server)
	c, err := client.Alloc(bg, "a", qos.Data)
	if err != nil {
		t.Fatal(err)
	}
	s := <-accepted
	if s.err != nil {
		t.Fatal(s.err)
	}
	if c.ID != 1 || s.g.ID != 1 || c.Peer != 10 || s.g.Peer != 20 || c.QoS != qos.Data || s.g.QoS != qos.Data ||
		s.g.Name != "a" || c.Remote || c.MPL != directMPL || c.MTU != DirectMTU {
		t.Fatalf("client got %+v, server %+v", c, s.g)
	}
	flows, _ := n.ListFlows(bg)
	if len(flows) != 1 || flows[0].ClientPID != 20 || flows[0].ServerPID != 10 || flows[0].State != "allocated" {
		t.Fatalf("listed: %+v", flows)
	}

	if err := client.Dealloc(c.ID); err != nil {
		t.Fatal(err)
	}
	wantIs(t, client.Dealloc(c.ID), errno.NotAlloc)
	if !s.g.End.(*testEnd).saw(flow.EventDealloc) {
		t.Fatal("the server did not hear that the client deallocated")
	}
	if err := server.Dealloc(s.g.ID); err != nil {
		t.Fatal(err)
	}
	if n.fabric.open() != 0 {
		t.Fatal("ends are left")
	}
	if flows, _ := n.ListFlows(bg); len(flows) != 0 {
		t.Fatalf("flows are left: %+v", flows)
	}
}

func TestAFlowOfAnotherProcessCannotBeDeallocated(t *testing.T) {
	n := newNode(t, nil)
	server, client, other := n.process(10, "a"), n.process(20), n.process(30)
	accepted := n.accepting(server)
	c, err := client.Alloc(bg, "a", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	for _, id := range []int{c.ID, 0, -1, 1 << 40} {
		wantIs(t, other.Dealloc(id), errno.NotAlloc)
	}
}

func TestTheDeathOfAProcessTakesItsFlowsDown(t *testing.T) {
	n := newNode(t, nil)
	server, client := n.process(10, "a"), n.process(20)
	accepted := n.accepting(server)
	c, err := client.Alloc(bg, "a", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	pending := n.accepting(server)
	server.Exit()
	server.Exit()
	if !c.End.(*testEnd).saw(flow.EventDown) {
		t.Fatal("the client did not hear that the server is gone")
	}
	wantIs(t, (<-pending).err, errno.Pipe)
	if err := client.Dealloc(c.ID); err != nil {
		t.Fatal(err)
	}
	infos, _ := n.ListNames(bg)
	if len(infos[0].Processes) != 0 {
		t.Fatal("the dead process is still bound")
	}
	_, err = client.Alloc(bg, "a", qos.Raw)
	wantIs(t, err, errno.IPCP)
}

func TestTheLowestFreeIDIsUsed(t *testing.T) {
	n := newNode(t, nil)
	server, client := n.process(10, "a"), n.process(20)
	flow := func() (*Grant, *Grant) {
		accepted := n.accepting(server)
		c, err := client.Alloc(bg, "a", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return c, (<-accepted).g
	}
	for want := 1; want <= 200; want++ {
		if c, s := flow(); c.ID != want || s.ID != want {
			t.Fatalf("ids %d and %d, want %d", c.ID, s.ID, want)
		}
	}
	for _, free := range []int{150, 64, 7} {
		client.Dealloc(free)
		server.Dealloc(free)
	}
	for _, want := range []int{7, 64, 150, 201} {
		if c, _ := flow(); c.ID != want {
			t.Fatalf("id %d, want %d", c.ID, want)
		}
	}
}

func TestAProcessThatHoldsBothEndsTellsThemApart(t *testing.T) {
	n := newNode(t, nil)
	p := n.process(10, "a")
	accepted := n.accepting(p)
	c, err := p.Alloc(bg, "a", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	s := (<-accepted).g
	if c.ID == s.ID {
		t.Fatal("both ends have the same id")
	}
	p.Dealloc(c.ID)
	if !s.End.(*testEnd).saw(flow.EventDealloc) || c.End.(*testEnd).saw(flow.EventDealloc) {
		t.Fatal("the wrong end was deallocated")
	}
}

func TestBalance(t *testing.T) {
	for _, tc := range []struct {
		policy irm.Balance
		want   []int // flows of each of three servers
	}{
		{irm.RoundRobin, []int{10, 10, 10}},
		{irm.Spill, []int{0, 0, 30}},
	} {
		t.Run(tc.policy.String(), func(t *testing.T) {
			n := newNode(t, nil)
			if err := n.CreateName(bg, irm.NameInfo{Name: "a", Balance: tc.policy}); err != nil {
				t.Fatal(err)
			}
			client := n.process(20)
			for pid := 1; pid <= 3; pid++ {
				h := n.process(pid, "a")
				for range 30 {
					n.accepting(h)
				}
			}
			got := make([]int, 3)
			for range 30 {
				g, err := client.Alloc(bg, "a", qos.Raw)
				if err != nil {
					t.Fatal(err)
				}
				got[g.Peer-1]++
			}
			for i := range got {
				if got[i] != tc.want[i] {
					t.Fatalf("flows per server: %v, want %v", got, tc.want)
				}
			}
			if tc.policy == irm.Spill {
				// The last one is busy: the one before it is next.
				if g, err := client.Alloc(bg, "a", qos.Raw); err != nil || g.Peer != 2 {
					t.Fatalf("got %+v, %v, want a flow to 2", g, err)
				}
			}
		})
	}
}

func TestManyParallelAllocationsToOneLoopingServerAllSucceed(t *testing.T) {
	for _, many := range []int{200, 2000} {
		// A busy machine may not run the server for more than a second.
		n := newNode(t, func(c *Config) { c.RequestWait = 30 * time.Second })
		server, client := n.process(10, "a"), n.process(20)
		stop, cancel := context.WithCancel(bg)
		done := make(chan int)
		go func() {
			count := 0
			for {
				g, err := server.Accept(stop)
				if err != nil {
					break
				}
				count++
				server.Dealloc(g.ID)
			}
			done <- count
		}()
		errs := make(chan error, many)
		for range many {
			go func() {
				g, err := client.Alloc(bg, "a", qos.Raw)
				if err == nil {
					err = client.Dealloc(g.ID)
				}
				errs <- err
			}()
		}
		for range many {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if got := <-done; got != many {
			t.Fatalf("the server got %d flows of %d", got, many)
		}
		n.end()
	}
}

func TestBindingBeforeAndAfterAccept(t *testing.T) {
	n := newNode(t, nil)
	server, client := n.process(10, "a"), n.process(20)
	first, second := n.accepting(server), n.accepting(server)
	if err := n.BindProcess(bg, 10, "b"); err != nil {
		t.Fatal(err)
	}
	wantIs(t, n.BindProcess(bg, 10, "b"), errno.Exist)
	for range 2 {
		if _, err := client.Alloc(bg, "b", qos.Raw); err != nil {
			t.Fatal(err)
		}
	}
	if g := (<-first).g; g.Name != "b" {
		t.Fatalf("got %+v", g)
	}
	<-second
	if err := n.UnbindProcess(bg, 10, "b"); err != nil {
		t.Fatal(err)
	}
	wantIs(t, n.UnbindProcess(bg, 10, "b"), errno.NoEntry)
	n.accepting(server)
	_, err := client.Alloc(bg, "b", qos.Raw)
	wantIs(t, err, errno.IPCP)
	if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
		t.Fatal(err)
	}
}
