// Package cli carries out the command lines of irm(1) on an irm.Service.
//
//	words ──► grammar.Parse ──► Command ──► operation ──► irm.Service
//	                │                           │
//	                ▼                           ▼
//	          standard error             standard output
//
// Tables, JSON and help that was asked for go to standard output; what went
// wrong, and what to do next, goes to standard error. The exit code is 0 when
// everything was done, 1 when something was not, 255 for irm without words.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

// Service is a node's management that can be let go.
type Service interface {
	irm.Service
	Close() error
}

// Env is where a command runs.
type Env struct {
	Stdout, Stderr io.Writer
	Version        string
	// Dial reaches the daemon in a runtime directory; empty means the one of
	// this user, else the system's.
	Dial func(ctx context.Context, dir string) (Service, error)
}

// Run carries out the words after "irm" and gives the exit code. A ctx that
// ends stops what is under way.
func Run(ctx context.Context, args []string, env Env) int {
	cmd, err := grammar.Parse(grammar.IRM(), args)
	if err != nil {
		return env.misunderstood(err)
	}
	c := &call{Command: cmd, env: env}
	err = c.run(ctx)
	c.close()
	if err != nil {
		if ctx.Err() != nil {
			// A request that was sent is not taken back.
			err = errors.New("given up; what was asked for may have been done all the same")
		}
		env.report(err)
		return grammar.CodeFailure
	}
	return 0
}

// call is a command under way.
type call struct {
	*grammar.Command
	env   Env
	svc   Service
	still *reminder // tells that the daemon takes long; nil when nobody waits

	warning sync.Mutex // held while writing a warning
}

// operations by the path of their node.
var operations = map[string]func(*call, context.Context) error{
	"ipcp create":     (*call).createIPCP,
	"ipcp destroy":    (*call).destroyIPCP,
	"ipcp bootstrap":  (*call).bootstrapIPCP,
	"ipcp enroll":     (*call).enrollIPCP,
	"ipcp connect":    (*call).connectIPCP,
	"ipcp disconnect": (*call).disconnectIPCP,
	"ipcp list":       (*call).listIPCPs,
	"ipcp show":       (*call).showIPCP,
	"bind program":    (*call).bindProgram,
	"bind process":    (*call).bindProcess,
	"bind ipcp":       (*call).bindIPCP,
	"unbind program":  (*call).unbindProgram,
	"unbind process":  (*call).unbindProcess,
	"unbind ipcp":     (*call).unbindIPCP,
	"name create":     (*call).createName,
	"name set":        (*call).setName,
	"name destroy":    (*call).destroyName,
	"name register":   (*call).registerName,
	"name unregister": (*call).unregisterName,
	"name list":       (*call).listNames,
	"name show":       (*call).showName,
	"flow list":       (*call).listFlows,
	"process list":    (*call).listProcesses,
	"program list":    (*call).listPrograms,
	"status":          (*call).status,
	"watch":           (*call).watch,
	"completion":      (*call).completion,
	"layer list":      (*call).listLayers,
	"layer graph":     (*call).graphLayer,
	"cert ca":         (*call).certAuthority,
	"cert issue":      (*call).certIssue,
	"cert trust":      (*call).certTrust,
	"cert encrypt":    (*call).certEncrypt,
	"cert kem":        (*call).certKEM,
	"cert show":       (*call).certShow,
	"cert check":      (*call).certCheck,
	"cert revoke":     (*call).certRevoke,
	"cert list":       (*call).certList,

	grammar.CompleteWord: (*call).complete,
}

func (c *call) run(ctx context.Context) error {
	switch {
	case c.Options.Version:
		if c.Options.JSON {
			return c.json(map[string]string{"version": c.env.Version})
		}
		return c.printf("Ouroboros version %s\n", c.env.Version)
	case c.Options.Man:
		return grammar.IRM().WriteMan(c.env.Stdout, c.env.Version)
	case c.Options.Help:
		return c.Node.WriteHelp(c.env.Stdout)
	}
	return operations[c.Node.Path()](c, ctx)
}

// service reaches the daemon at first use.
func (c *call) service(ctx context.Context) (Service, error) {
	if c.svc == nil {
		if c.still == nil && c.Node.Path() != grammar.CompleteWord && c.Node.Path() != "watch" {
			c.still = remind(patience, func() {
				c.warn("the daemon has not answered yet; Ctrl-C gives up")
			})
		}
		svc, err := c.env.Dial(ctx, c.Options.Dir)
		if err != nil {
			return nil, err
		}
		c.svc = svc
	}
	return c.svc, nil
}

// close ends what the command began. Nothing is written after it but what the
// caller writes.
func (c *call) close() {
	c.still.stop()
	if c.svc != nil {
		c.svc.Close()
	}
}

func (c *call) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(c.env.Stdout, format, args...)
	return err
}

// warn tells of something that does not stop the command.
func (c *call) warn(format string, args ...any) {
	c.warning.Lock()
	defer c.warning.Unlock()
	fmt.Fprintf(c.env.Stderr, "irm: warning: %s\n", printable(fmt.Sprintf(format, args...)))
}

// report writes an error, each part of a joined one on a line of its own.
func (env Env) report(err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			env.report(e)
		}
		return
	}
	fmt.Fprintf(env.Stderr, "irm: %s\n", printable(err.Error()))
}

// misunderstood writes what is wrong with a command line.
func (env Env) misunderstood(err error) int {
	var e *grammar.Error
	if !errors.As(err, &e) {
		env.report(err)
		return grammar.CodeFailure
	}
	if e.Cause != "" {
		env.report(e)
	}
	if e.Usage {
		e.Node.WriteUsage(env.Stderr)
		return e.Code
	}
	fmt.Fprintf(env.Stderr, "See: %s --help\n", e.Node.Line())
	return e.Code
}

// invalid is an error of values that do not fit together.
func invalid(format string, args ...any) *errno.Detail {
	return errno.New(errno.Invalid, format, args...)
}
