package registry

import (
	"cmp"
	"container/list"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// serviceName is a name of a service. r.mu guards it.
type serviceName struct {
	info  irm.NameInfo // without the parts that only lists have
	bound []*binding   // processes, least recently served first
	autos []*progBinding
	progs []*progBinding        // all of them, newest first
	regs  map[*ipcpEntry][]byte // hash, by IPCP
	soon  map[*ipcpEntry]int    // registrations that are on their way
	queue list.List             // of *request: who waits for a server
	moved time.Time             // when one of the queue last got a server
	gone  bool                  // destroyed
}

// binding is a process bound to a name.
type binding struct {
	p    *proc
	n    *serviceName
	born uint64
	fed  bool // has been given a flow

	byProgram bool // because of what the process, or who started it, runs
}

func errNoName(doing, s string) error {
	return errno.New(errno.NameError, "cannot %s: there is no name %q", doing, s).
		Next("see: irm name list")
}

// CreateName makes a name known. An existing one is kept as it is.
func (r *Registry) CreateName(_ context.Context, info irm.NameInfo) error {
	if err := irm.CheckName("name", info.Name); err != nil {
		return err
	}
	if err := checkSettings(info); err != nil {
		return because(err, "cannot create the name %q", info.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.ensureName(info)
	return err
}

// SetName changes the settings of a name.
func (r *Registry) SetName(_ context.Context, s string, change irm.NameChange) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.names[s]
	if n == nil {
		return errNoName("change a name", s)
	}
	info := change.Apply(n.info)
	if err := checkSettings(info); err != nil {
		return because(err, "cannot change the name %q", s)
	}
	// The name itself, which does not change, is read without the lock.
	n.info.Balance, n.info.Server, n.info.Client = info.Balance, info.Server, info.Client
	n.info.ServerDemand, n.info.ClientDemand, n.info.Allow = info.ServerDemand, info.ClientDemand, info.Allow
	r.publish(irm.Event{Kind: "name", Action: "changed", Name: s})
	r.dirty()
	return nil
}

// checkSettings is nil when a name can have these.
func checkSettings(info irm.NameInfo) error {
	if info.Balance != irm.RoundRobin && info.Balance != irm.Spill {
		return errno.New(errno.Invalid, "load-balance policy %d is unknown", info.Balance).
			Next("use round-robin or spillover")
	}
	for _, path := range []string{info.Server.Enc, info.Server.Key, info.Server.Cert, info.Client.Enc, info.Client.Key, info.Client.Cert} {
		switch {
		case path == "":
		case len(path) > irm.MaxPath:
			return errno.New(errno.Invalid, "a security path has %d bytes, the most is %d", len(path), irm.MaxPath)
		case strings.ContainsRune(path, 0) || !utf8.ValidString(path):
			return errno.New(errno.Invalid, "the security path %q is no path", path)
		case !filepath.IsAbs(path):
			return errno.New(errno.Invalid, "the security path %q does not begin with /", path).Next("give the whole path")
		}
	}
	for _, d := range []irm.Demand{info.ServerDemand, info.ClientDemand} {
		if _, ok := irm.ParseDemand(d.String()); !ok {
			return errno.New(errno.Invalid, "demand %d is unknown", d).Next("use %s", strings.Join(irm.DemandWords(), ", "))
		}
	}
	return irm.CheckAllow(info.Allow)
}

// ensureName gives the name, made if there is none. r.mu is held.
func (r *Registry) ensureName(info irm.NameInfo) (*serviceName, error) {
	if r.closed {
		return nil, errClosed()
	}
	if n := r.names[info.Name]; n != nil {
		return n, nil
	}
	if len(r.names) >= r.cfg.Limits.Names {
		r.count.limit++
		return nil, errno.New(errno.NoBufs, "cannot create the name %q: the node has %d names, and may not have more",
			info.Name, len(r.names)).Next("destroy some with: irm name destroy NAME")
	}
	n := &serviceName{
		info: settings(info),
		regs: make(map[*ipcpEntry][]byte), soon: make(map[*ipcpEntry]int),
	}
	r.names[info.Name] = n
	r.insertName(n)
	r.indexName(n)
	r.publish(irm.Event{Kind: "name", Action: "created", Name: info.Name})
	r.dirty()
	return n, nil
}

// settings gives a name without the parts that only lists have.
func settings(info irm.NameInfo) irm.NameInfo {
	return irm.NameInfo{
		Name: info.Name, Balance: info.Balance, Server: info.Server, Client: info.Client,
		ServerDemand: info.ServerDemand, ClientDemand: info.ClientDemand, Allow: slices.Clone(info.Allow),
	}
}

// implicitName gives the name for a binding, made with the policy that such
// names have. r.mu is held.
func (r *Registry) implicitName(s string) (*serviceName, error) {
	return r.ensureName(irm.NameInfo{Name: s, Balance: irm.Spill})
}

// insertName puts a new name into the list where the C implementation would: behind
// the first that compares greater, else in front. r.mu is held.
func (r *Registry) insertName(n *serviceName) {
	at := slices.IndexFunc(r.order, func(o *serviceName) bool { return o.info.Name > n.info.Name }) + 1
	r.order = slices.Insert(r.order, at, n)
}

// DestroyName removes a name with its bindings and registrations; running
// flows go on.
func (r *Registry) DestroyName(ctx context.Context, s string) error {
	r.mu.Lock()
	n := r.names[s]
	if n == nil {
		r.mu.Unlock()
		return errno.New(errno.NameError, "cannot destroy the name %q: there is none", s).Next("see: irm name list")
	}
	for len(n.bound) > 0 {
		r.unbind(n.bound[0])
	}
	for len(n.progs) > 0 {
		r.dropProgBinding(n.progs[0])
	}
	type reg struct {
		e    *ipcpEntry
		hash []byte
	}
	var regs []reg
	for e, hash := range n.regs {
		regs = append(regs, reg{e, hash})
	}
	for _, e := range r.ipcps.sorted {
		delete(e.regs, n)
		e.registered(s)
	}
	clear(n.regs)
	delete(r.names, s)
	r.order = slices.Delete(r.order, slices.Index(r.order, n), slices.Index(r.order, n)+1)
	r.unindexName(n)
	n.gone = true
	r.kick(n)
	r.publish(irm.Event{Kind: "name", Action: "destroyed", Name: s})
	r.dirty()
	r.mu.Unlock()

	for _, g := range regs {
		if err := g.e.impl.Unreg(ctx, g.hash); err != nil {
			r.log.Warn("the directory of a layer keeps a name that was destroyed", "name", s, "ipcp", g.e.name, "err", err)
		}
	}
	return nil
}

// ListNames lists the names in the order of the C implementation.
func (r *Registry) ListNames(context.Context) ([]irm.NameInfo, error) {
	infos := r.nameList()
	r.examine(infos)
	return infos, nil
}

func (r *Registry) nameList() []irm.NameInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	infos := make([]irm.NameInfo, 0, len(r.order))
	for _, n := range r.order {
		info := n.info
		for e, hash := range n.regs {
			info.Registrations = append(info.Registrations, irm.Registration{PID: e.pid, IPCP: e.name, Layer: e.layer.Name, Hash: slices.Clone(hash)})
		}
		slices.SortFunc(info.Registrations, func(a, b irm.Registration) int { return cmp.Compare(a.PID, b.PID) })
		for _, b := range n.progs {
			info.Programs = append(info.Programs, b.info())
		}
		bound := slices.Clone(n.bound)
		slices.SortFunc(bound, func(a, b *binding) int { return cmp.Compare(b.born, a.born) })
		for _, b := range bound {
			info.Processes = append(info.Processes, b.p.id.PID)
			info.Accepting += b.p.accepts.Len()
		}
		infos = append(infos, info)
	}
	return infos
}
