package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ouroboros/internal/fabric"
	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/internal/registry"
	"ouroboros/internal/ring"
	"ouroboros/internal/session"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("OUROBOROS_TEST_ROLE"); role != "" {
		child(role)
		return
	}
	leak.Main(m)
}

// daemon is a node with its server, in a directory of its own.
type daemon struct {
	t    testing.TB
	dir  string
	s    *Server
	node *registry.Registry
}

// start runs a daemon until the test ends. cfg says what is special about it.
func start(t testing.TB, cfg Config) *daemon {
	t.Helper()
	return startOver(t, cfg, func(n Node) Node { return n })
}

// startOver is start with something between the server and its node.
func startOver(t testing.TB, cfg Config, wrap func(Node) Node) *daemon {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = publicDir(t)
	}
	f := fabric.New(noPorts)
	node, err := registry.New(registry.Config{Fabric: f})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Node, cfg.Fabric = wrap(node), f
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := node.Close(context.Background()); err != nil {
			t.Errorf("close the registry: %v", err)
		}
		f.Close()
	})
	return &daemon{t: t, dir: cfg.Dir, s: s, node: node}
}

// noPorts is for nodes without IPCPs: no flow of theirs needs a port.
func noPorts(*ring.End, flow.Flow, qos.Spec, func()) (fabric.Port, error) {
	return nil, fmt.Errorf("this node has no ports")
}

// publicDir is a directory that other users can enter.
func publicDir(t testing.TB) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "irmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "run")
}

func (d *daemon) dial() *session.Conn {
	d.t.Helper()
	c, err := session.Dial(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

func (d *daemon) client() *irm.Client {
	d.t.Helper()
	c, err := irm.DialDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

// serve binds a connection to a name.
func (d *daemon) serve(name string) *session.Conn {
	d.t.Helper()
	c := d.dial()
	if err := c.Bind(soon(d.t), name); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// patience is how long a test waits for what must happen. It is long because
// machines that run tests are busy.
const patience = time.Minute

// soon ends before a test hangs for ever.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// pair allocates a flow from a client to a server that is bound to name.
func pair(t testing.TB, client, server *session.Conn, name string) (c, s *session.Grant) {
	t.Helper()
	accepted := make(chan *session.Grant, 1)
	go func() {
		g, err := server.Accept(soon(t))
		if err != nil {
			t.Errorf("accept: %v", err)
		}
		accepted <- g
	}()
	c, err := client.Alloc(soon(t), name, qos.Data)
	if err != nil {
		t.Fatalf("alloc: %v", err)
	}
	if s = <-accepted; s == nil {
		t.FailNow()
	}
	t.Cleanup(func() {
		hangUp(client, c)
		hangUp(server, s)
	})
	return c, s
}

// hangUp ends a flow as a program does.
func hangUp(c *session.Conn, g *session.Grant) {
	g.End.Close()
	c.Dealloc(g.ID)
}

// talk sends a message each way.
func talk(t testing.TB, a, b *session.Grant) {
	t.Helper()
	for _, dir := range [][2]*ring.End{{a.End, b.End}, {b.End, a.End}} {
		if err := dir[0].Write([]byte("hello"), writeOptions); err != nil {
			t.Fatalf("write: %v", err)
		}
		buf := make([]byte, 64)
		n, err := dir[1].Read(buf, readOptions)
		if err != nil || string(buf[:n]) != "hello" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
	}
}

// events collects what the node says of a flow.
func events(g *session.Grant) <-chan flow.Event {
	ch := make(chan flow.Event, 16)
	g.OnEvent(func(e flow.Event) { ch <- e })
	return ch
}

func want(t testing.TB, ch <-chan flow.Event, e flow.Event) {
	t.Helper()
	select {
	case got := <-ch:
		if got != e {
			t.Fatalf("event %v, not %v", got, e)
		}
	case <-time.After(patience):
		t.Fatalf("no event %v", e)
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not so after %v: %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// Reads and writes of the tests wait, but not for ever.
var (
	readOptions  = ring.ReadOptions{Timeout: patience}
	writeOptions = ring.WriteOptions{Timeout: patience}
)
