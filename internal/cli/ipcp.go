package cli

import (
	"context"
	"errors"
	"strconv"

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
	return c.eachComponent(ctx, true, func(pid int, component string) error {
		s := qos.Raw
		if component == irm.DataTransfer {
			s = spec
		}
		return c.svc.ConnectIPCP(ctx, pid, component, c.Value("dst"), s)
	})
}

func (c *call) disconnectIPCP(ctx context.Context) error {
	return c.eachComponent(ctx, false, func(pid int, component string) error {
		return c.svc.DisconnectIPCP(ctx, pid, component, c.Value("dst"))
	})
}

// eachComponent calls f for the components that the keyword component chooses,
// management first or last, and stops at the first failure. A broadcast IPCP
// has data transfer only, so a pattern does not choose management there.
func (c *call) eachComponent(ctx context.Context, managementFirst bool, f func(pid int, component string) error) error {
	found, err := c.chosen(ctx, c.Value("name"))
	if err != nil {
		return err
	}
	pattern := c.Value("component")
	if pattern == "" {
		pattern = "*"
	}
	order := [2]struct{ word, name string }{{"mgmt", irm.Management}, {"dt", irm.DataTransfer}}
	if !managementFirst {
		order[0], order[1] = order[1], order[0]
	}
	for _, i := range found {
		for _, o := range order {
			if !grammar.Wildcard(pattern, o.word) {
				continue
			}
			if i.Type == irm.Broadcast && o.word == "mgmt" && grammar.Wildcard(pattern, "dt") {
				continue
			}
			if err := f(i.PID, o.name); err != nil {
				return err
			}
		}
	}
	return nil
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
	for _, i := range found {
		state, err := c.svc.ShowIPCP(ctx, i.PID)
		if err != nil {
			return err
		}
		all = append(all, shownView{viewIPCP(i), tidy(state)})
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
