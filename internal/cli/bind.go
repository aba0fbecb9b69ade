package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"

	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

// maxPID is the highest process id that Linux gives; IPCPs have higher ones.
const maxPID = 1 << 22

func (c *call) bindProgram(ctx context.Context) error {
	path, err := findProgram(c.Value("program"))
	if err != nil {
		return err
	}
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	return svc.BindProgram(ctx, irm.ProgramBinding{
		Program: path, Args: c.Args, Name: c.Value("name"), Auto: c.Has("auto"),
	})
}

// unbindProgram takes a path as well as a base name; a path with a directory
// is made absolute, as bind program does.
func (c *call) unbindProgram(ctx context.Context) error {
	prog := c.Value("program")
	if strings.Contains(prog, "/") {
		if full, err := filepath.Abs(prog); err == nil {
			prog = full
		}
	}
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	return svc.UnbindProgram(ctx, prog, c.Value("name"))
}

func (c *call) bindProcess(ctx context.Context) error {
	pid := int(grammar.Number(c.Value("process")))
	if pid <= maxPID && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return errno.New(errno.Invalid, "there is no process %d", pid).Next("see: irm process list")
	}
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	return svc.BindProcess(ctx, pid, c.Value("name"))
}

func (c *call) unbindProcess(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	return svc.UnbindProcess(ctx, int(grammar.Number(c.Value("process"))), c.Value("name"))
}

func (c *call) bindIPCP(ctx context.Context) error {
	return c.eachIPCP(ctx, func(pid int) error { return c.svc.BindProcess(ctx, pid, c.Value("name")) })
}

func (c *call) unbindIPCP(ctx context.Context) error {
	return c.eachIPCP(ctx, func(pid int) error { return c.svc.UnbindProcess(ctx, pid, c.Value("name")) })
}

func (c *call) eachIPCP(ctx context.Context, f func(pid int) error) error {
	found, err := c.chosen(ctx, c.Value("ipcp"))
	if err != nil {
		return err
	}
	var failed []error
	for _, i := range found {
		failed = append(failed, f(i.PID))
	}
	return errors.Join(failed...)
}
