// Package tooltest runs the tools of a test in one program, as processes of
// one node.
package tooltest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/console"
	"ouroboros/irm"
	"ouroboros/stack"
)

// Host is a node with nothing on it.
type Host struct{ node *stack.Node }

// New makes a Host that is closed with the test. A server may take its time to
// accept: machines that run tests are busy.
func New(t testing.TB) *Host {
	t.Helper()
	node, err := stack.New(stack.Config{RequestWait: time.Minute, AllocTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Host{node}
}

// Layer makes a layer that needs no other host, of an IPCP of its name.
func (h *Host) Layer(t testing.TB, cfg *irm.Config) {
	t.Helper()
	pid, err := h.node.CreateIPCP(t.Context(), cfg.Layer, cfg.Type)
	if err == nil {
		_, err = h.node.BootstrapIPCP(t.Context(), pid, cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Process is a process that is bound to a name, or to none if it is empty. It
// is closed with the Host.
func (h *Host) Process(t testing.TB, name string) *ouroboros.Client {
	t.Helper()
	c, err := h.node.Client("process of " + t.Name())
	if err != nil {
		t.Fatal(err)
	}
	if name != "" {
		l, err := c.Listen(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		l.Close() // the binding stays
	}
	return c
}

// Run is a tool that runs.
type Run struct {
	Stdout, Stderr Text
	stop           context.CancelFunc
	done           chan struct{}
	code           int
}

// Start runs a tool as a process that is bound to a name, or to none.
func (h *Host) Start(t testing.TB, tool console.Tool, name string, words ...string) *Run {
	t.Helper()
	return h.StartAs(t, tool, h.Process(t, name), words...)
}

// StartAs runs a tool as a process, which it closes.
func (h *Host) StartAs(t testing.TB, tool console.Tool, process *ouroboros.Client, words ...string) *Run {
	ctx, stop := context.WithCancel(context.Background())
	r := &Run{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.code = tool(ctx, words, console.Env{
			Stdout: &r.Stdout,
			Stderr: &r.Stderr,
			Open:   func() (*ouroboros.Client, error) { return process, nil },
		})
	}()
	t.Cleanup(func() {
		stop()
		<-r.done
		if t.Failed() {
			t.Logf("%s %s\nstdout:\n%s\nstderr:\n%s", name(words), strings.Join(words, " "), r.Stdout.String(), r.Stderr.String())
		}
	})
	return r
}

func name(words []string) string {
	for _, w := range words {
		if w == "-l" {
			return "server:"
		}
	}
	return "client:"
}

// Stop is Ctrl-C.
func (r *Run) Stop() { r.stop() }

// Wait waits for the end, and gives the exit code.
func (r *Run) Wait() int {
	<-r.done
	return r.code
}

// Ended reports whether the tool has returned.
func (r *Run) Ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Text is what a tool writes.
type Text struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	change chan struct{} // closed at the next write
}

func (x *Text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.change != nil {
		close(x.change)
		x.change = nil
	}
	return x.buf.Write(p)
}

func (x *Text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

// Await waits until the text contains a part.
func (x *Text) Await(t testing.TB, part string) {
	t.Helper()
	x.AwaitCount(t, part, 1)
}

// AwaitCount waits until the text contains a part n times.
func (x *Text) AwaitCount(t testing.TB, part string, n int) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		x.mu.Lock()
		if strings.Count(x.buf.String(), part) >= n {
			x.mu.Unlock()
			return
		}
		if x.change == nil {
			x.change = make(chan struct{})
		}
		change := x.change
		x.mu.Unlock()
		select {
		case <-change:
		case <-limit:
			t.Fatalf("%q did not come %d times in:\n%s", part, n, x.String())
		}
	}
}
