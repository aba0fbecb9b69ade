package registry

import (
	"errors"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// After a start that failed the next one waits: twice as long after each, and
// within these bounds. A program that ended with an error soon after its start
// has failed, even if it accepted a flow.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 30 * time.Second
	soon       = time.Second
)

// startup is one start of a bound program, until its process accepts a flow
// or ends. r.mu guards it.
type startup struct {
	prog  *program
	since time.Time
	pid   int   // leads the group of what it starts in turn
	over  bool  // nobody waits for it any more
	err   error // why it never accepted
	ended bool
}

// startProgram starts the program of a binding. r.mu is held.
func (r *Registry) startProgram(b *progBinding) *startup {
	st := &startup{prog: b.prog, since: time.Now()}
	b.prog.starting = st
	argv := append([]string{b.prog.path}, b.args...)
	r.count.started++
	r.work.Add(1) // until it has ended, or could not be started
	go func() {
		pid, err := r.cfg.Starter.Start(r.ctx, argv, b.uid, b.gid, func(err error) { r.startEnded(st, err, false) })
		if err != nil {
			r.startEnded(st, err, true)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		st.pid = pid
		r.publish(irm.Event{Kind: "process", Action: "started", Name: st.prog.path, PID: pid})
		if st.ended {
			return
		}
		r.started[pid] = st
		for _, p := range r.procs {
			if p.id.PID == pid || p.id.Group == pid {
				r.adopt(p, st)
			}
		}
	}()
	return st
}

// adoptStarted looks whether a process that announces itself was started
// here. It need not run the bound program itself: that may be a script which
// has become the server, or which runs it, and perhaps another after it. Who
// belongs to the group of a start serves the names of that program. r.mu is
// held.
func (r *Registry) adoptStarted(p *proc) {
	if st := r.started[p.id.PID]; st != nil {
		r.adopt(p, st)
	} else if st := r.started[p.id.Group]; st != nil {
		r.adopt(p, st)
	}
}

func (r *Registry) adopt(p *proc, st *startup) {
	p.auto = true
	if !st.over && !slices.Contains(p.starts, st) {
		p.starts = append(p.starts, st)
	}
	for _, b := range st.prog.bindings {
		if p.names[b.n] == nil {
			r.bind(p, b.n)
			p.names[b.n].byProgram = p.id.PID != st.pid // others of the group may be clients
		}
	}
}

// startsSucceeded notes that a process that was started has accepted. r.mu is
// held.
func (r *Registry) startsSucceeded(p *proc) {
	for _, st := range p.starts {
		if !st.over {
			r.finishStart(st, nil)
		}
	}
	p.starts = nil
}

// finishStart ends the waiting for a start. r.mu is held.
func (r *Registry) finishStart(st *startup, err error) {
	st.over, st.err = true, err
	if st.prog.starting == st {
		st.prog.starting = nil
	}
	if err == nil {
		st.prog.failures = 0
	}
	for _, b := range st.prog.bindings {
		r.kick(b.n)
	}
}

// endedByHand tells the signals that people and service managers end programs
// with from those that say that a program is broken.
func endedByHand(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return false
	}
	switch status.Signal() {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL:
		return true
	}
	return false
}

// startEnded is told when the process has ended, or could not be started.
func (r *Registry) startEnded(st *startup, err error, never bool) {
	r.mu.Lock()
	if st.ended {
		r.mu.Unlock()
		return
	}
	st.ended = true
	if r.started[st.pid] == st {
		delete(r.started, st.pid)
	}
	p := st.prog
	if r.closed {
		if !st.over {
			r.finishStart(st, errClosed())
		}
	} else if !st.over || err != nil && time.Since(st.since) < soon {
		how := "it ended before it accepted a flow"
		switch {
		case never:
			how = "it could not be started: " + err.Error()
		case err != nil:
			how += ": " + err.Error()
		}
		p.lastErr = errno.New(errno.IPCP, "%s was started for it, but %s", p.path, how).
			Next("run it by hand, or look into the log of the daemon")
		p.notBefore = time.Now().Add(min(firstPause<<min(p.failures, 16), longPause))
		p.failures++
		r.count.startFailed++
		switch {
		case never:
			r.log.Warn("a program could not be started on demand", "program", p.path, "err", err, "pause", time.Until(p.notBefore).Round(time.Millisecond))
		case endedByHand(err):
			r.log.Info("somebody ended a program soon after its start on demand", "program", p.path, "pid", st.pid, "by", err)
		default:
			attrs := []any{"program", p.path, "pid", st.pid, "pause", time.Until(p.notBefore).Round(time.Millisecond)}
			if err != nil {
				attrs = append(attrs, "err", err)
			}
			r.log.Warn("a program that was started on demand has failed", attrs...)
		}
	}
	if !st.over {
		r.finishStart(st, p.lastErr)
	}
	r.mu.Unlock()
	r.work.Done()
}
