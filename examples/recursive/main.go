// Command recursive builds a recursive network inside one program: three nodes,
// a UDP layer for each cable between them, a unicast layer that routes over the
// cables, another on top of it, and a broadcast layer. A service at one end talks
// to a client at the other while a cable is cut. No daemon, no privileges.
//
//	go run ./examples/recursive          the whole show, then it stops
//	go run ./examples/recursive -stay    then a shell in which the nodes live on
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"ouroboros/irm"
)

func main() {
	stay := flag.Bool("stay", false, "go on with a shell in which irm and the tools find the nodes")
	each := flag.Duration("time", 3*time.Second, "how long traffic flows before the cut, and after it")
	flag.Parse()
	if flag.NArg() > 0 || *each < 100*time.Millisecond {
		fmt.Fprintln(os.Stderr, "recursive: it takes -stay and -time DURATION (100ms or more); try: recursive -help")
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Stdout, *each, *stay)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "recursive:", err)
		os.Exit(1)
	}
}

// run is the show.
func run(ctx context.Context, out io.Writer, each time.Duration, stay bool) error {
	say := func(format string, args ...any) { fmt.Fprintf(out, "\n"+format+"\n", args...) }
	dir, err := os.MkdirTemp("", "recursive-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	begin := time.Now()
	w, err := newWorld(dir)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.build(ctx); err != nil {
		return err
	}
	say("Three nodes, %d layers, built in %v:", len(w.cables)+3, time.Since(begin).Round(time.Millisecond))
	io.WriteString(out, picture)

	say("A service at c, a client at a, in layer top; %d messages a second there and back:", perSecond)
	t, err := w.startTraffic(ctx)
	if err != nil {
		return err
	}
	defer t.stop()
	if err := t.watch(ctx, out, w, each); err != nil {
		return err
	}
	say("The cable between a and c is cut:")
	if err := w.cut(ctx); err != nil {
		return err
	}
	io.WriteString(out, pictureCut)
	if err := t.watch(ctx, out, w, each); err != nil {
		return err
	}
	if err := t.stop(); err != nil {
		return err
	}
	fmt.Fprintf(out, "  %d messages came back of %d, all through the cut; the longest pause was %v\n",
		t.back.Load(), t.sent.Load(), time.Duration(t.longest.Load()).Round(100*time.Microsecond))

	say("The broadcast layer chat, a triangle: everybody hears c, and hears it once:")
	if err := w.chat(ctx, out); err != nil {
		return err
	}
	if !stay {
		say("That was all of it: %v. Nothing stays behind.", time.Since(begin).Round(100*time.Millisecond))
		return nil
	}
	return w.shell(ctx, out)
}

const picture = `
   service, client      a ═══════════════════════ c
                        │                         │
   top   (unicast)      a ─────────────────────── c      on net
                        │                         │
   net   (unicast)      a ────────── b ────────── c      on three cables
                        └─────────────────────────┘
   cables (UDP)           ab          bc      ac         127.0.0.1, .2 and .3
`

const pictureCut = `
   net   (unicast)      a ────────── b ────────── c
                        └──────── ✂ ──────────────┘
`

// shell lets the nodes live on behind the sockets of daemons.
func (w *world) shell(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, len(w.nodes))
	for _, n := range w.nodes {
		go func() { ended <- n.Serve(ctx, filepath.Join(w.dir, n.name), nil) }()
	}
	defer func() {
		cancel()
		for range w.nodes {
			<-ended
		}
	}()
	if _, err := awaitSocket(ctx, filepath.Join(w.dir, "a")); err != nil {
		return err
	}
	fmt.Fprintf(out, `
The nodes live on. This shell finds node a; "exit" stops all.

  irm ipcp list                     the layers of a
  irm layer graph net               who is connected with whom in net
  irm ipcp show net-a               routes, directory, flows, counters
  oping -n ping -c 3                node c serves it, in layer top
  OUROBOROS_RUNTIME_DIR=%s irm ipcp list     the same for node b

`, filepath.Join(w.dir, "b"))
	if err := w.serveOping(ctx); err != nil {
		return err
	}
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "bash"
	}
	cmd := exec.CommandContext(ctx, shell)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "OUROBOROS_RUNTIME_DIR="+filepath.Join(w.dir, "a"))
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) { // its last command failed: nothing of ours
		err = nil
	}
	return err
}

// awaitSocket waits until a node answers there.
func awaitSocket(ctx context.Context, dir string) (st irm.Status, err error) {
	for {
		c, err := irm.DialContext(ctx, dir)
		if err == nil {
			st, err = c.Status(ctx)
			c.Close()
			if err == nil {
				return st, nil
			}
		}
		select {
		case <-ctx.Done():
			return st, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
