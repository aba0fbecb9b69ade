// Command http serves and fetches web pages over Ouroboros. The handlers and
// the client are those of net/http, unchanged: only the listener and the
// dialer are others. A name stands where a host name stands otherwise.
//
//	go run ./examples/http -embedded               # both ends, no daemon
//
//	go run ./examples/http -serve web              # over the running daemon
//	go run ./examples/http http://web/hello
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"

	"ouroboros"
	"ouroboros/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	flags.SetOutput(out)
	embedded := flags.Bool("embedded", false, "serve and fetch in this program, without a daemon")
	name := flags.String("serve", "", "serve under this `name` until interrupted")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	switch {
	case *embedded:
		return runEmbedded(ctx, out)
	case *name != "":
		l, err := ouroboros.Listen(ctx, *name)
		if err != nil {
			return err
		}
		return serve(ctx, l)
	case flags.NArg() == 1:
		return fetch(ctx, ouroboros.DialContext, flags.Arg(0), out)
	}
	return errors.New("nothing to do; see: http -help")
}

// runEmbedded has both ends in one program.
func runEmbedded(ctx context.Context, out io.Writer) error {
	node, err := stack.New(stack.Config{})
	if err != nil {
		return err
	}
	defer node.Close()
	server, err := node.Client("web server")
	if err != nil {
		return err
	}
	l, err := server.Listen(ctx, "web")
	if err != nil {
		return err
	}
	browser, err := node.Client("browser")
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l) }()
	err = fetch(ctx, browser.DialContext, "http://web/hello", out)
	cancel()
	return errors.Join(err, <-served)
}

// serve answers requests until ctx ends.
func serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello over %s, you asked %s for %s\n", l.Addr().Network(), r.Host, r.URL.Path)
	})
	s := &http.Server{Handler: mux}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// dialer is the DialContext of net.Dialer, of package ouroboros and of its
// clients.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// fetch prints what a URL gives. The transport keeps the flow for the next
// request, as it keeps connections.
func fetch(ctx context.Context, dial dialer, url string, out io.Writer) error {
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Fprintln(out, resp.Status)
	_, err = io.Copy(out, resp.Body)
	return err
}
