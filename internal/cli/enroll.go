package cli

import (
	"context"
	"time"

	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

// undoTimeout is how long a failed command takes to clean up at most.
const undoTimeout = 5 * time.Second

func (c *call) enrollIPCP(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	t := irm.Unicast
	if c.Has("type") {
		t, _ = irm.ParseType(c.Value("type"))
	}
	name := c.Value("name")
	all, err := svc.ListIPCPs(ctx)
	if err != nil {
		return err
	}
	var found []irm.IPCPInfo
	for _, i := range choose(all, name) {
		if i.Type == t {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		for _, i := range all {
			if i.Name == name {
				return invalid("the IPCP %q is %s, not %s", name, i.Type, t).Next("choose another name, or the right type")
			}
		}
		if grammar.HasWildcard(name) {
			return noIPCP(all, name)
		}
		pid, err := svc.CreateIPCP(ctx, name, t)
		if err != nil {
			return err
		}
		found = []irm.IPCPInfo{{PID: pid, Name: name, Type: t}}
	}
	for n := range found {
		if err := c.enrollOne(ctx, &found[n]); err != nil {
			return err
		}
	}
	if c.Options.JSON {
		return c.json(views(found, viewIPCP))
	}
	return nil
}

func (c *call) enrollOne(ctx context.Context, i *irm.IPCPInfo) error {
	dst := c.Value("dst")
	if dst == "" {
		dst = c.Value("layer")
	}
	layer, err := c.svc.EnrollIPCP(ctx, i.PID, dst)
	if err != nil {
		return err
	}
	i.Layer, i.Hash, i.State = layer.Name, layer.Hash, "operational"
	if want := c.Value("layer"); want != "" && want != layer.Name {
		return layerMismatch(*i, want, dst)
	}
	if c.Has("autobind") {
		_, err = c.autobind(ctx, i.PID, i.Name, layer.Name)
	}
	return err
}
