// Command greeter is a server and a client over the running daemon, in the
// fewest lines.
//
//	go run ./examples/greeter -serve &
//	go run ./examples/greeter
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"ouroboros"
)

func main() {
	server := flag.Bool("serve", false, "serve the name greeter instead of asking it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := ask
	if *server {
		run = serve
	}
	if err := run(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "greeter:", err)
		os.Exit(1)
	}
}

// serve binds this process to the name and answers one message a flow.
func serve(ctx context.Context) error {
	l, err := ouroboros.Listen(ctx, "greeter")
	if err != nil {
		return err
	}
	defer l.Close()
	for {
		f, err := l.AcceptFlow(ctx)
		if err != nil {
			return err
		}
		go func() {
			defer f.Close()
			f.SetReadTimeout(5 * time.Second)
			who := make([]byte, 256)
			if n, err := f.Read(who); err == nil {
				fmt.Fprintf(f, "hello, %s", who[:n])
			}
		}()
	}
}

func ask(ctx context.Context) error {
	f, err := ouroboros.Alloc(ctx, "greeter", nil)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write([]byte("you")); err != nil {
		return err
	}
	answer := make([]byte, 256)
	n, err := f.Read(answer)
	if err != nil {
		return err
	}
	fmt.Println(string(answer[:n]))
	return nil
}
