package registry

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/irm"
)

// proc is a process of the host, or an IPCP of the node: what all its handles
// share. r.mu guards it.
type proc struct {
	id      Identity
	program string // for lists: the executable, or the script that it runs
	since   time.Time
	handles map[*Process]struct{}
	names   map[*serviceName]*binding
	ipcp    *ipcpEntry // nil for a process of the host
	auto    bool       // was started on demand
	starts  []*startup // that end well when it accepts

	accepts    list.List                 // of *Accept, pending, next first
	lastAccept uint64                    // when it last asked for a flow
	wanted     map[*serviceName]struct{} // its names for which somebody waits
	nAccepts   int                       // that have not ended
	nAllocs    int                       // running calls of Alloc and Join
	nFlows     int                       // ends that it holds
}

// Process is one connection of a process to the node. A process may have
// several: they share its pid and its bindings, and each has its own flows.
type Process struct {
	r     *Registry
	proc  *proc
	pid   int // of proc
	owner Owner
	ctx   context.Context // ends at Exit
	end   context.CancelFunc

	// r.mu guards these.
	gone    bool
	ends    map[int]*held        // by the id that the process knows
	accepts map[*Accept]struct{} // that have not ended
}

// Announce makes a process known: it is bound to the names of the program
// that it runs.
func (r *Registry) Announce(id Identity, o Owner) (*Process, error) {
	look := lookAt(id) // reads the file system
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.announce(id, look, o)
}

func (r *Registry) announce(id Identity, look appearance, o Owner) (*Process, error) {
	if r.closed {
		return nil, errClosed()
	}
	p := r.procs[id.PID]
	if p == nil {
		if len(r.procs) >= r.cfg.Limits.Processes {
			r.count.limit++
			return nil, errno.New(errno.NoBufs, "cannot take process %d: %d processes use this node, and not more may", id.PID, len(r.procs))
		}
		p = &proc{
			id: id, since: time.Now(), program: id.Exe,
			handles: make(map[*Process]struct{}), names: make(map[*serviceName]*binding), wanted: make(map[*serviceName]struct{}),
		}
		r.procs[id.PID] = p
		r.count.announced++
		r.bindByProgram(p, look)
		r.adoptStarted(p)
		r.publish(irm.Event{Kind: "process", Action: "announced", PID: id.PID, Name: p.program})
		if c := r.awaited[id.PID]; c != nil {
			delete(r.awaited, id.PID)
			close(c)
		}
	} else if p.id.Exe != id.Exe || !slices.Equal(p.id.Args, id.Args) {
		// The process has become another program since.
		p.id, p.program = id, id.Exe
		r.bindByProgram(p, look)
	}
	h := &Process{r: r, proc: p, pid: id.PID, owner: o, ends: make(map[int]*held), accepts: make(map[*Accept]struct{})}
	h.ctx, h.end = context.WithCancel(r.ctx)
	p.handles[h] = struct{}{}
	return h, nil
}

// PID is the number of the process.
func (h *Process) PID() int { return h.pid }

// Exit releases everything of the handle at once: calls that wait fail, and
// the other ends of its flows get EventDown. With the last handle of a pid its
// bindings go. Calling it again does nothing.
func (h *Process) Exit() {
	h.shut(errno.New(errno.Pipe, "process %d has left the node", h.pid))
}

// shut is Exit; why is what calls that wait return.
func (h *Process) shut(why error) {
	r := h.r
	r.mu.Lock()
	if h.gone {
		r.mu.Unlock()
		return
	}
	h.gone = true
	p := h.proc
	delete(p.handles, h)
	stopped := make([]*Accept, 0, len(h.accepts))
	for a := range h.accepts {
		if a.state == pending {
			p.accepts.Remove(a.elem)
			a.elem = nil
		}
		a.finish()
		stopped = append(stopped, a)
	}
	var down, own []End
	for _, held := range h.ends {
		peer := r.release(held)
		own = append(own, held.end)
		if peer != nil {
			down = append(down, peer)
		}
	}
	if len(p.handles) == 0 {
		for _, b := range p.names {
			r.unbind(b)
		}
		delete(r.procs, p.id.PID)
		r.count.exited++
		r.publish(irm.Event{Kind: "process", Action: "exited", PID: p.id.PID, Name: p.program})
	}
	r.mu.Unlock()

	h.end()
	for _, a := range stopped {
		a.deliver(nil, why)
	}
	for _, e := range down {
		e.Event(flow.EventDown)
	}
	for _, e := range own {
		if r.ctx.Err() != nil || isClosed(why) {
			e.Event(flow.EventDown) // the process lives, the node ends
		}
		e.Close()
	}
}

// Bind binds the process to a name, and creates the name (spill) if needed.
// It may be repeated.
func (h *Process) Bind(_ context.Context, s string) error {
	if err := irm.CheckName("name", s); err != nil {
		return err
	}
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := h.alive(); err != nil {
		return err
	}
	n, err := r.implicitName(s)
	if err != nil {
		return err
	}
	if h.proc.names[n] == nil {
		r.bind(h.proc, n)
	}
	return nil
}

// Ended reports whether the process has left the node, or the node has ended.
func (h *Process) Ended() bool {
	h.r.mu.Lock()
	defer h.r.mu.Unlock()
	return h.alive() != nil
}

// Bound reports whether the process is bound to a name.
func (h *Process) Bound(s string) bool {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	return h.proc.names[r.names[s]] != nil
}

// alive fails when the handle can no longer be used. r.mu is held.
func (h *Process) alive() error {
	if h.r.closed {
		return errClosed()
	}
	if h.gone {
		return errno.New(errno.Pipe, "process %d has left the node", h.pid)
	}
	return nil
}

// bind and unbind join a process and a name. r.mu is held.
func (r *Registry) bind(p *proc, n *serviceName) {
	b := &binding{p: p, n: n, born: r.tick()}
	p.names[n] = b
	// Those that never got a flow come first, in the order in which they came.
	at := 0
	for at < len(n.bound) && !n.bound[at].fed {
		at++
	}
	n.bound = slices.Insert(n.bound, at, b)
	if n.queue.Len() > 0 {
		p.wanted[n] = struct{}{}
		r.feed(p)
		r.kick(n)
	}
	r.publish(irm.Event{Kind: "name", Action: "bound", Name: n.info.Name, PID: p.id.PID})
	if p.ipcp != nil {
		r.dirty()
	}
}

func (r *Registry) unbind(b *binding) {
	delete(b.p.names, b.n)
	delete(b.p.wanted, b.n)
	b.n.bound = slices.DeleteFunc(b.n.bound, func(o *binding) bool { return o == b })
	r.kick(b.n)
	r.publish(irm.Event{Kind: "name", Action: "unbound", Name: b.n.info.Name, PID: b.p.id.PID})
	if b.p.ipcp != nil {
		r.dirty()
	}
}

// BindProcess binds a process or an IPCP to the name, and creates the name
// (spill) if needed. A process that has just been started is given a moment
// to announce itself.
func (r *Registry) BindProcess(ctx context.Context, pid int, s string) error {
	if err := irm.CheckName("name", s); err != nil {
		return err
	}
	p, err := r.awaitProc(ctx, pid)
	if err != nil {
		return err
	}
	defer r.mu.Unlock()
	n, err := r.implicitName(s)
	if err != nil {
		return err
	}
	if p.names[n] != nil {
		return errno.New(errno.Exist, "cannot bind %s: it is bound to %q already", p, s).
			Next("see what is with: irm name show %s", s)
	}
	r.bind(p, n)
	return nil
}

// awaitProc finds a process, waiting BindWait for it. On success r.mu is held.
func (r *Registry) awaitProc(ctx context.Context, pid int) (*proc, error) {
	unknown := errno.New(errno.NoEntry, "cannot bind process %d: it does not use this node", pid).
		Next("bind it after it has made its first call, or bind its program: irm bind program PROGRAM name NAME")
	r.mu.Lock()
	if p := r.procs[pid]; p != nil {
		return p, nil
	}
	if pid <= 0 || pid >= FirstIPCP || r.closed {
		r.mu.Unlock()
		return nil, unknown
	}
	c := r.awaited[pid]
	if c == nil {
		if len(r.awaited) >= r.cfg.Limits.Processes {
			r.mu.Unlock()
			return nil, unknown
		}
		c = make(chan struct{})
		r.awaited[pid] = c
	}
	r.mu.Unlock()
	t := time.NewTimer(r.cfg.BindWait)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	case <-ctx.Done():
	}
	r.mu.Lock()
	if p := r.procs[pid]; p != nil {
		return p, nil
	}
	if r.awaited[pid] == c {
		delete(r.awaited, pid)
		close(c)
	}
	r.mu.Unlock()
	return nil, unknown
}

// UnbindProcess undoes BindProcess; an empty name means all names.
func (r *Registry) UnbindProcess(_ context.Context, pid int, s string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.procs[pid]
	if p == nil {
		return errno.New(errno.NoEntry, "cannot unbind process %d: it does not use this node", pid).
			Next("see those that do with: irm process list")
	}
	if s == "" {
		if len(p.names) == 0 {
			return errno.New(errno.NoEntry, "cannot unbind %s: it is not bound to any name", p)
		}
		for _, b := range p.names {
			r.unbind(b)
		}
		return nil
	}
	n := r.names[s]
	if n == nil {
		return errNoName("unbind "+p.String(), s)
	}
	b := p.names[n]
	if b == nil {
		err := errno.New(errno.NoEntry, "cannot unbind %s: it is not bound to %q", p, s)
		if bound := p.nameList(); len(bound) > 0 {
			return err.Next("it is bound to: %s", strings.Join(bound, ", "))
		}
		return err
	}
	r.unbind(b)
	return nil
}

// ListProcesses lists what uses the node, by pid.
func (r *Registry) ListProcesses(context.Context) ([]irm.ProcessInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	infos := make([]irm.ProcessInfo, 0, len(r.procs))
	for _, p := range r.procs {
		infos = append(infos, irm.ProcessInfo{
			PID: p.id.PID, UID: p.id.UID, Program: filepath.Clean(p.program), Names: p.nameList(),
			Flows: p.nFlows, Accepts: p.nAccepts, IPCP: p.ipcp != nil, Auto: p.auto, Since: p.since,
		})
	}
	slices.SortFunc(infos, func(a, b irm.ProcessInfo) int { return cmp.Compare(a.PID, b.PID) })
	return infos, nil
}

// String names the process, or the IPCP, as people know it.
func (p *proc) String() string {
	if p.ipcp != nil {
		return fmt.Sprintf("the IPCP %q", p.ipcp.name)
	}
	return fmt.Sprintf("process %d", p.id.PID)
}

// nameList gives the names that the process is bound to, oldest binding first.
func (p *proc) nameList() []string {
	bs := make([]*binding, 0, len(p.names))
	for _, b := range p.names {
		bs = append(bs, b)
	}
	slices.SortFunc(bs, func(a, b *binding) int { return cmp.Compare(a.born, b.born) })
	names := make([]string, len(bs))
	for i, b := range bs {
		names[i] = b.n.info.Name
	}
	return names
}
