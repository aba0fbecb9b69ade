package daemon

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// notifier tells the service manager how the daemon is, in the protocol of
// sd_notify: a datagram to the socket that $NOTIFY_SOCKET names. "@" at its
// begin stands for the zero byte of an abstract socket. Without a manager it
// does nothing.
type notifier struct {
	addr  *net.UnixAddr // nil: nobody wants to know
	every time.Duration // between signs of life; 0 = none are expected
	log   *slog.Logger
}

// newNotifier reads the environment and clears it: programs that the daemon
// starts must not speak for it.
func newNotifier(log *slog.Logger) *notifier {
	n := &notifier{log: log}
	path := os.Getenv("NOTIFY_SOCKET")
	if len(path) > 1 && (path[0] == '/' || path[0] == '@') {
		n.addr = &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if err == nil && us > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.every = time.Duration(us) * time.Microsecond / 3
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	return n
}

// tell sends one state. That the manager does not listen is no reason to
// stop, so errors are only logged.
func (n *notifier) tell(state string) {
	if n.addr == nil {
		return
	}
	c, err := net.DialUnix("unixgram", nil, n.addr)
	if err == nil {
		_, err = c.Write([]byte(state))
		c.Close()
	}
	if err != nil {
		n.log.Debug("cannot notify the service manager", "err", err)
	}
}

// watch tells the manager that the daemon lives, as long as healthy says so
// in time, until ctx ends.
func (n *notifier) watch(ctx context.Context, healthy func(context.Context) error) {
	if n.addr == nil || n.every == 0 {
		return
	}
	t := time.NewTicker(n.every)
	defer t.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, n.every)
		err := healthy(try)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			n.tell("WATCHDOG=1")
		default:
			n.log.Error("the node does not answer", "err", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
