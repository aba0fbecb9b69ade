package server

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/qos"
)

func TestTwoProcessesTalkThroughAName(t *testing.T) {
	d := start(t, Config{})
	server, client := d.serve("echo"), d.dial()
	a, b := pair(t, client, server, "echo")
	if a.Name != "echo" || a.QoS != qos.Data || a.Remote || a.ID != b.ID && a.ID == 0 {
		t.Errorf("granted %+v", a)
	}
	talk(t, a, b)
	ended := events(b)
	hangUp(client, a)
	want(t, ended, flow.EventDealloc)
	hangUp(server, b)
	eventually(t, "no flow is left", func() bool {
		l, err := d.node.ListFlows(t.Context())
		return err == nil && len(l) == 0
	})
}

func TestAProcessTalksToItself(t *testing.T) {
	d := start(t, Config{})
	c := d.serve("self")
	for range 3 {
		a, b := pair(t, c, c, "self")
		talk(t, a, b)
		hangUp(c, a)
		hangUp(c, b)
	}
}

func TestManyFlowsShareOneLink(t *testing.T) {
	d := start(t, Config{})
	server, client := d.serve("many"), d.dial()
	const flows = 300
	var wg sync.WaitGroup
	for range flows {
		wg.Go(func() {
			g, err := server.Accept(soon(t))
			if err != nil {
				t.Error(err)
				return
			}
			buf := make([]byte, 8)
			n, _ := g.End.Read(buf, readOptions)
			g.End.Write(buf[:n], writeOptions)
			hangUp(server, g)
		})
		wg.Go(func() {
			g, err := client.Alloc(soon(t), "many", qos.Raw)
			if err != nil {
				t.Error(err)
				return
			}
			g.End.Write([]byte("x"), writeOptions)
			buf := make([]byte, 8)
			if n, err := g.End.Read(buf, readOptions); n != 1 || err != nil {
				t.Errorf("read %d, %v", n, err)
			}
			hangUp(client, g)
		})
	}
	wg.Wait()
}

func TestPendingCallsEndWithTheirContext(t *testing.T) {
	d := start(t, Config{})
	c := d.serve("nobody-calls")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Accept(ctx); !errors.Is(err, errno.TimedOut) {
		t.Errorf("accept: %v", err)
	}
	ctx, cancel2 := context.WithCancel(t.Context())
	cancel2()
	if _, err := c.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled accept: %v", err)
	}
	eventually(t, "no accept is left pending", func() bool {
		l, err := d.node.ListProcesses(t.Context())
		return err == nil && len(l) == 1 && l[0].Accepts == 0
	})
}

// An accept whose time is up takes a flow that somebody waits for already.
func TestAnExpiredAcceptPolls(t *testing.T) {
	d := start(t, Config{})
	server, client := d.serve("poll"), d.dial()
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := server.Accept(past); !errors.Is(err, errno.TimedOut) {
		t.Fatalf("with nobody waiting: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		g, err := client.Alloc(soon(t), "poll", qos.Raw)
		if err == nil {
			hangUp(client, g)
		}
		got <- err
	}()
	eventually(t, "the poll takes the flow", func() bool {
		g, err := server.Accept(past)
		if err == nil {
			hangUp(server, g)
		}
		return err == nil
	})
	if err := <-got; err != nil {
		t.Errorf("alloc: %v", err)
	}
}

func TestCancelRacesWithTheGrant(t *testing.T) {
	d := start(t, Config{})
	server, client := d.serve("race"), d.dial()
	ctx, stop := context.WithCancel(t.Context())
	var loop sync.WaitGroup
	loop.Go(func() {
		for ctx.Err() == nil {
			if g, err := server.Accept(ctx); err == nil {
				hangUp(server, g)
			}
		}
	})
	for i := range 400 {
		actx, cancel := context.WithTimeout(ctx, time.Duration(i)*2*time.Microsecond)
		if g, err := client.Alloc(actx, "race", qos.Raw); err == nil {
			hangUp(client, g)
		} else if !errors.Is(err, errno.TimedOut) {
			t.Errorf("alloc: %v", err)
		}
		cancel()
	}
	stop()
	loop.Wait()
	eventually(t, "no flow is left", func() bool {
		l, err := d.node.ListFlows(t.Context())
		return err == nil && len(l) == 0
	})
	a, b := pair(t, client, server, "race")
	talk(t, a, b)
}

func TestErrorsKeepNumberCauseAndHint(t *testing.T) {
	d := start(t, Config{})
	_, err := d.dial().Alloc(soon(t), "no-such-name", qos.Raw)
	var detail *errno.Detail
	if !errors.Is(err, errno.NameError) || !errors.As(err, &detail) || detail.Hint == "" {
		t.Errorf("got %v", err)
	}
}

func TestTheEndOfTheDaemonEndsCallsAndFlows(t *testing.T) {
	d := start(t, Config{})
	server, client := d.serve("end"), d.dial()
	a, b := pair(t, client, server, "end")
	evA, evB := events(a), events(b)
	pending := make(chan error, 1)
	go func() {
		_, err := server.Accept(context.Background())
		pending <- err
	}()
	eventually(t, "the accept is pending", func() bool {
		l, _ := d.node.ListProcesses(t.Context())
		return len(l) == 1 && l[0].Accepts == 1
	})
	d.s.Close()
	if err := <-pending; !errors.Is(err, errno.IRMd) {
		t.Errorf("pending accept: %v", err)
	}
	want(t, evA, flow.EventDown)
	want(t, evB, flow.EventDown)
	if _, err := client.Alloc(soon(t), "end", qos.Raw); !errors.Is(err, errno.IRMd) {
		t.Errorf("alloc: %v", err)
	}
	hangUp(client, a)
	hangUp(server, b)
}

func TestSeveralConnectionsOfAProcessShareItsNames(t *testing.T) {
	d := start(t, Config{})
	first, second, client := d.serve("shared"), d.dial(), d.dial()
	a, b := pair(t, client, second, "shared")
	talk(t, a, b)
	first.Close()
	hangUp(client, a)
	hangUp(second, b)
	a, b = pair(t, client, second, "shared")
	talk(t, a, b)
}
