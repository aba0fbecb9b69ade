package ipcptest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

// pair is a flow from one to the other.
func pair(t *testing.T, from, to ipcp.Env, dst string) (a, b *flow.Conn) {
	t.Helper()
	got := make(chan flow.Flow, 1)
	go func() {
		f, spec, err := to.Host.Accept(t.Context())
		if err != nil || spec != qos.Voice {
			t.Errorf("%v, %v", spec, err)
		}
		got <- f
	}()
	f, err := from.Host.Alloc(t.Context(), dst, qos.Voice)
	if err != nil {
		t.Fatal(err)
	}
	return flow.NewConn(f, from.Go), flow.NewConn(<-got, to.Go)
}

func receive(t *testing.T, c *flow.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b, err := c.Recv(ctx)
	if err != nil {
		return err.Error()
	}
	defer b.Release()
	return string(b.Bytes())
}

func send(t *testing.T, c *flow.Conn, s string) {
	t.Helper()
	if err := c.Send(t.Context(), packet.From([]byte(s))); err != nil {
		t.Error(err)
	}
}

func TestFlowsGoToWhoIsBoundToAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a, b, c := w.Env("a"), w.Env("b"), w.Env("c")
		w.Bind("b", "layer")
		x, y := pair(t, a, b, "b")
		send(t, x, "hello")
		if got := receive(t, y); got != "hello" {
			t.Error(got)
		}
		x2, y2 := pair(t, c, b, "layer")
		send(t, y2, "back")
		if got := receive(t, x2); got != "back" {
			t.Error(got)
		}
		if len(w.Flows()) != 2 || len(w.Between("b", "a")) != 1 {
			t.Errorf("%d flows", len(w.Flows()))
		}
		w.Unbind("b", "layer")
		if _, err := a.Host.Alloc(t.Context(), "layer", qos.Raw); !errors.Is(err, errno.NameError) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Host.Alloc(ctx, "b", qos.Raw); !errors.Is(err, errno.TimedOut) {
			t.Error(err)
		}
		x.Close()
		if got := receive(t, y); got != errno.FlowDown.Error() {
			t.Error(got)
		}
		y.Close()
		x2.Close()
		y2.Close()
		if len(w.Flows()) != 0 {
			t.Error("flows are left")
		}
	})
}

func TestPacketsAndEndsAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		x, y := pair(t, w.Env("a"), w.Env("b"), "b")
		w.Filter(func(p ipcptest.Packet) bool { return p.From != "a" || string(p.Bytes) != "lost" })
		send(t, x, "lost")
		send(t, x, "found")
		send(t, y, "lost")
		if got := receive(t, y) + receive(t, x); got != "foundlost" {
			t.Error(got)
		}
		w.Mute(true)
		x.Close()
		if got := receive(t, y); got != context.DeadlineExceeded.Error() {
			t.Error(got)
		}
		y.Close()
	})
}

func TestEventsOfAFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		x, y := pair(t, w.Env("a"), w.Env("b"), "b")
		var got []flow.Event
		x.HandOver(flow.Funcs{OnEvent: func(e flow.Event) { got = append(got, e) }})
		f := w.Flows()[0]
		f.SetDown(true)
		f.SetDown(false)
		f.SetMTU(100)
		f.PeerGone()
		f.Break()
		if len(got) != 5 || got[2] != flow.EventMTU || got[3] != flow.EventPeer || got[4] != flow.EventDealloc {
			t.Error(got)
		}
		x.Close()
		y.Close()
	})
}

func TestStopEndsAnIPCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a, b := w.Env("a"), w.Env("b")
		_, y := pair(t, b, a, "a")
		ended := false
		b.Go(func() { <-b.Context.Done(); ended = true })
		b.AfterFunc(time.Minute, func() { t.Error("a timer ran after the end") })
		b.Log.Info("hello", "n", 1)
		w.Stop("b")
		if !ended || w.Logged("hello", "n=1", "ipcp=b") != 1 {
			t.Error("not ended, or not logged")
		}
		if got := receive(t, y); got != errno.FlowDown.Error() {
			t.Error(got)
		}
		time.Sleep(time.Hour)
		w.Env("b") // the name is free
		y.Close()
	})
}
