package daemon

import (
	"ouroboros/internal/config"
	"ouroboros/internal/registry"
	"ouroboros/internal/server"
)

// accessOf turns the names of users and groups into numbers. They were looked
// up before, by config.File.Check.
func accessOf(c config.Access) (server.Access, error) {
	var a server.Access
	var err error
	if a.Manage, err = usersOf(c.Manage); err != nil {
		return a, err
	}
	if c.Flows != nil {
		flows, err := usersOf(c.Flows)
		if err != nil {
			return a, err
		}
		a.Flows = &flows
	}
	return a, nil
}

func usersOf(list []config.Principal) (server.Users, error) {
	var u server.Users
	for _, p := range list {
		id, err := p.ID()
		switch {
		case err != nil:
			return u, err
		case p.Group:
			u.GIDs = append(u.GIDs, id)
		default:
			u.UIDs = append(u.UIDs, id)
		}
	}
	return u, nil
}

func nodeLimits(l config.Limits) registry.Limits {
	return registry.Limits{
		Flows: l.Flows, FlowsPerProcess: l.FlowsPerProcess, FlowsPerUser: l.FlowsPerUser,
		AcceptsPerProcess: l.AcceptsPerProcess, AllocsPerProcess: l.AllocsPerProcess,
		Names: l.Names, Programs: l.Programs, Processes: l.Processes,
		IPCPs: l.IPCPs, Watchers: l.Watchers,
	}
}

func serverLimits(l config.Limits) server.Limits {
	return server.Limits{
		Clients: l.Clients, ClientsPerUser: l.ClientsPerUser,
		Calls: l.Calls, CallsPerUser: l.CallsPerUser,
	}
}
