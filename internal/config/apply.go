package config

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
	"ouroboros/qos"
)

// CheckFiles looks whether the files exist that the configuration names, and
// makes their paths absolute.
func (f *File) CheckFiles() error {
	var errs Errors
	for _, n := range f.Names {
		for _, s := range n.files {
			path, err := f.resolve(s.path)
			if err == nil {
				var info os.FileInfo
				if info, err = os.Stat(path); err == nil && !info.Mode().IsRegular() {
					err = errors.New("not a regular file")
				}
			}
			if err != nil {
				errs = append(errs, f.errorAt(s.at, err, "", "cannot use the file %q: %s", s.path, reason(err)))
				continue
			}
			*s.dst = path
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// reason leaves the path out of an error of package os: the message has it.
func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// grace is how long Apply waits for neighbours before it lets the rest of the
// work go on behind it.
const grace = 5 * time.Second

// patient is a node that tries on what cannot be done before others are there;
// a registry.Registry is one. The first error that Persist gives is final.
type patient interface {
	Persist(ctx context.Context, pid int, what string, try func(context.Context) error) error
	Connected(pid int, component, dst string) bool
}

// Rest is the work that goes on behind Apply: enrolments and connections with
// neighbours that cannot be reached yet, and what comes after them.
type Rest struct {
	// Failed gives an *Error for each thing that turned out to be impossible,
	// and is closed when the work is over: all is done, or ctx has ended. It
	// has to be read.
	Failed <-chan error

	a *applier
}

// Waiting names the sections of the file that are not yet as they say.
func (r *Rest) Waiting() []string {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	return slices.Sorted(maps.Keys(r.a.waiting))
}

// Apply makes the node what the file says, in the order that the package
// describes. What exists already, as after a restart that kept its state, is
// taken as it is. The first failure ends the work; its error is an *Error
// with the place in the file, and what was done before stays.
//
// A neighbour that cannot be reached is no failure for a node that is patient:
// then Apply returns after a few seconds, and the Rest goes on until ctx ends.
func Apply(ctx context.Context, svc irm.Service, f *File) (*Rest, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	a := &applier{svc: svc, f: f, waiting: make(map[string]int), failures: make(chan error, 1)}
	a.patient, _ = svc.(patient)
	for _, n := range f.Names {
		if err := a.name(ctx, n); err != nil {
			return nil, err
		}
	}
	// A failure ends what has begun, too.
	life, end := context.WithCancel(ctx)
	for _, p := range f.steps() {
		if err := a.ipcp(life, p); err != nil {
			end()
			a.work.Wait()
			return nil, err
		}
	}
	go func() {
		defer end()
		a.work.Wait()
		close(a.failures)
	}()
	rest := &Rest{Failed: a.failures, a: a}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case err, failed := <-a.failures:
		if !failed { // nothing is left
			return rest, nil
		}
		end()
		for range a.failures { // until all has ended
		}
		return nil, err
	case <-late.C:
	case <-ctx.Done():
	}
	return rest, nil
}

// steps gives the IPCPs in the order in which they are made.
func (f *File) steps() []*IPCP {
	var below, above []*IPCP
	for _, p := range f.IPCPs {
		if p.Type == irm.Unicast || p.Type == irm.Broadcast {
			above = append(above, p)
		} else {
			below = append(below, p)
		}
	}
	return append(below, above...)
}

type applier struct {
	svc      irm.Service
	patient  patient // nil when svc is not
	f        *File
	work     sync.WaitGroup
	failures chan error

	mu      sync.Mutex
	waiting map[string]int // parts of the work that are not done, by section
}

// failed says which section could not be done, and why.
func (a *applier) failed(at span, err error, format string, args ...any) error {
	return a.f.errorAt(at, err, "", "%s: %s", fmt.Sprintf(format, args...), err)
}

func (a *applier) name(ctx context.Context, n *Name) error {
	where := "[name." + quoteKey(n.Info.Name) + "]"
	if err := a.svc.CreateName(ctx, n.Info); err != nil && !errors.Is(err, errno.Exist) {
		return a.failed(n.at, err, "%s: cannot create the name", where)
	}
	for _, p := range n.Programs {
		err := a.bind(ctx, n, p)
		if err != nil && !errors.Is(err, errno.Exist) {
			return a.failed(p.at, err, "%s: cannot bind the program %q", where, p.Program)
		}
	}
	return nil
}

// impersonator is a node whose programs can be started as another user than
// its own.
type impersonator interface {
	BindProgramAs(ctx context.Context, b irm.ProgramBinding, uid, gid uint32) error
}

func (a *applier) bind(ctx context.Context, n *Name, p Program) error {
	if n.User == nil {
		return a.svc.BindProgram(ctx, p.ProgramBinding)
	}
	uid, gid, err := n.User.account()
	if err != nil {
		return err
	}
	if as, ok := a.svc.(impersonator); ok {
		return as.BindProgramAs(ctx, p.ProgramBinding, uid, gid)
	}
	return errno.New(errno.NotSup, "this node cannot start programs as another user").Next("remove user")
}

func (p *IPCP) where() string { return "[" + p.Type.String() + "." + quoteKey(p.Name) + "]" }

// ipcp makes an IPCP. What may take a neighbour is done behind it by a node
// that is patient.
func (a *applier) ipcp(ctx context.Context, p *IPCP) error {
	pid, layer, err := a.create(ctx, p)
	if err != nil {
		return a.failed(p.at, err, "%s: cannot create the IPCP", p.where())
	}
	if layer == "" && p.Enrol == "" && p.Bootstrap != nil {
		info, err := a.svc.BootstrapIPCP(ctx, pid, p.Bootstrap)
		if err != nil {
			return a.failed(p.atLayer, err, "%s: cannot bootstrap the layer %q", p.where(), p.Bootstrap.Layer)
		}
		layer = info.Name
	}
	if a.patient == nil || p.Type != irm.Unicast && p.Type != irm.Broadcast {
		return a.furnish(ctx, p, pid, layer)
	}
	a.behind(ctx, p, func() error { return a.furnish(ctx, p, pid, layer) })
	return nil
}

// behind does a part of the work for an IPCP behind Apply. That it fails
// because ctx has ended is no news.
func (a *applier) behind(ctx context.Context, p *IPCP, do func() error) {
	count := func(n int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.waiting[p.where()] += n; a.waiting[p.where()] == 0 {
			delete(a.waiting, p.where())
		}
	}
	count(1)
	a.work.Go(func() {
		defer count(-1)
		err := do()
		if err == nil || ctx.Err() != nil {
			return
		}
		select {
		case a.failures <- err:
		case <-ctx.Done():
		}
	})
}

// furnish enrols an IPCP that is in no layer, binds it, registers the names and
// connects it.
func (a *applier) furnish(ctx context.Context, p *IPCP, pid int, layer string) error {
	if layer == "" && p.Enrol != "" {
		err := a.try(ctx, pid, "enroll with "+p.Enrol, func(ctx context.Context) (err error) {
			layer, err = a.enrol(ctx, p, pid)
			return err
		})
		if err != nil {
			return a.failed(p.atEnrol, err, "%s: cannot enrol with %q", p.where(), p.Enrol)
		}
	}
	if p.Autobind {
		for _, name := range []string{p.Name, layer} {
			if err := a.svc.BindProcess(ctx, pid, name); err != nil && !errors.Is(err, errno.Exist) {
				return a.failed(p.atBind, err, "%s: cannot bind the IPCP to the name %q", p.where(), name)
			}
		}
	}
	if a.patient != nil {
		for _, c := range p.Conn { // each for itself, and none waits for a directory
			a.behind(ctx, p, func() error { return a.conn(ctx, p, pid, c) })
		}
	}
	for _, r := range p.Reg {
		err := a.svc.CreateName(ctx, irm.NameInfo{Name: r.Value, Balance: irm.Spill})
		if err == nil || errors.Is(err, errno.Exist) {
			err = a.try(ctx, pid, "register "+r.Value, func(ctx context.Context) error {
				return a.svc.RegName(ctx, r.Value, pid)
			})
		}
		if err != nil {
			return a.failed(r.at, err, "%s: cannot register the name %q", p.where(), r.Value)
		}
	}
	if a.patient == nil {
		for _, c := range p.Conn {
			if err := a.conn(ctx, p, pid, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// try does something that takes a neighbour: once, or until it works.
func (a *applier) try(ctx context.Context, pid int, what string, try func(context.Context) error) error {
	if a.patient == nil {
		return try(ctx)
	}
	return a.patient.Persist(ctx, pid, what, try)
}

// enrol gives the layer into which the IPCP has come, now or while this was
// asked: a node that kept its state enrols by itself.
func (a *applier) enrol(ctx context.Context, p *IPCP, pid int) (layer string, err error) {
	info, err := a.svc.EnrollIPCP(ctx, pid, p.Enrol)
	if err == nil || !errors.Is(err, errno.IPCPState) {
		return info.Name, err
	}
	all, listErr := a.svc.ListIPCPs(ctx)
	if listErr != nil {
		return "", listErr
	}
	for _, i := range all {
		if i.PID == pid && i.Layer != irm.NotEnrolled {
			return i.Layer, nil
		}
	}
	return "", err
}

// create makes the IPCP, or finds it: layer is that which it is in already.
func (a *applier) create(ctx context.Context, p *IPCP) (pid int, layer string, err error) {
	pid, err = a.svc.CreateIPCP(ctx, p.Name, p.Type)
	if !errors.Is(err, errno.Exist) {
		return pid, "", err
	}
	all, listErr := a.svc.ListIPCPs(ctx)
	if listErr != nil {
		return 0, "", listErr
	}
	for _, i := range all {
		switch {
		case i.Name != p.Name:
		case i.Type != p.Type:
			return 0, "", fmt.Errorf("an IPCP of that name exists and its kind is %s", i.Type)
		case i.Layer == irm.NotEnrolled:
			return i.PID, "", nil
		case p.Bootstrap != nil && i.Layer != p.Bootstrap.Layer:
			return 0, "", fmt.Errorf("it exists and is in the layer %q", i.Layer)
		default:
			return i.PID, i.Layer, nil
		}
	}
	return 0, "", err
}

// conn connects the components that the kind of IPCP has with a neighbour,
// management first. A node that is patient keeps what it has got; else a
// failure leaves nothing half connected.
func (a *applier) conn(ctx context.Context, p *IPCP, pid int, dst Text) error {
	components := []string{irm.Management, irm.DataTransfer}
	if p.Type == irm.Broadcast {
		components = components[1:]
	}
	for n, c := range components {
		if a.patient != nil && a.patient.Connected(pid, c, dst.Value) {
			continue
		}
		err := a.try(ctx, pid, "connect "+c+" with "+dst.Value, func(ctx context.Context) error {
			return a.svc.ConnectIPCP(ctx, pid, c, dst.Value, qos.Raw)
		})
		if err == nil {
			continue
		}
		if a.patient == nil && n > 0 {
			err = errors.Join(err, a.svc.DisconnectIPCP(ctx, pid, components[0], dst.Value))
		}
		return a.failed(dst.at, err, "%s: cannot connect to %q", p.where(), dst.Value)
	}
	return nil
}
