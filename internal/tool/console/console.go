// Package console is what all tools do alike between the shell and their own
// work: options, signals, output, and how failures are told.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ouroboros"
	"ouroboros/internal/tool/args"
)

// FirstFD is the number that the tools show for their first flow. Flows are
// numbered by the process, as in the C interface, which keeps the numbers
// below for others.
const FirstFD = 64

// Env is what surrounds a tool.
type Env struct {
	Stdout, Stderr io.Writer

	// Open connects to the node when the options are known to be good. The
	// tool closes the client.
	Open func() (*ouroboros.Client, error)
}

// Tool is the whole of a tool: it returns its exit code when it is done or
// ctx has ended.
type Tool func(ctx context.Context, words []string, env Env) int

// Main runs a tool in this process, and exits. SIGINT, SIGTERM and SIGHUP end
// its context; a second one ends the process at once.
func Main(tool Tool) {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop)
	// A reader of our output that goes away is an error of Write, not an end
	// without statistics.
	signal.Ignore(syscall.SIGPIPE)
	stdout := &Sink{W: os.Stdout}
	env := Env{
		Stdout: stdout,
		Stderr: os.Stderr,
		Open:   func() (*ouroboros.Client, error) { return ouroboros.Open("") },
	}
	code := tool(ctx, os.Args[1:], env)
	if err := stdout.Err(); err != nil {
		env.Fail("Could not write all of the output.", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Parse reads the options. With ok false the tool is done: code 0 after the
// help or version, 1 after a mistake.
func (e Env) Parse(name string, set *args.Set, words []string) (code int, ok bool) {
	switch err := set.Parse(words); {
	case err == nil:
		return 0, true
	case errors.Is(err, args.ErrHelp):
		set.Usage(e.Stdout)
		return 0, false
	case errors.Is(err, args.ErrVersion):
		fmt.Fprintf(e.Stdout, "%s %s\n", name, ouroboros.Version)
		return 0, false
	default:
		return e.Mistake(set, err), false
	}
}

// Mistake tells a mistake in the command line, and gives the exit code 1.
func (e Env) Mistake(set *args.Set, err error) int {
	set.WriteMistake(e.Stderr, err)
	return 1
}

// Connect opens the client of the node. With a nil Client the failure has
// been told, and the exit code is 1.
func (e Env) Connect() *ouroboros.Client {
	c, err := e.Open()
	if err != nil {
		e.Fail("Could not reach the IRM daemon.", err)
		return nil
	}
	return c
}

// Ended tells why a server has lost its node, and gives its exit code. A
// server ends with its daemon: that is an end as good as any, and no failure of
// the server.
func (e Env) Ended(err error) int {
	if errors.Is(err, ouroboros.ErrIRMd) {
		e.Fail("The IRM daemon has ended, and the server with it.", nil)
		return 0
	}
	e.Fail("The server ends.", err)
	return 1
}

// Fail tells on the error output what failed and why.
func (e Env) Fail(what string, err error) {
	if err == nil {
		fmt.Fprintf(e.Stderr, "%s\n", what)
		return
	}
	fmt.Fprintf(e.Stderr, "%s\n  %v\n", what, err)
}
