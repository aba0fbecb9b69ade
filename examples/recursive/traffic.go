package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros"
	"ouroboros/qos"
)

// perSecond is the number of messages that the client sends.
const perSecond = 200

// lookOping finds the tool as an absolute path.
func lookOping() (string, error) {
	p, err := exec.LookPath("oping")
	if err != nil {
		return "", err
	}
	return filepath.Abs(p)
}

// traffic is a client at a that sends to an echo at c.
type traffic struct {
	f             *ouroboros.Flow
	sent, back    atomic.Uint64
	rtt           atomic.Int64 // sum since the last look, ns
	seen          atomic.Uint64
	last, longest atomic.Int64 // arrival of the last answer; longest pause, ns
	cancel        context.CancelFunc
	work          sync.WaitGroup
	once          sync.Once
	failed        atomic.Pointer[error]
}

// startTraffic serves "echo" at c in layer top and calls it from a. The flow is
// raw: what the network loses is lost.
func (w *world) startTraffic(ctx context.Context) (*traffic, error) {
	server, err := w.client("c", "echo")
	if err != nil {
		return nil, err
	}
	l, err := server.Listen(ctx, "echo")
	if err != nil {
		return nil, err
	}
	if err := w.node("c").register(ctx, "echo", "top"); err != nil {
		return nil, err
	}
	go func() {
		for {
			f, err := l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			go echo(f)
		}
	}()
	client, err := w.client("a", "client")
	if err != nil {
		return nil, err
	}
	spec := qos.Raw
	f, err := client.Alloc(ctx, "echo", &spec)
	if err != nil {
		return nil, err
	}
	t := &traffic{f: f}
	ctx, t.cancel = context.WithCancel(ctx)
	t.work.Go(func() { t.send(ctx) })
	t.work.Go(t.receive)
	return t, nil
}

func echo(f *ouroboros.Flow) {
	defer f.Close()
	buf := make([]byte, 2048)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		if _, err := f.Write(buf[:n]); err != nil {
			return
		}
	}
}

// send writes messages that hold the time.
func (t *traffic) send(ctx context.Context) {
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		b := make([]byte, 64)
		binary.BigEndian.PutUint64(b, uint64(time.Now().UnixNano()))
		if _, err := t.f.Write(b); err != nil {
			t.failed.CompareAndSwap(nil, &err)
			return
		}
		t.sent.Add(1)
	}
}

func (t *traffic) receive() {
	buf := make([]byte, 2048)
	for {
		n, err := t.f.Read(buf)
		if err != nil {
			return
		}
		if n < 8 {
			continue
		}
		now := time.Now().UnixNano()
		t.rtt.Add(now - int64(binary.BigEndian.Uint64(buf)))
		t.seen.Add(1)
		t.back.Add(1)
		if last := t.last.Swap(now); last != 0 && now-last > t.longest.Load() {
			t.longest.Store(now - last)
		}
	}
}

// watch prints what happens, in three lines.
func (t *traffic) watch(ctx context.Context, out io.Writer, w *world, each time.Duration) error {
	for range 3 {
		before, sum, seen := t.sent.Load(), t.rtt.Swap(0), t.seen.Swap(0)
		select {
		case <-time.After(each / 3):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := t.failed.Load(); err != nil {
			return *err
		}
		path, err := w.path(ctx)
		if err != nil {
			return err
		}
		sum, seen = t.rtt.Load(), t.seen.Load()
		mean := "-"
		if seen > 0 {
			mean = time.Duration(sum / int64(seen)).Round(time.Microsecond).String()
		}
		fmt.Fprintf(out, "  %4d sent, %4d answered, round trip %8s    net: %s\n", t.sent.Load()-before, seen, mean, path)
	}
	return nil
}

// stop ends the traffic when what is on the way has come.
func (t *traffic) stop() error {
	t.once.Do(func() {
		t.cancel()
		for range 20 {
			if t.back.Load() == t.sent.Load() {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.f.Close()
		t.work.Wait()
	})
	if t.back.Load() == 0 {
		return fmt.Errorf("no answer came")
	}
	return nil
}

// chat lets a, b and c join the broadcast layer; c says something.
func (w *world) chat(ctx context.Context, out io.Writer) error {
	flows := map[string]*ouroboros.Flow{}
	for _, at := range []string{"a", "b", "c"} {
		c, err := w.client(at, "chat")
		if err != nil {
			return err
		}
		if flows[at], err = c.Join(ctx, "chat"); err != nil {
			return err
		}
	}
	const word = "hello from c"
	if _, err := flows["c"].Write([]byte(word)); err != nil {
		return err
	}
	for _, at := range []string{"a", "b"} {
		f := flows[at]
		buf := make([]byte, 100)
		f.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := f.Read(buf)
		if err != nil {
			return fmt.Errorf("%s hears nothing: %w", at, err)
		}
		fmt.Fprintf(out, "  %s hears %q\n", at, buf[:n])
		f.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := f.Read(buf); err == nil {
			return fmt.Errorf("%s hears %q once more", at, buf[:n])
		}
	}
	return nil
}
