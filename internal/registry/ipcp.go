package registry

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
)

// FirstIPCP is the lowest pid of an IPCP. Linux never gives a process such a
// pid.
const FirstIPCP = 1<<22 + 1

// The longest that IPCPs may take, unless the caller has a shorter deadline.
const (
	bootstrapWait = 5 * time.Second
	enrollWait    = 20 * time.Second
	connectWait   = 20 * time.Second
	regWait       = 20 * time.Second
	ipcpCloseWait = 12 * time.Second
)

// ipcpState is the life of an IPCP as the registry sees it.
type ipcpState uint8

const (
	stateUp     ipcpState = iota // lives
	stateFailed                  // can only be destroyed
	stateEnding                  // is being destroyed
)

// ipcpEntry is an IPCP of the node. r.mu guards what can change.
type ipcpEntry struct {
	r    *Registry
	pid  int
	name string
	kind irm.IPCPType
	impl ipcp.IPCP
	host *host

	state  ipcpState
	joined bool // is in a layer
	layer  irm.LayerInfo
	cfg    *irm.Config // what it was bootstrapped with
	enroll string      // or enrolled with
	later  []string    // names that are registered when it is in its layer again
	conns  []*connection
	yield  context.CancelFunc // ends an attempt by Persist that holds join; else nil
	proc   *proc
	handle *Process
	regs   map[*serviceName][]byte // names registered in the layer
	flows  map[*record]struct{}    // that it carries
	join   chan struct{}           // one token: held by a bootstrap or enrolment
	ended  chan struct{}           // closed when destroyed
}

// ipcpTable finds IPCPs. r.mu guards it.
type ipcpTable struct {
	sorted []*ipcpEntry // by type, then pid
	byPID  map[int]*ipcpEntry
	byName map[string]*ipcpEntry // nil while one is being made
	next   int                   // pid
}

func newIPCPTable() ipcpTable {
	return ipcpTable{byPID: make(map[int]*ipcpEntry), byName: make(map[string]*ipcpEntry), next: FirstIPCP}
}

func (t *ipcpTable) list() []*ipcpEntry { return slices.Clone(t.sorted) }

func (t *ipcpTable) add(e *ipcpEntry) {
	at, _ := slices.BinarySearchFunc(t.sorted, e, func(a, b *ipcpEntry) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.pid, b.pid))
	})
	t.sorted = slices.Insert(t.sorted, at, e)
	t.byPID[e.pid] = e
	t.byName[e.name] = e
}

func (t *ipcpTable) remove(e *ipcpEntry) {
	t.sorted = slices.DeleteFunc(t.sorted, func(o *ipcpEntry) bool { return o == e })
	delete(t.byPID, e.pid)
	delete(t.byName, e.name)
}

// CreateIPCP makes an IPCP that is not yet in a layer.
func (r *Registry) CreateIPCP(_ context.Context, name string, t irm.IPCPType) (int, error) {
	e, err := r.createIPCP(name, t, 0)
	if err != nil {
		return 0, because(err, "cannot create the IPCP %q", name)
	}
	return e.pid, nil
}

// createIPCP makes an IPCP, with a given pid unless that is 0.
func (r *Registry) createIPCP(name string, t irm.IPCPType, pid int) (*ipcpEntry, error) {
	if err := irm.CheckName("IPCP name", name); err != nil {
		return nil, err
	}
	if t < irm.Local || t > irm.UDP6 {
		return nil, errno.New(errno.IPCPType, "type %d is unknown", t)
	}
	if r.cfg.NewIPCP == nil {
		return nil, errno.New(errno.IPCPType, "this build has no %v IPCP", t)
	}
	r.mu.Lock()
	if err := r.mayCreate(name, pid); err != nil {
		r.mu.Unlock()
		return nil, err
	}
	if pid == 0 {
		pid = r.ipcps.next
	}
	r.ipcps.next = max(r.ipcps.next, pid+1)
	r.ipcps.byName[name] = nil // taken while it is being made
	r.mu.Unlock()

	e := &ipcpEntry{
		r: r, pid: pid, name: name, kind: t,
		layer: irm.LayerInfo{Name: irm.NotEnrolled}, regs: make(map[*serviceName][]byte), flows: make(map[*record]struct{}),
		join: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	id := ipcp.Identity{PID: pid, Name: name}
	e.host = &host{e: e, ready: make(chan struct{})}
	impl, err := r.cfg.NewIPCP(t, id, e.host)
	if err != nil {
		r.mu.Lock()
		delete(r.ipcps.byName, name)
		r.mu.Unlock()
		return nil, err
	}
	e.impl = impl

	r.mu.Lock()
	e.handle, err = r.announce(Identity{PID: pid, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Exe: name, IPCP: true}, appearance{}, ipcpOwner{id})
	if err != nil {
		delete(r.ipcps.byName, name)
		r.mu.Unlock()
		impl.Close()
		return nil, err
	}
	e.proc = e.handle.proc
	e.proc.ipcp = e
	r.ipcps.add(e)
	r.publish(irm.Event{Kind: "ipcp", Action: "created", Name: name, PID: pid})
	r.dirty()
	r.mu.Unlock()
	close(e.host.ready)
	return e, nil
}

// mayCreate checks whether there can be another IPCP. r.mu is held.
func (r *Registry) mayCreate(name string, pid int) error {
	if r.closed {
		return errClosed()
	}
	if _, ok := r.ipcps.byName[name]; ok {
		return errno.New(errno.Exist, "there is one of that name").Next("choose another, or see them with: irm ipcp list")
	}
	if pid != 0 && r.ipcps.byPID[pid] != nil {
		return errno.New(errno.Exist, "there is one with pid %d", pid)
	}
	if len(r.ipcps.byName) >= r.cfg.Limits.IPCPs {
		r.count.limit++
		return errno.New(errno.NoBufs, "the node has %d IPCPs, and may not have more", len(r.ipcps.byName))
	}
	return nil
}

// find gives the IPCP that has a pid. r.mu is held.
func (r *Registry) findIPCP(pid int) (*ipcpEntry, error) {
	e := r.ipcps.byPID[pid]
	if r.closed {
		return nil, errClosed()
	}
	if e == nil || e.state == stateEnding {
		return nil, errno.New(errno.IPCP, "pid %d is not an IPCP of this node", pid).Next("see them with: irm ipcp list")
	}
	return e, nil
}

// lookup is findIPCP for callers that do not hold r.mu, and fails for one that
// has failed.
func (r *Registry) lookupIPCP(pid int) (*ipcpEntry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.findIPCP(pid)
	if err != nil {
		return nil, err
	}
	if e.state == stateFailed {
		return nil, errno.New(errno.IPCP, "the IPCP %q has failed", e.name).Next("destroy it and create it again")
	}
	return e, nil
}

// DestroyIPCP ends an IPCP; flows over it go down.
func (r *Registry) DestroyIPCP(ctx context.Context, pid int) error {
	r.mu.Lock()
	e, err := r.findIPCP(pid)
	if err == nil {
		r.work.Go(func() { r.endIPCP(e) })
	}
	r.mu.Unlock()
	if err != nil {
		return because(err, "cannot destroy the IPCP")
	}
	select {
	case <-e.ended:
		return nil
	case <-ctx.Done():
		return ended(ctx, "the IPCP %q has not ended yet", e.name)
	}
}

// endIPCP takes an IPCP out of the node and returns when it has ended.
func (r *Registry) endIPCP(e *ipcpEntry) {
	r.mu.Lock()
	if e.state == stateEnding {
		r.mu.Unlock()
		<-e.ended
		return
	}
	e.state = stateEnding
	for n := range e.regs {
		delete(n.regs, e)
	}
	clear(e.regs)
	r.mu.Unlock()

	if err := e.impl.Close(); err != nil {
		r.log.Error("the IPCP did not end well", "ipcp", e.name, "err", err)
	}
	e.handle.Exit()

	r.mu.Lock()
	r.ipcps.remove(e)
	r.publish(irm.Event{Kind: "ipcp", Action: "destroyed", Name: e.name, PID: e.pid})
	r.dirty()
	r.mu.Unlock()
	close(e.ended)
}

// BootstrapIPCP makes the IPCP the first member of a new layer.
func (r *Registry) BootstrapIPCP(ctx context.Context, pid int, cfg *irm.Config) (irm.LayerInfo, error) {
	e, err := r.lookupIPCP(pid)
	if err == nil && cfg == nil {
		err = errno.New(errno.Invalid, "no configuration was given")
	}
	if err == nil && cfg.Type != e.kind {
		err = errno.New(errno.Invalid, "the configuration is for a %v layer, and %q is a %v IPCP", cfg.Type, e.name, e.kind)
	}
	if err == nil {
		c := *cfg
		c.Hash = algoOf(c.Type, c.Hash)
		cfg = &c
		err = cfg.Validate()
	}
	if err != nil {
		return irm.LayerInfo{}, because(err, "cannot bootstrap the IPCP")
	}
	info, err := r.enterLayer(ctx, e, bootstrapWait, "bootstrapped", func(ctx context.Context) (irm.LayerInfo, error) {
		return e.impl.Bootstrap(ctx, cfg)
	}, func() { e.cfg, e.enroll, e.later, e.conns = cfg, "", nil, nil })
	if err != nil {
		return irm.LayerInfo{}, because(err, "cannot bootstrap %q", e.name)
	}
	return info, nil
}

// EnrollIPCP joins the layer of the member that is reached under dst.
func (r *Registry) EnrollIPCP(ctx context.Context, pid int, dst string) (irm.LayerInfo, error) {
	e, err := r.lookupIPCP(pid)
	if err == nil {
		err = irm.CheckName("destination", dst)
	}
	if err != nil {
		return irm.LayerInfo{}, because(err, "cannot enroll the IPCP")
	}
	info, err := r.enterLayer(ctx, e, enrollWait, "enrolled", func(ctx context.Context) (irm.LayerInfo, error) {
		return e.impl.Enroll(ctx, dst)
	}, func() { e.cfg, e.enroll = nil, dst })
	if err != nil {
		return irm.LayerInfo{}, because(r.unreached(e, err, dst), "cannot enroll %q with %q", e.name, dst)
	}
	return info, nil
}

// tooLong is for what an IPCP answers when the time is over: its own words, which
// know at which step it was, if there are any.
func tooLong(ctx context.Context, err error, most time.Duration) error {
	var said *errno.Detail
	if ctx.Err() == nil || errors.As(err, &said) {
		return err
	}
	return ended(ctx, "it took longer than %v", most)
}

// unreached gives an error of an enrolment or a connection the next step: who
// tries does not look for a program but for a member of the layer.
func (r *Registry) unreached(e *ipcpEntry, err error, dst string) error {
	var d *errno.Detail
	if !errors.As(err, &d) {
		d = errno.New(err, "%v", err)
	}
	out := *d
	out.Cause = essence(out.Cause, dst)
	if !r.lives(e) || !errors.Is(err, errno.NameError) && !errors.Is(err, errno.IPCP) {
		return &out
	}
	if dst == e.name {
		return out.Next("that is the name of this IPCP itself: give that of another member")
	}
	r.mu.Lock()
	below := false
	for _, e := range r.ipcps.sorted {
		below = below || e.joined && e.kind != irm.Broadcast
	}
	r.mu.Unlock()
	if !below {
		return out.Next("this node is in no layer that could lead there; make it a member of one first: irm ipcp bootstrap, irm ipcp enroll")
	}
	return out.Next("at the node of that member, bind its IPCP to the name and register it in a layer that both nodes are in: "+
		"irm bind ipcp IPCP name %s; irm name register %s layer LAYER", dst, dst)
}

// essence leaves out of a cause what each part on the way says again: what could
// not be done with dst.
func essence(cause, dst string) string {
	for {
		doing, why, more := strings.Cut(cause, strconv.Quote(dst)+": ")
		switch doing {
		case "cannot enroll with ", "no flow to ", "cannot allocate a flow to ",
			"cannot connect \"" + irm.Management + "\" to ", "cannot connect \"" + irm.DataTransfer + "\" to ":
		default:
			return cause
		}
		if !more || why == "" {
			return cause
		}
		cause = why
	}
}

// enterLayer brings an IPCP into a layer, one attempt at a time. kept runs with
// r.mu held when it succeeded.
func (r *Registry) enterLayer(ctx context.Context, e *ipcpEntry, most time.Duration, action string,
	try func(context.Context) (irm.LayerInfo, error), kept func()) (irm.LayerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if !isPersistent(ctx) {
		r.mu.Lock()
		if e.yield != nil {
			e.yield()
		}
		r.mu.Unlock()
	}
	select {
	case e.join <- struct{}{}:
		defer func() { <-e.join }()
	case <-ctx.Done():
		return irm.LayerInfo{}, ended(ctx, "it is busy with another attempt")
	}
	r.mu.Lock()
	joined, layer := e.joined, e.layer.Name
	if isPersistent(ctx) {
		e.yield = cancel
		defer func() {
			r.mu.Lock()
			e.yield = nil
			r.mu.Unlock()
		}()
	}
	r.mu.Unlock()
	if joined {
		return irm.LayerInfo{}, errno.New(errno.IPCPState, "it is in layer %q already", layer).
			Next("create another IPCP for another layer")
	}
	info, err := try(ctx)
	if err != nil {
		return irm.LayerInfo{}, tooLong(ctx, err, most)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.state != stateUp {
		return irm.LayerInfo{}, errno.New(errno.IPCP, "it has ended meanwhile")
	}
	e.joined, e.layer = true, info
	kept()
	r.publish(irm.Event{Kind: "ipcp", Action: action, Name: e.name, PID: e.pid, Layer: info.Name})
	r.dirty()
	r.stir()
	return info, nil
}

// RegName makes a name reachable in the layer of an IPCP. The registration is
// remembered, and goes with the name or the IPCP.
func (r *Registry) RegName(ctx context.Context, s string, pid int) error {
	return r.register(ctx, s, pid, false)
}

// register is RegName, again for a name that was registered before the start,
// unless it was unregistered since.
func (r *Registry) register(ctx context.Context, s string, pid int, again bool) error {
	n, e, hash, err := r.registration(s, pid)
	if err != nil {
		return because(err, "cannot register %q", s)
	}
	defer r.opening(n, e)()
	ctx, cancel := context.WithTimeout(ctx, regWait)
	defer cancel()
	if err := e.impl.Reg(ctx, hash); err != nil {
		return because(err, "cannot register %q in layer %q", s, e.layer.Name)
	}
	r.mu.Lock()
	awaited := e.registered(s)
	if n.gone || e.state != stateUp || again && !awaited {
		undo := e.state == stateUp && n.regs[e] == nil
		r.mu.Unlock()
		if undo {
			e.impl.Unreg(ctx, hash)
		}
		if again && !awaited {
			return nil
		}
		return errno.New(errno.NameError, "cannot register %q: the name or the IPCP was destroyed meanwhile", s)
	}
	defer r.mu.Unlock()
	if n.regs[e] == nil {
		n.regs[e], e.regs[n] = hash, hash
		r.publish(irm.Event{Kind: "name", Action: "registered", Name: s, PID: pid, Layer: e.layer.Name})
		r.dirty()
	}
	return nil
}

// opening lets requests for a name in while it is being registered: the layer
// may bring some before it says that it is done. What it gives ends that.
func (r *Registry) opening(n *serviceName, e *ipcpEntry) (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.soon[e]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if n.soon[e]--; n.soon[e] == 0 {
			delete(n.soon, e)
		}
	}
}

// in reports whether requests for the name may come through an IPCP: a name is
// reachable only in the layers that it is registered in. r.mu is held.
func (n *serviceName) in(e *ipcpEntry) bool { return n.regs[e] != nil || n.soon[e] > 0 }

// registered takes a name out of those that are still to be registered, and
// reports whether it was there. r.mu is held.
func (e *ipcpEntry) registered(s string) bool {
	at := slices.Index(e.later, s)
	if at < 0 {
		return false
	}
	e.later = slices.Delete(e.later, at, at+1)
	e.r.dirty()
	return true
}

// UnregName undoes RegName.
func (r *Registry) UnregName(ctx context.Context, s string, pid int) error {
	r.mu.Lock()
	if e := r.ipcps.byPID[pid]; e != nil && e.registered(s) {
		r.mu.Unlock()
		return nil // it was not registered again yet
	}
	r.mu.Unlock()
	n, e, hash, err := r.registration(s, pid)
	if err != nil {
		return because(err, "cannot unregister %q", s)
	}
	ctx, cancel := context.WithTimeout(ctx, regWait)
	defer cancel()
	if err := e.impl.Unreg(ctx, hash); err != nil {
		return because(err, "cannot unregister %q in layer %q", s, e.layer.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.regs[e] != nil {
		delete(n.regs, e)
		delete(e.regs, n)
		r.publish(irm.Event{Kind: "name", Action: "unregistered", Name: s, PID: pid, Layer: e.layer.Name})
		r.dirty()
	}
	return nil
}

func (r *Registry) registration(s string, pid int) (*serviceName, *ipcpEntry, []byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.names[s]
	if n == nil {
		return nil, nil, nil, errno.New(errno.NameError, "there is no such name").Next("make it with: irm name create %s", s)
	}
	e, err := r.findIPCP(pid)
	if err != nil {
		return nil, nil, nil, err
	}
	if !e.joined {
		if e.kind == irm.Broadcast {
			return nil, nil, nil, errno.New(errno.NotSup, "broadcast layers have no names")
		}
		return nil, nil, nil, errno.New(errno.IPCPState, "the IPCP %q is in no layer", e.name).Next("bootstrap or enroll it first")
	}
	return n, e, hash.Sum(e.layer.Hash, s), nil
}

// ListIPCPs lists by type, then pid.
func (r *Registry) ListIPCPs(context.Context) ([]irm.IPCPInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	infos := make([]irm.IPCPInfo, 0, len(r.ipcps.sorted))
	for _, e := range r.ipcps.sorted {
		info := irm.IPCPInfo{PID: e.pid, Name: e.name, Type: e.kind, Layer: e.layer.Name, Hash: e.layer.Hash, State: ipcp.Boot.String()}
		switch {
		case e.state == stateFailed:
			info.State = "failed"
		case e.state == stateEnding:
			info.State = ipcp.Shutdown.String()
		case e.joined:
			info.State = ipcp.Operational.String()
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// ShowIPCP gives the state of an IPCP's components.
func (r *Registry) ShowIPCP(_ context.Context, pid int) (map[string]any, error) {
	e, err := r.lookupIPCP(pid)
	if err != nil {
		return nil, because(err, "cannot show the IPCP")
	}
	return e.impl.Show(), nil
}
