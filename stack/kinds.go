package stack

import (
	"log/slog"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/local"
	"ouroboros/internal/registry"
	"ouroboros/irm"
)

// kinds are the IPCPs that this build has.
func kinds(t irm.IPCPType) ipcp.Constructor {
	switch t {
	case irm.Local:
		return local.New
	}
	return nil
}

// newIPCP makes IPCPs, each behind its guard. The host hears of a failure.
func newIPCP(log *slog.Logger) func(irm.IPCPType, ipcp.Identity, ipcp.Host) (ipcp.IPCP, error) {
	return func(t irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
		build := kinds(t)
		if build == nil {
			return nil, errno.New(errno.IPCPType, "this build has no %v IPCP yet", t)
		}
		var failed func(error)
		if h, ok := host.(registry.Failure); ok {
			failed = h.Failed
		}
		g, err := ipcp.Start(t, build, ipcp.Env{Identity: id, Host: host, Log: log}, failed)
		if err != nil {
			return nil, err
		}
		return g, nil
	}
}
