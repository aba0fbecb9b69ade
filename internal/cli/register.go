package cli

import (
	"context"
	"errors"

	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

// place is an argument of name register or unregister with the IPCPs that it
// chooses.
type place struct {
	word, arg string
	ipcps     []irm.IPCPInfo
}

// places finds the IPCPs of all the layer and ipcp keywords.
func (c *call) places(ctx context.Context) ([]place, []irm.IPCPInfo, error) {
	svc, err := c.service(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := svc.ListIPCPs(ctx)
	if err != nil {
		return nil, nil, err
	}
	var found []place
	for _, word := range []string{"layer", "ipcp"} {
		for _, arg := range c.Values(word) {
			p := place{word: word, arg: arg}
			for _, i := range all {
				if word == "layer" && enrolled(i) && grammar.Wildcard(arg, i.Layer) ||
					word == "ipcp" && grammar.Wildcard(arg, i.Name) {
					p.ipcps = append(p.ipcps, i)
				}
			}
			found = append(found, p)
		}
	}
	return found, all, nil
}

// registerName registers with each IPCP once, goes on after a failure, and
// reports every argument that led to none.
func (c *call) registerName(ctx context.Context) error {
	name := c.Value("name")
	places, all, err := c.places(ctx)
	if err != nil {
		return err
	}
	var failed []error
	var chosen []irm.IPCPInfo
	seen := map[int]bool{}
	for _, p := range places {
		use := p.ipcps
		if grammar.HasWildcard(p.arg) {
			use = directories(use)
		}
		if len(use) == 0 {
			failed = append(failed, noPlace(p, all, name))
		}
		for _, i := range use {
			if !seen[i.PID] {
				seen[i.PID] = true
				chosen = append(chosen, i)
			}
		}
	}
	if len(chosen) == 0 {
		return errors.Join(failed...)
	}
	before, err := c.nameSet(ctx)
	if err != nil {
		return err
	}
	if err := c.svc.CreateName(ctx, irm.NameInfo{Name: name, Balance: irm.Spill}); err != nil {
		return err
	}
	done := 0
	for _, i := range chosen {
		err := c.svc.RegName(ctx, name, i.PID)
		if err == nil {
			done++
		}
		failed = append(failed, err)
	}
	if done == 0 {
		c.tidyNames(ctx, before, name)
	}
	return errors.Join(failed...)
}

// directories leaves out IPCPs that a pattern cannot mean: those in no layer
// and those of broadcast layers, which have no directory.
func directories(ipcps []irm.IPCPInfo) []irm.IPCPInfo {
	var left []irm.IPCPInfo
	for _, i := range ipcps {
		if enrolled(i) && i.Type != irm.Broadcast {
			left = append(left, i)
		}
	}
	return left
}

// noPlace says that an argument chooses no IPCP.
func noPlace(p place, all []irm.IPCPInfo, name string) error {
	if p.word == "ipcp" && len(p.ipcps) == 0 {
		return noIPCP(all, p.arg)
	}
	var layers []string
	for _, i := range all {
		if enrolled(i) {
			layers = append(layers, i.Layer)
		}
	}
	err := errno.New(errno.IPCP, "cannot register %q: this node is in no layer %q", name, p.arg)
	switch {
	case p.word == "ipcp":
		err = errno.New(errno.IPCP, "cannot register %q: no IPCP that matches %q has a directory", name, p.arg)
	case grammar.HasWildcard(p.arg):
		err = errno.New(errno.IPCP, "cannot register %q: no layer of this node matches %q", name, p.arg)
	}
	if near := grammar.Nearest(p.arg, layers); near != "" && p.word == "layer" {
		return err.Next("did you mean %q?", near)
	}
	return err.Next("see: irm ipcp list")
}

// unregisterName undoes those registrations that an argument chooses, and
// reports every argument that chooses none.
func (c *call) unregisterName(ctx context.Context) error {
	info, err := c.findName(ctx, c.Value("name"))
	if err != nil {
		return err
	}
	registered := map[int]bool{}
	for _, r := range info.Registrations {
		registered[r.PID] = true
	}
	if len(registered) == 0 {
		return errno.New(errno.NameError, "the name %q is registered nowhere", info.Name).Next("see: irm name show %s", info.Name)
	}
	places, _, err := c.places(ctx)
	if err != nil {
		return err
	}
	var failed []error
	done := map[int]bool{}
	for _, p := range places {
		some := false
		for _, i := range p.ipcps {
			if !registered[i.PID] {
				continue
			}
			some = true
			if !done[i.PID] {
				done[i.PID] = true
				failed = append(failed, c.svc.UnregName(ctx, info.Name, i.PID))
			}
		}
		if !some {
			failed = append(failed, errno.New(errno.NameError, "the name %q is not registered with the %s %q", info.Name, p.word, p.arg).
				Next("see: irm name show %s", info.Name))
		}
	}
	return errors.Join(failed...)
}
