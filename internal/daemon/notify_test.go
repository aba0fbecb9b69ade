package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// manager listens as a service manager does.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(patience))
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestTheManagerIsToldOnPathAndAbstractSockets(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@ouroboros-test-%d", os.Getpid())} {
		c := manager(t, name)
		t.Setenv("NOTIFY_SOCKET", name)
		n := newNotifier(slog.New(slog.DiscardHandler))
		if os.Getenv("NOTIFY_SOCKET") != "" {
			t.Error("children could speak for the daemon")
		}
		n.tell("READY=1")
		if got := heard(t, c); got != "READY=1" {
			t.Errorf("%s: heard %q", name, got)
		}
	}
}

func TestSignsOfLifeStopWhenTheNodeIsIll(t *testing.T) {
	c := manager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("NOTIFY_SOCKET", c.LocalAddr().String())
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	n := newNotifier(slog.New(slog.DiscardHandler))
	if n.every != 10*time.Millisecond {
		t.Fatalf("every %v", n.every)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ill := make(chan struct{})
	checks := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.watch(ctx, func(context.Context) error {
			checks++
			if checks == 4 {
				close(ill)
			}
			if checks > 3 {
				return errors.New("ill")
			}
			return nil
		})
	}()
	for range 3 {
		if got := heard(t, c); got != "WATCHDOG=1" {
			t.Errorf("heard %q", got)
		}
	}
	<-ill
	cancel()
	<-done
	n.tell("STOPPING=1")
	if got := heard(t, c); got != "STOPPING=1" {
		t.Errorf("an ill node says %q", got)
	}
}

func TestSignsOfLifeOfAnotherProcessAreNotOurs(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", "1")
	if n := newNotifier(nil); n.every != 0 {
		t.Errorf("every %v", n.every)
	}
}

func TestNoManagerIsFine(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := newNotifier(slog.New(slog.DiscardHandler))
	n.tell("READY=1")
	n.watch(t.Context(), func(context.Context) error { t.Error("asked"); return nil })
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	newNotifier(slog.New(slog.DiscardHandler)).tell("READY=1")
}
