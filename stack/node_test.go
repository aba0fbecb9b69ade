package stack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/leak"
	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/stack"
)

func TestMain(m *testing.M) { leak.Main(m) }

func newNode(t testing.TB, cfg stack.Config) *stack.Node {
	t.Helper()
	n, err := stack.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func client(t testing.TB, n *stack.Node, name string) *ouroboros.Client {
	t.Helper()
	c, err := n.Client(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// listen makes a client that serves a name.
func listen(t testing.TB, n *stack.Node, name string) *ouroboros.Listener {
	t.Helper()
	l, err := client(t, n, "server").Listen(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// connect allocates a flow and accepts it.
func connect(t testing.TB, c *ouroboros.Client, l *ouroboros.Listener) (client, server *ouroboros.Flow) {
	t.Helper()
	accepted := make(chan error, 1)
	go func() {
		var err error
		server, err = l.AcceptFlow(t.Context())
		accepted <- err
	}()
	client, err := c.Alloc(t.Context(), l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestTwoClientsOfANodeTalkThroughANameOnly(t *testing.T) {
	n := newNode(t, stack.Config{})
	l := listen(t, n, "greeter")
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		f, err := l.AcceptFlow(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		buf := make([]byte, 100)
		k, err := f.Read(buf)
		if err != nil || string(buf[:k]) != "hello" {
			t.Errorf("the server read %q: %v", buf[:k], err)
		}
		f.Write([]byte("hello back"))
		if _, err := f.Read(buf); !errors.Is(err, ouroboros.ErrFlowDown) {
			t.Errorf("the server's read after the client left: %v", err)
		}
	})
	f, err := client(t, n, "client").Alloc(t.Context(), "greeter", &qos.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Write([]byte("hello"))
	buf := make([]byte, 100)
	k, err := f.Read(buf)
	if err != nil || string(buf[:k]) != "hello back" || f.QoS() != qos.Data {
		t.Errorf("the client read %q: %v", buf[:k], err)
	}

	ps, err := n.ListProcesses(t.Context())
	if err != nil || len(ps) != 2 {
		t.Fatalf("%d processes: %v", len(ps), err)
	}
	for i, name := range []string{"server", "client"} {
		if ps[i].Program != name || ps[i].PID != stack.FirstClient+i || ps[i].Flows != 1 {
			t.Errorf("process %d is %+v", i, ps[i])
		}
	}
}

func TestTwoNodesOfOneProgramDoNotMeet(t *testing.T) {
	a, b := newNode(t, stack.Config{}), newNode(t, stack.Config{})
	listen(t, a, "here")
	if _, err := client(t, b, "client").Alloc(t.Context(), "here", nil); !errors.Is(err, ouroboros.ErrName) {
		t.Errorf("got %v", err)
	}
	if ps, err := b.ListProcesses(t.Context()); err != nil || len(ps) != 1 {
		t.Errorf("the other node has %d processes: %v", len(ps), err)
	}
}

func TestAnIPCPMakesALayerFromGo(t *testing.T) {
	n := newNode(t, stack.Config{})
	ctx := t.Context()
	pid, err := n.CreateIPCP(ctx, "l1", irm.Local)
	if err != nil || pid <= 1<<22 || pid >= stack.FirstClient {
		t.Fatalf("pid %d: %v", pid, err)
	}
	if _, err := n.BootstrapIPCP(ctx, pid, irm.NewConfig(irm.Local, "home")); err != nil {
		t.Fatal(err)
	}
	listen(t, n, "service")
	if err := n.RegName(ctx, "service", pid); err != nil {
		t.Fatal(err)
	}
	ps, err := n.ListIPCPs(ctx)
	if err != nil || len(ps) != 1 || ps[0].State != "operational" || ps[0].Layer != "home" {
		t.Errorf("%+v: %v", ps, err)
	}
	if _, err := client(t, n, "c").Join(ctx, "home"); err == nil {
		t.Error("a local layer was joined")
	}
	if err := n.DestroyIPCP(ctx, pid); err != nil {
		t.Error(err)
	}
}

func TestAllKindsAreThereAndOthersSaySo(t *testing.T) {
	n := newNode(t, stack.Config{})
	for kind := irm.Local; kind <= irm.UDP6; kind++ {
		if _, err := n.CreateIPCP(t.Context(), "a "+kind.String(), kind); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.CreateIPCP(t.Context(), "x", irm.UDP6+1); !errors.Is(err, ouroboros.ErrIPCPType) {
		t.Error(err)
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	n := newNode(t, stack.Config{})
	l := listen(t, n, "busy")
	server := client(t, n, "waiting server")
	c := client(t, n, "client")
	f, _ := connect(t, c, l)
	waits := map[string]func() error{
		"accept":   func() error { _, err := server.Accept(context.Background()); return err },
		"listener": func() error { _, err := l.AcceptFlow(context.Background()); return err },
		"read":     func() error { _, err := f.Read(make([]byte, 10)); return err },
	}
	var wg sync.WaitGroup
	for what, wait := range waits {
		wg.Go(func() {
			if err := wait(); err == nil {
				t.Errorf("%s ended well", what)
			}
		})
	}
	for accepting := 0; accepting < 2; {
		ps, err := n.ListProcesses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		accepting = 0
		for _, p := range ps {
			accepting += p.Accepts
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := n.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := n.Client("late"); !errors.Is(err, ouroboros.ErrIRMd) {
		t.Errorf("a client after the end: %v", err)
	}
	if _, err := c.Alloc(t.Context(), "busy", nil); err == nil {
		t.Error("an allocation after the end")
	}
}

func TestAClientThatClosesLeavesTheNode(t *testing.T) {
	n := newNode(t, stack.Config{})
	l := listen(t, n, "service")
	c := client(t, n, "client")
	f, s := connect(t, c, l)
	f.Write([]byte("last words"))
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 100)
	if k, err := s.Read(buf); err != nil || string(buf[:k]) != "last words" {
		t.Errorf("read %q: %v", buf[:k], err)
	}
	if _, err := s.Read(buf); !errors.Is(err, ouroboros.ErrFlowDown) {
		t.Errorf("read after the end: %v", err)
	}
	s.Close()
	if ps, err := n.ListProcesses(t.Context()); err != nil || len(ps) != 1 {
		t.Errorf("%d processes: %v", len(ps), err)
	}
	if fs, err := n.ListFlows(t.Context()); err != nil || len(fs) != 0 {
		t.Errorf("%d flows: %v", len(fs), err)
	}
}

func TestAStateFileOutlivesTheNode(t *testing.T) {
	cfg := stack.Config{StateFile: filepath.Join(t.TempDir(), "state.json")}
	ctx := t.Context()
	n := newNode(t, cfg)
	pid, err := n.CreateIPCP(ctx, "l1", irm.Local)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.BootstrapIPCP(ctx, pid, irm.NewConfig(irm.Local, "home")); err != nil {
		t.Fatal(err)
	}
	if err := n.CreateName(ctx, irm.NameInfo{Name: "kept"}); err != nil {
		t.Fatal(err)
	}
	if err := n.RegName(ctx, "kept", pid); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := newNode(t, cfg)
	names, err := again.ListNames(ctx)
	if err != nil || len(names) != 1 || names[0].Name != "kept" || len(names[0].Registrations) != 1 {
		t.Errorf("%+v: %v", names, err)
	}
	if ps, err := again.ListIPCPs(ctx); err != nil || len(ps) != 1 || ps[0].PID != pid || ps[0].State != "operational" {
		t.Errorf("%+v: %v", ps, err)
	}
}

func TestAStreamEndsAfterItsLastByte(t *testing.T) {
	n := newNode(t, stack.Config{})
	l := listen(t, n, "stream")
	sent := strings.Repeat("0123456789", 500_000)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, sent)
	})
	c, err := client(t, n, "client").DialContext(t.Context(), "", "stream:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	got, err := io.ReadAll(c)
	if err != nil || string(got) != sent {
		t.Errorf("%d bytes of %d: %v", len(got), len(sent), err)
	}
}

// net/http and gRPC go on serving after a temporary error of their listener.
func TestAServerAtItsLimitAcceptsAgainWhenThereIsRoom(t *testing.T) {
	n := newNode(t, stack.Config{Limits: stack.Limits{FlowsPerProcess: 1}})
	l := listen(t, n, "full")
	f, s := connect(t, client(t, n, "client"), l)
	_, err := l.Accept()
	var ne net.Error
	if !errors.Is(err, ouroboros.ErrLimit) || !errors.As(err, &ne) || !ne.Temporary() || ne.Timeout() {
		t.Fatalf("at the limit: %v", err)
	}
	f.Close()
	s.Close()
	_, s = connect(t, client(t, n, "another"), l)
	s.Close()
}
