package registry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// saveDelay is how long changes are gathered before they are saved.
const saveDelay = 50 * time.Millisecond

// saver keeps the Store up to date, off every caller's path.
type saver struct {
	changed chan struct{} // one token; nil when nothing is to be saved
	stop    chan struct{}
	done    chan struct{}
	failed  []SavedIPCP // that could not be restored: kept for the next start
}

// dirty notes that the snapshot has changed. r.mu is held.
func (r *Registry) dirty() {
	if r.saver.changed == nil {
		return
	}
	select {
	case r.saver.changed <- struct{}{}:
	default:
	}
}

func (r *Registry) startSaver() {
	changed, stop, done := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	r.mu.Lock() // IPCPs that enrol again are at work already
	r.saver.changed, r.saver.stop, r.saver.done = changed, stop, done
	r.mu.Unlock()
	go func() {
		defer close(done)
		for {
			select {
			case <-changed:
			case <-stop:
				return
			}
			t := time.NewTimer(saveDelay)
			select {
			case <-t.C:
			case <-stop:
				t.Stop()
				return // what is missing is saved by Close
			}
			select {
			case <-changed:
			default:
			}
			r.mu.Lock()
			s := r.snapshot()
			r.mu.Unlock()
			r.save(s)
		}
	}()
}

// stopSaver ends the saver with a last snapshot, which was taken before the
// node began to end.
func (r *Registry) stopSaver(last *Snapshot) {
	close(r.saver.stop)
	<-r.saver.done
	r.save(last)
}

func (r *Registry) save(s *Snapshot) {
	err := r.cfg.Store.Save(s)
	r.mu.Lock()
	if err == nil {
		r.count.saved++
	} else {
		r.count.saveFailed++
	}
	r.mu.Unlock()
	if err != nil {
		r.log.Error("the state of the node could not be saved", "err", err)
	}
}

// snapshot describes what survives a restart. r.mu is held.
func (r *Registry) snapshot() *Snapshot {
	s := &Snapshot{}
	var bindings []*progBinding
	for _, n := range r.order {
		s.Names = append(s.Names, savedName(n.info))
		bindings = append(bindings, n.progs...)
	}
	slices.SortFunc(bindings, func(a, b *progBinding) int { return cmp.Compare(a.born, b.born) })
	for _, b := range bindings {
		s.Programs = append(s.Programs, SavedProgram{
			Program: b.prog.path, Name: b.n.info.Name, Args: slices.Clone(b.args), Auto: b.auto, UID: b.uid, GID: b.gid,
		})
	}
	for _, e := range r.ipcps.sorted {
		if e.state == stateEnding {
			continue
		}
		saved := SavedIPCP{PID: e.pid, Name: e.name, Type: e.kind, Config: e.cfg, Enroll: e.enroll, Bound: e.proc.nameList()}
		saved.Names = slices.Clone(e.later)
		for n := range e.regs {
			saved.Names = append(saved.Names, n.info.Name)
		}
		slices.Sort(saved.Names)
		saved.Names = slices.Compact(saved.Names)
		for _, c := range e.conns {
			saved.Connections = append(saved.Connections, c.SavedConnection)
		}
		s.IPCPs = append(s.IPCPs, saved)
	}
	for _, f := range r.saver.failed {
		if _, ok := r.ipcps.byName[f.Name]; !ok {
			s.IPCPs = append(s.IPCPs, f)
		}
	}
	return s
}

// restore sets up what was saved.
func (r *Registry) restore() {
	s, err := r.cfg.Store.Load()
	if err != nil {
		r.log.Error("the saved state of the node cannot be used; it starts without", "err", err)
		return
	}
	if s == nil {
		return
	}
	r.mu.Lock()
	for _, n := range s.Names {
		err := irm.CheckName("name", n.Name)
		if err == nil {
			err = checkSettings(n.info())
		}
		if err != nil || r.names[n.Name] != nil {
			r.log.Error("a saved name cannot be used", "name", n.Name, "err", err)
			continue
		}
		got, err := r.ensureName(n.info())
		if err != nil {
			r.log.Error("a saved name cannot be restored", "name", n.Name, "err", err)
			continue
		}
		// They were saved in the order of the list.
		r.order = slices.DeleteFunc(r.order, func(o *serviceName) bool { return o == got })
		r.order = append(r.order, got)
	}
	r.mu.Unlock()
	for _, b := range s.Programs {
		p, err := examine(b.Program)
		if err != nil {
			r.log.Warn("a bound program is missing; its binding is kept", "program", b.Program, "err", err)
		}
		r.mu.Lock()
		err = r.bindProgram(p, irm.ProgramBinding{Program: b.Program, Args: b.Args, Name: b.Name, Auto: b.Auto}, b.UID, b.GID)
		r.mu.Unlock()
		if err != nil {
			r.log.Error("a bound program cannot be restored", "program", b.Program, "name", b.Name, "err", err)
		}
	}
	for _, saved := range s.IPCPs {
		if err := r.restoreIPCP(saved); err != nil {
			r.log.Error("a saved IPCP cannot be restored; it is kept for the next start", "ipcp", saved.Name, "err", err)
			r.mu.Lock()
			r.saver.failed = append(r.saver.failed, saved)
			r.mu.Unlock()
		}
	}
}

// restoreIPCP makes a saved IPCP again. What it takes a neighbour for, an
// enrolment and connections, is done in the background: that may start at the
// same time, or later.
func (r *Registry) restoreIPCP(s SavedIPCP) error {
	e, err := r.createIPCP(s.Name, s.Type, s.PID)
	if err != nil {
		return err
	}
	for _, n := range s.Bound {
		if err := r.BindProcess(r.ctx, e.pid, n); err != nil {
			r.log.Error("a binding of a saved IPCP cannot be restored", "ipcp", s.Name, "name", n, "err", err)
		}
	}
	if s.Config != nil {
		if _, err := r.BootstrapIPCP(r.ctx, e.pid, s.Config); err != nil {
			r.endIPCP(e)
			return err
		}
	}
	r.mu.Lock()
	e.later = slices.Clone(s.Names)
	for _, c := range s.Connections {
		e.conns = append(e.conns, &connection{SavedConnection: c})
	}
	if s.Config == nil {
		e.enroll = s.Enroll
	}
	r.mu.Unlock()
	switch {
	case s.Config != nil && e.kind == irm.Unicast:
		r.work.Go(func() { r.comeBack(e) }) // its directory has members elsewhere
	case s.Config != nil:
		r.comeBack(e)
	case s.Enroll != "":
		r.work.Go(func() { r.enrollAgain(r.ctx, e, s.Enroll) })
	}
	return nil
}

// enrollAgain tries until the IPCP is in its layer, was destroyed, or the node
// ends, and then makes it what it was.
func (r *Registry) enrollAgain(ctx context.Context, e *ipcpEntry, dst string) {
	err := r.persist(ctx, e, "enroll with "+dst, func(ctx context.Context) error {
		_, err := r.EnrollIPCP(ctx, e.pid, dst)
		if errors.Is(err, errno.IPCPState) && r.isJoined(e) {
			return nil // somebody else has done it
		}
		return err
	})
	if err != nil {
		if ctx.Err() == nil && r.lives(e) {
			r.log.Error("a saved IPCP cannot enroll any more; it is kept for the next start", "ipcp", e.name, "dst", dst, "err", err)
		}
		return
	}
	r.comeBack(e)
}

// comeBack makes an IPCP that is in its layer what it was before the start.
func (r *Registry) comeBack(e *ipcpEntry) {
	r.restoreRegs(e)
	r.reconnect(r.ctx, e)
}

func (r *Registry) isJoined(e *ipcpEntry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.joined
}

// restoreRegs registers the names of the time before the start again. Those
// that a directory does not take now are tried on in the background.
func (r *Registry) restoreRegs(e *ipcpEntry) {
	r.mu.Lock()
	names := slices.Clone(e.later)
	r.mu.Unlock()
	for _, n := range names {
		if r.registerAgain(r.ctx, e, n) == nil {
			continue
		}
		r.work.Go(func() {
			err := r.persist(r.ctx, e, "register "+n, func(ctx context.Context) error { return r.registerAgain(ctx, e, n) })
			if err != nil && r.ctx.Err() == nil && r.lives(e) {
				r.log.Error("a saved registration cannot be restored", "name", n, "ipcp", e.name, "err", err)
			}
		})
	}
}

// registerAgain registers a name unless it is not wanted any more.
func (r *Registry) registerAgain(ctx context.Context, e *ipcpEntry, n string) error {
	r.mu.Lock()
	wanted := slices.Contains(e.later, n)
	r.mu.Unlock()
	if !wanted {
		return nil
	}
	err := r.register(ctx, n, e.pid, true)
	if errors.Is(err, errno.NameError) { // the name was saved with it: it was destroyed
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.names[n] == nil {
			e.registered(n)
			return nil
		}
	}
	return err
}
