package cli

import (
	"context"

	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

// chosen lists the IPCPs that an argument means: the one that is named so, or
// else all whose name matches it as a pattern. None is an error.
func (c *call) chosen(ctx context.Context, arg string) ([]irm.IPCPInfo, error) {
	svc, err := c.service(ctx)
	if err != nil {
		return nil, err
	}
	all, err := svc.ListIPCPs(ctx)
	if err != nil {
		return nil, err
	}
	if found := choose(all, arg); len(found) > 0 {
		return found, nil
	}
	return nil, noIPCP(all, arg)
}

func choose(all []irm.IPCPInfo, arg string) []irm.IPCPInfo {
	var exact, match []irm.IPCPInfo
	for _, i := range all {
		if i.Name == arg {
			exact = append(exact, i)
		}
		if grammar.Wildcard(arg, i.Name) {
			match = append(match, i)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return match
}

// noIPCP says that no IPCP is named so, and what might be meant.
func noIPCP(all []irm.IPCPInfo, arg string) error {
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	var err *errno.Detail
	switch {
	case len(all) == 0:
		return errno.New(errno.IPCP, "there is no IPCP %q: the node has none", arg).
			Next("make one with: irm ipcp create name NAME type TYPE")
	case grammar.HasWildcard(arg):
		err = errno.New(errno.IPCP, "no IPCP has a name that matches %q", arg)
	default:
		err = errno.New(errno.IPCP, "there is no IPCP %q", arg)
	}
	if near := grammar.Nearest(arg, names); near != "" {
		return err.Next("did you mean %q?", near)
	}
	return err.Next("see: irm ipcp list")
}

// findName gives what is known of a name.
func (c *call) findName(ctx context.Context, name string) (irm.NameInfo, error) {
	svc, err := c.service(ctx)
	if err != nil {
		return irm.NameInfo{}, err
	}
	all, err := svc.ListNames(ctx)
	if err != nil {
		return irm.NameInfo{}, err
	}
	var names []string
	for _, n := range all {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return irm.NameInfo{}, noName(names, name)
}

func noName(names []string, name string) error {
	err := errno.New(errno.NameError, "there is no name %q", name)
	if near := grammar.Nearest(name, names); near != "" {
		return err.Next("did you mean %q?", near)
	}
	return err.Next("see: irm name list")
}

// nameSet gives the names that there are, for tidyNames.
func (c *call) nameSet(ctx context.Context) (map[string]bool, error) {
	all, err := c.svc.ListNames(ctx)
	if err != nil {
		return nil, err
	}
	set := make(map[string]bool, len(all))
	for _, n := range all {
		set[n.Name] = true
	}
	return set, nil
}

// tidyNames removes those of the names that a failed command has left behind:
// they were not there before, and nothing belongs to them.
func (c *call) tidyNames(ctx context.Context, before map[string]bool, names ...string) {
	all, err := c.svc.ListNames(ctx)
	if err != nil {
		return
	}
	for _, n := range all {
		if before[n.Name] || !contains(names, n.Name) ||
			len(n.Registrations)+len(n.Programs)+len(n.Processes) > 0 {
			continue
		}
		if err := c.svc.DestroyName(ctx, n.Name); err != nil {
			c.warn("%v", err)
		}
	}
}
