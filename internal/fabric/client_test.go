package fabric

import (
	"context"
	"errors"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/registry"
	"ouroboros/internal/ring"
	"ouroboros/internal/session"
	"ouroboros/qos"
)

// node is a registry whose processes are in this program.
func node(t *testing.T) (join func(pid int) *Client) {
	t.Helper()
	f := New(noPort)
	r, err := registry.New(registry.Config{Fabric: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close(context.Background())
		f.Close()
	})
	return func(pid int) *Client {
		owner := f.NewLocal("client")
		p, err := r.Announce(registry.Identity{PID: pid, Exe: "client"}, owner)
		if err != nil {
			t.Fatal(err)
		}
		c := NewClient(p, owner)
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func meet(t *testing.T, client, server *Client) (a, b *session.Grant) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	accepted := make(chan *session.Grant, 1)
	go func() {
		g, err := server.Accept(ctx)
		if err != nil {
			t.Error(err)
		}
		accepted <- g
	}()
	a, err := client.Alloc(ctx, "n", qos.Data)
	if err != nil {
		t.Fatal(err)
	}
	if b = <-accepted; b == nil {
		t.FailNow()
	}
	return a, b
}

func TestTwoClientsOfOneProgramMeetThroughAName(t *testing.T) {
	join := node(t)
	server, client := join(1), join(2)
	if err := server.Bind(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	a, b := meet(t, client, server)
	if a.Name != "n" || a.QoS != qos.Data || a.Peer != 1 || b.Peer != 2 {
		t.Errorf("granted %+v and %+v", a, b)
	}
	if err := a.End.Write([]byte("hi"), ring.WriteOptions{Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, err := b.End.Read(buf, ring.ReadOptions{Timeout: time.Minute}); err != nil || string(buf[:n]) != "hi" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	ended := make(chan flow.Event, 1)
	b.OnEvent(func(e flow.Event) { ended <- e })
	a.End.Close()
	client.Dealloc(a.ID)
	if e := <-ended; e != flow.EventDealloc {
		t.Errorf("event %v", e)
	}
	b.End.Close()
	server.Dealloc(b.ID)
}

func TestACloseEndsCallsAndTellsFlows(t *testing.T) {
	join := node(t)
	server, client := join(1), join(2)
	if err := server.Bind(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	a, b := meet(t, client, server)
	pending := make(chan error, 1)
	go func() {
		_, err := server.Accept(context.Background())
		pending <- err
	}()
	down := make(chan flow.Event, 1)
	b.OnEvent(func(e flow.Event) { down <- e })
	server.Close()
	if err := <-pending; !errors.Is(err, errno.NotAlloc) {
		t.Errorf("pending accept: %v", err)
	}
	if e := <-down; e != flow.EventDown {
		t.Errorf("event %v", e)
	}
	if _, err := server.Accept(t.Context()); !errors.Is(err, errno.NotAlloc) {
		t.Errorf("accept: %v", err)
	}
	// Its memory is still there until the flow is deallocated.
	if err := b.End.Write([]byte("late"), ring.WriteOptions{Timeout: time.Minute}); err != nil {
		t.Error(err)
	}
	b.End.Close()
	server.Dealloc(b.ID)
	a.End.Close()
	client.Dealloc(a.ID)
}
