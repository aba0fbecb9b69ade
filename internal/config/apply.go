package config

import (
	"context"
	"errors"
	"fmt"
	"os"

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

// Apply makes the node what the file says, in the order that the package
// describes. What exists already, as after a restart that kept its state, is
// taken as it is. The first failure ends the work; its error is an *Error
// with the place in the file, and what was done before stays.
func Apply(ctx context.Context, svc irm.Service, f *File) error {
	if err := f.Check(); err != nil {
		return err
	}
	a := applier{svc: svc, f: f}
	for _, n := range f.Names {
		if err := a.name(ctx, n); err != nil {
			return err
		}
	}
	for _, p := range f.steps() {
		if err := a.ipcp(ctx, p); err != nil {
			return err
		}
	}
	return nil
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
	svc irm.Service
	f   *File
}

// failed says which section could not be done, and why.
func (a applier) failed(at span, err error, format string, args ...any) error {
	return a.f.errorAt(at, err, "", "%s: %s", fmt.Sprintf(format, args...), err)
}

func (a applier) name(ctx context.Context, n *Name) error {
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

func (a applier) bind(ctx context.Context, n *Name, p Program) error {
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

func (a applier) ipcp(ctx context.Context, p *IPCP) error {
	where := "[" + p.Type.String() + "." + quoteKey(p.Name) + "]"
	pid, layer, err := a.create(ctx, p)
	if err != nil {
		return a.failed(p.at, err, "%s: cannot create the IPCP", where)
	}
	switch {
	case layer != "": // is in one since before the restart
	case p.Enrol != "":
		info, err := a.svc.EnrollIPCP(ctx, pid, p.Enrol)
		if err != nil {
			return a.failed(p.atEnrol, err, "%s: cannot enrol with %q", where, p.Enrol)
		}
		layer = info.Name
	case p.Bootstrap != nil:
		info, err := a.svc.BootstrapIPCP(ctx, pid, p.Bootstrap)
		if err != nil {
			return a.failed(p.atLayer, err, "%s: cannot bootstrap the layer %q", where, p.Bootstrap.Layer)
		}
		layer = info.Name
	}
	if p.Autobind {
		for _, name := range []string{p.Name, layer} {
			if err := a.svc.BindProcess(ctx, pid, name); err != nil && !errors.Is(err, errno.Exist) {
				return a.failed(p.atBind, err, "%s: cannot bind the IPCP to the name %q", where, name)
			}
		}
	}
	for _, r := range p.Reg {
		err := a.svc.CreateName(ctx, irm.NameInfo{Name: r.Value, Balance: irm.Spill})
		if err == nil || errors.Is(err, errno.Exist) {
			err = a.svc.RegName(ctx, r.Value, pid)
		}
		if err != nil {
			return a.failed(r.at, err, "%s: cannot register the name %q", where, r.Value)
		}
	}
	for _, c := range p.Conn {
		if err := a.connect(ctx, p.Type, pid, c.Value); err != nil {
			return a.failed(c.at, err, "%s: cannot connect to %q", where, c.Value)
		}
	}
	return nil
}

// create makes the IPCP, or finds it: layer is that which it is in already.
func (a applier) create(ctx context.Context, p *IPCP) (pid int, layer string, err error) {
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

// connect connects both components of a unicast IPCP. A broadcast IPCP has
// only data transfer to connect.
func (a applier) connect(ctx context.Context, t irm.IPCPType, pid int, dst string) error {
	if t == irm.Unicast {
		if err := a.svc.ConnectIPCP(ctx, pid, irm.Management, dst, qos.Raw); err != nil {
			return err
		}
	}
	return a.svc.ConnectIPCP(ctx, pid, irm.DataTransfer, dst, qos.Raw)
}
