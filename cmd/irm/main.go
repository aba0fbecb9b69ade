// Command irm manages an Ouroboros node: its IPC processes, the names of its
// services, and what is bound to them. irm help says more.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"ouroboros"
	"ouroboros/internal/cli"
	"ouroboros/irm"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, os.Args[1:], cli.Env{
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Version: ouroboros.Version,
		Dial: func(ctx context.Context, dir string) (cli.Service, error) {
			c, err := irm.DialContext(ctx, dir)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
	})
}
