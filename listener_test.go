package ouroboros

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/session"
	"ouroboros/qos"
)

func TestListenersGetTheFlowsOfTheirNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		n := newNode(t, false)
		server, client := n.client(t), n.client(t)
		red, err := server.Listen(ctx, "red")
		if err != nil {
			t.Fatal(err)
		}
		blue, err := server.Listen(ctx, "blue")
		if err != nil {
			t.Fatal(err)
		}
		if err := server.backend.Bind(ctx, "grey"); err != nil {
			t.Fatal(err)
		}
		got := make(chan string, 100)
		accept := func(who string, f func() (*Flow, error)) {
			go func() {
				for {
					f, err := f()
					if err != nil {
						return
					}
					got <- who + f.LocalAddr().String()
				}
			}()
		}
		accept("red gets ", func() (*Flow, error) { return red.AcceptFlow(ctx) })
		accept("blue gets ", func() (*Flow, error) { return blue.AcceptFlow(ctx) })
		accept("all get ", func() (*Flow, error) { return server.Accept(ctx) })
		count := map[string]int{}
		for range 20 {
			for _, name := range []string{"red", "blue", "grey"} {
				if _, err := client.Alloc(ctx, name, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 60 {
			count[<-got]++
		}
		if count["red gets red"] != 20 || count["blue gets blue"] != 20 || count["all get grey"] != 20 {
			t.Fatal(count)
		}
		server.Close()
		client.Close()
	})
}

func TestFlowForAListenerThatIsBusyWaits(t *testing.T) {
	ctx := context.Background()
	n := newNode(t, false)
	server, client := n.client(t), n.client(t)
	red, _ := server.Listen(ctx, "red")
	blue, _ := server.Listen(ctx, "blue")
	for _, name := range []string{"blue", "blue", "red"} {
		if _, err := client.Alloc(ctx, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := red.AcceptFlow(ctx); err != nil || f.LocalAddr().String() != "red" {
		t.Fatal(f, err)
	}
	for range 2 {
		if f, err := blue.AcceptFlow(ctx); err != nil || f.LocalAddr().String() != "blue" {
			t.Fatal(f, err)
		}
	}
}

func TestListenerCloseEndsAccepts(t *testing.T) {
	ctx := context.Background()
	n := newNode(t, false)
	c := n.client(t)
	l, _ := c.Listen(ctx, "name")
	errs := make(chan error)
	go func() {
		_, err := l.Accept()
		errs <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := l.AcceptFlow(ctx); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	l, _ = c.Listen(ctx, "name")
	go func() {
		_, err := l.Accept()
		errs <- err
	}()
	c.Close()
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func TestListenerGivesStreamsAndFlows(t *testing.T) {
	ctx := context.Background()
	n := newNode(t, false)
	server, client := n.client(t), n.client(t)
	l, _ := server.Listen(ctx, "web")
	conn, err := client.DialContext(ctx, "tcp", "web:80")
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Write([]byte("hello"))
	buf := make([]byte, 10)
	if n, err := in.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Fatal(n, err)
	}
	if _, err := client.DialContext(ctx, "tcp", "nowhere:80"); !errors.Is(err, ErrName) {
		t.Fatal(err)
	}
	if _, err := server.Listen(ctx, "forbidden"); !errors.Is(err, ErrPerm) {
		t.Fatal(err)
	}
	if _, err := client.Alloc(ctx, "web", &qos.Voice); err != nil {
		t.Fatal(err)
	}
	if f, err := l.AcceptFlow(ctx); err != nil || f.QoS() != qos.Voice {
		t.Fatal(err)
	}
}

// A server that polls loses no flow, whether it comes before a poll, during
// one, or as one ends.
func TestPollingAcceptsLoseNoFlow(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		server := n.client(t)
		c := n.client(t)
		if _, err := server.Listen(t.Context(), "polled"); err != nil {
			t.Fatal(err)
		}
		l, err := server.Listen(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		past, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		if _, err := l.AcceptFlow(past); !errors.Is(err, ErrTimeout) {
			t.Fatalf("nobody waits: %v", err)
		}
		for range 10 {
			f, err := c.Alloc(t.Context(), "other", nil)
			if err != nil {
				t.Fatal(err)
			}
			g, err := l.AcceptFlow(past)
			if err != nil {
				t.Fatal(err)
			}
			write(t, f, "x")
			read(t, g, "x")
		}
		// Each poll that finds the flow of another name leaves it there.
		if _, err := c.Alloc(t.Context(), "polled", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Alloc(t.Context(), "other", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := l.AcceptFlow(past); !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
		if _, err := l.AcceptFlow(past); err != nil {
			t.Fatal(err)
		}
	})
}

// slowNode takes its time to end an accept.
type slowNode struct {
	session.Backend
	pending atomic.Int32
}

func (n *slowNode) Accept(ctx context.Context) (*session.Grant, error) {
	n.pending.Add(1)
	<-ctx.Done()
	time.Sleep(time.Millisecond)
	n.pending.Add(-1)
	return nil, ctx.Err()
}

func (n *slowNode) Close() error { return nil }

// Otherwise a client would be given a flow that nobody accepts.
func TestAnAcceptThatHasReturnedIsNotPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(slowNode)
		c := NewClient(n)
		defer c.Close()
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := c.Accept(ctx); !errors.Is(err, ErrTimeout) {
				t.Error(err)
			}
			cancel()
			if left := n.pending.Load(); left != 0 {
				t.Fatalf("%d accepts are pending in the node", left)
			}
		}
	})
}
