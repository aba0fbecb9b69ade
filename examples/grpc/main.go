// Command grpc runs gRPC over Ouroboros: grpc-go's own health service, as it
// is, behind a listener and a dialer of package ouroboros.
//
//	go run ./examples/grpc -embedded               # both ends, no daemon
//
//	go run ./examples/grpc -serve health           # over the running daemon
//	go run ./examples/grpc health
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

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
	flags := flag.NewFlagSet("grpc", flag.ContinueOnError)
	flags.SetOutput(out)
	embedded := flags.Bool("embedded", false, "serve and call in this program, without a daemon")
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
		return call(ctx, ouroboros.DialContext, flags.Arg(0), out)
	}
	return errors.New("nothing to do; see: grpc -help")
}

// runEmbedded has both ends in one program.
func runEmbedded(ctx context.Context, out io.Writer) error {
	node, err := stack.New(stack.Config{})
	if err != nil {
		return err
	}
	defer node.Close()
	server, err := node.Client("server")
	if err != nil {
		return err
	}
	l, err := server.Listen(ctx, "health")
	if err != nil {
		return err
	}
	client, err := node.Client("client")
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l) }()
	err = call(ctx, client.DialContext, "health", out)
	cancel()
	return errors.Join(err, <-served)
}

// serve answers calls until ctx ends.
func serve(ctx context.Context, l net.Listener) error {
	s := grpc.NewServer()
	checks := health.NewServer() // grpc-go's own
	checks.SetServingStatus("example", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(s, checks)
	defer context.AfterFunc(ctx, s.Stop)()
	if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// dialer is the DialContext of net.Dialer, of package ouroboros and of its
// clients.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// call asks the server under a name whether it is well. The passthrough
// resolver hands the name to the dialer as it is.
func call(ctx context.Context, dial dialer, name string, out io.Writer) error {
	conn, err := grpc.NewClient("passthrough:///"+name,
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return dial(ctx, "ouroboros", addr)
		}),
		// Who may be talked to is for the layer to say.
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: "example"})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%q at %q is %v\n", "example", name, answer.Status)
	return nil
}
