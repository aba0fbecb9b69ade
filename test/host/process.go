package host

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Result is what a command did.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// finish runs a command to its end.
func finish(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = Patience // for what a killed command left behind
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func (r Result) must(t testing.TB, name string, args []string) string {
	t.Helper()
	if r.Code != 0 {
		t.Fatalf("%s %s: exit %d\n%s%s", name, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Process is a program in the background.
type Process struct {
	Cmd  *exec.Cmd
	Out  *Output
	In   io.WriteCloser
	done chan struct{}
}

// launch runs a command in the background until the end of the test.
func launch(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Out: NewOutput(), done: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr = p.Out, p.Out
	var err error
	if p.In, err = p.Cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// PID of the process.
func (p *Process) PID() int { return p.Cmd.Process.Pid }

// Kill ends the process at once and waits for its end.
func (p *Process) Kill() {
	p.Cmd.Process.Kill()
	<-p.done
}

// Wait waits for its end and gives the exit code.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(5 * Patience):
		t.Fatalf("%s does not end:\n%s", p.Cmd, p.Out)
	}
	return p.Cmd.ProcessState.ExitCode()
}
