// Command embedded runs a whole node inside one program: two goroutines talk
// through a name, with no daemon, no socket and no privileges.
//
//	go run ./examples/embedded
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"ouroboros"
	"ouroboros/qos"
	"ouroboros/stack"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	node, err := stack.New(stack.Config{})
	if err != nil {
		return err
	}
	defer node.Close()

	// Each client is an identity of its own on the node. Listen binds the
	// server to the name, so that flows to the name reach it.
	server, err := node.Client("server")
	if err != nil {
		return err
	}
	listener, err := server.Listen(ctx, "shouter")
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer listener.Close()
	serving.Go(func() { serve(ctx, listener) })

	client, err := node.Client("client")
	if err != nil {
		return err
	}
	// A flow is asked for by name and by what it is to be like.
	f, err := client.Alloc(ctx, "shouter", &qos.Data)
	if err != nil {
		return err
	}
	defer f.Close()

	buf := make([]byte, 1500)
	for _, word := range []string{"hello", "is anybody there?", "goodbye"} {
		// One Write is one message, and one Read gives one.
		if _, err := f.Write([]byte(word)); err != nil {
			return err
		}
		n, err := f.Read(buf)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s -> %s\n", word, buf[:n])
	}

	// The node can be asked about itself as a daemon can.
	processes, err := node.ListProcesses(ctx)
	if err != nil {
		return err
	}
	for _, p := range processes {
		fmt.Fprintf(out, "%s has pid %d and %d flow\n", p.Program, p.PID, p.Flows)
	}
	return nil
}

// serve answers each message in capitals, until the listener is closed.
func serve(ctx context.Context, l *ouroboros.Listener) {
	for {
		f, err := l.AcceptFlow(ctx)
		if err != nil {
			return
		}
		buf := make([]byte, 1500)
		for {
			n, err := f.Read(buf)
			if err != nil { // the client has deallocated
				break
			}
			if _, err := f.Write(shout(buf[:n])); err != nil {
				break
			}
		}
		f.Close()
	}
}

func shout(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		out[i] = c
	}
	return out
}
