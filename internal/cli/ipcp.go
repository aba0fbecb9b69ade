package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/internal/table"
	"ouroboros/irm"
	"ouroboros/qos"
)

func (c *call) createIPCP(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	t, _ := irm.ParseType(c.Value("type"))
	pid, err := svc.CreateIPCP(ctx, c.Value("name"), t)
	if err != nil || !c.Options.JSON {
		return err
	}
	return c.json(createdView{pid, c.Value("name"), t.String()})
}

func (c *call) destroyIPCP(ctx context.Context) error {
	found, err := c.chosen(ctx, c.Value("name"))
	if err != nil {
		return err
	}
	var failed []error
	for _, i := range found {
		failed = append(failed, c.svc.DestroyIPCP(ctx, i.PID))
	}
	return errors.Join(failed...)
}

func (c *call) connectIPCP(ctx context.Context) error {
	spec := qos.Raw
	if word := c.Value("qos"); word != "" {
		var ok bool
		if spec, ok = qos.Parse(word); !ok {
			c.warn("qos cannot be %q, so it is raw; it can be raw, best, video, voice, data", word)
			spec = qos.Raw
		}
	}
	chosen, err := c.components(ctx)
	if err != nil {
		return err
	}
	for _, i := range chosen {
		if err := c.connectOne(ctx, i, spec); err != nil {
			return err
		}
	}
	return nil
}

// connectOne connects the components of one IPCP, management first and always
// raw. When one fails the one before it is disconnected again: a member that is
// half connected helps nobody.
func (c *call) connectOne(ctx context.Context, i connectable, spec qos.Spec) error {
	dst := c.Value("dst")
	for n, component := range i.components {
		s := qos.Raw
		if component == irm.DataTransfer {
			s = spec
		}
		err := c.svc.ConnectIPCP(ctx, i.PID, component, dst, s)
		if err == nil {
			continue
		}
		if n == 0 {
			return err
		}
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if uerr := c.svc.DisconnectIPCP(undo, i.PID, i.components[0], dst); uerr != nil {
			c.warn("%v", uerr)
			return err
		}
		return also(err, "%s was connected and is disconnected again", i.components[0])
	}
	return nil
}

// also adds to the cause of an error.
func also(err error, format string, args ...any) error {
	more := fmt.Sprintf(format, args...)
	var d *errno.Detail
	if !errors.As(err, &d) {
		return errno.New(err, "%v (%s)", err, more)
	}
	return &errno.Detail{Err: err, Cause: d.Cause + " (" + more + ")", Hint: d.Hint}
}

func (c *call) disconnectIPCP(ctx context.Context) error {
	chosen, err := c.components(ctx)
	if err != nil {
		return err
	}
	for _, i := range chosen {
		for _, component := range slices.Backward(i.components) {
			if err := c.svc.DisconnectIPCP(ctx, i.PID, component, c.Value("dst")); err != nil {
				return err
			}
		}
	}
	return nil
}

// connectable is an IPCP and those of its components that were chosen,
// management first.
type connectable struct {
	irm.IPCPInfo
	components []string
}

// components finds the IPCPs, and what the keyword component chooses of each. A
// broadcast IPCP has data transfer only, so a pattern does not choose
// management there.
func (c *call) components(ctx context.Context) ([]connectable, error) {
	found, err := c.chosen(ctx, c.Value("name"))
	if err != nil {
		return nil, err
	}
	pattern := c.Value("component")
	if pattern == "" {
		pattern = "*"
	}
	dt := grammar.Wildcard(pattern, "dt")
	var all []connectable
	for _, i := range found {
		one := connectable{IPCPInfo: i}
		if grammar.Wildcard(pattern, "mgmt") && !(dt && i.Type == irm.Broadcast) {
			one.components = append(one.components, irm.Management)
		}
		if dt {
			one.components = append(one.components, irm.DataTransfer)
		}
		all = append(all, one)
	}
	return all, nil
}

// noComponent says that no IPCP that was chosen shows such a component.
func noComponent(arg string, known []string) error {
	slices.Sort(known)
	known = slices.Compact(known)
	err := errno.New(errno.Invalid, "no component %q is shown", arg)
	switch near := grammar.Nearest(arg, known); {
	case near != "":
		return err.Next("did you mean %q?", near)
	case len(known) == 0:
		return err.Next("the IPCP shows none")
	}
	return err.Next("there are %s", strings.Join(known, ", "))
}

// ipcpColumns are those that scripts know.
var ipcpColumns = []table.Column{{Title: "pid", Width: 7}, {Title: "name", Width: 20}, {Title: "type", Width: 10}, {Title: "layer", Width: 20}}

func (c *call) listIPCPs(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	all, err := svc.ListIPCPs(ctx)
	if err != nil {
		return err
	}
	shown := []irm.IPCPInfo{}
	for _, i := range all {
		if c.Has("name") && !grammar.Wildcard(c.Value("name"), i.Name) ||
			c.Has("layer") && !(enrolled(i) && grammar.Wildcard(c.Value("layer"), i.Layer)) ||
			c.Has("type") && c.Value("type") != i.Type.String() {
			continue
		}
		shown = append(shown, i)
	}
	if c.Options.JSON {
		return c.json(views(shown, viewIPCP))
	}
	if len(all) == 0 {
		return c.printf("No IPCPs in system.\n\n")
	}
	var rows [][]string
	for _, i := range shown {
		layer := i.Layer
		if !enrolled(i) {
			layer = irm.NotEnrolled
		}
		rows = append(rows, []string{strconv.Itoa(i.PID), printable(i.Name), i.Type.String(), printable(layer)})
	}
	if err := table.Write(c.env.Stdout, ipcpColumns, rows); err != nil {
		return err
	}
	return c.printf("\n")
}

func (c *call) showIPCP(ctx context.Context) error {
	found, err := c.chosen(ctx, c.Value("name"))
	if err != nil {
		return err
	}
	all := []shownView{}
	var known []string
	for _, i := range found {
		state, err := c.svc.ShowIPCP(ctx, i.PID)
		if err != nil {
			return err
		}
		components := tidy(state).(map[string]any)
		known = slices.AppendSeq(known, maps.Keys(components))
		if c.Has("component") {
			maps.DeleteFunc(components, func(k string, _ any) bool { return !grammar.Wildcard(c.Value("component"), k) })
			if len(components) == 0 {
				continue
			}
		}
		all = append(all, shownView{viewIPCP(i), components})
	}
	if c.Has("component") && len(all) == 0 {
		return noComponent(c.Value("component"), known)
	}
	if c.Options.JSON {
		if len(all) == 1 && !grammar.HasWildcard(c.Value("name")) {
			return c.json(all[0])
		}
		return c.json(all)
	}
	for n, s := range all {
		if n > 0 {
			if err := c.printf("\n"); err != nil {
				return err
			}
		}
		layer := s.Layer
		if layer == "" {
			layer = irm.NotEnrolled
		}
		if err := c.printf("%s\n  pid     %d\n  type    %s\n  layer   %s\n  hash    %s\n  state   %s\n",
			printable(s.Name), s.PID, s.Type, printable(layer), scalar(s.Hash), scalar(s.State)); err != nil {
			return err
		}
		if err := c.tree(s.Components.(map[string]any), 2); err != nil {
			return err
		}
	}
	return nil
}
