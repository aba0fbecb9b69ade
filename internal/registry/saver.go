package registry

import (
	"cmp"
	"context"
	"slices"
	"time"

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
		s.Names = append(s.Names, SavedName{Name: n.info.Name, Balance: n.info.Balance, Server: n.info.Server, Client: n.info.Client})
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
		for n := range e.regs {
			saved.Names = append(saved.Names, n.info.Name)
		}
		if !e.joined {
			saved.Names = e.later
		}
		slices.Sort(saved.Names)
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
		if err := irm.CheckName("name", n.Name); err != nil || r.names[n.Name] != nil {
			r.log.Error("a saved name cannot be used", "name", n.Name, "err", err)
			continue
		}
		got, err := r.ensureName(irm.NameInfo{Name: n.Name, Balance: n.Balance, Server: n.Server, Client: n.Client})
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

// restoreIPCP makes a saved IPCP again. One that had been enrolled is enrolled
// in the background, since its neighbour may start at the same time.
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
	switch {
	case s.Config != nil:
		if _, err := r.BootstrapIPCP(r.ctx, e.pid, s.Config); err != nil {
			r.endIPCP(e)
			return err
		}
		r.restoreRegs(e, s.Names)
	case s.Enroll != "":
		r.mu.Lock()
		e.enroll, e.later = s.Enroll, slices.Clone(s.Names)
		r.mu.Unlock()
		r.work.Go(func() { r.enrollAgain(r.ctx, e, s) })
	}
	return nil
}

func (r *Registry) restoreRegs(e *ipcpEntry, names []string) {
	for _, n := range names {
		if err := r.RegName(r.ctx, n, e.pid); err != nil {
			r.log.Error("a saved registration cannot be restored", "name", n, "ipcp", e.name, "err", err)
		}
	}
}

// enrollAgain tries until the IPCP is in its layer, was destroyed, or the node
// ends.
func (r *Registry) enrollAgain(ctx context.Context, e *ipcpEntry, s SavedIPCP) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		_, err := r.EnrollIPCP(ctx, e.pid, s.Enroll)
		if err == nil {
			r.restoreRegs(e, s.Names)
			return
		}
		r.log.Warn("a saved IPCP could not enroll yet", "ipcp", s.Name, "dst", s.Enroll, "again in", pause, "err", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-e.ended:
			t.Stop()
			return
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}
