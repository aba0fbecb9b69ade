package stack

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/broadcast"
	"ouroboros/internal/ipcp/eth"
	"ouroboros/internal/ipcp/local"
	"ouroboros/internal/ipcp/udp"
	"ouroboros/internal/ipcp/unicast"
	"ouroboros/internal/registry"
	"ouroboros/irm"
)

// kinds are the IPCPs that this build has.
var kinds = map[irm.IPCPType]ipcp.Constructor{
	irm.Local:     local.New,
	irm.Unicast:   unicast.New,
	irm.Broadcast: broadcast.New,
	irm.EthLLC:    eth.NewLLC,
	irm.EthDIX:    eth.NewDIX,
	irm.UDP4:      udp.New4,
	irm.UDP6:      udp.New6,
}

// unknownKind says which kinds there are instead.
func unknownKind(t irm.IPCPType) error {
	var have []string
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		have = append(have, k.String())
	}
	return errno.New(errno.IPCPType, "this version has no IPCPs of type %v", t).
		Next("it has these types: %s", strings.Join(have, ", "))
}

// newIPCP makes IPCPs, of the kinds in own or else of this build, each behind
// its guard. The host hears of a failure.
func newIPCP(own map[irm.IPCPType]ipcp.Constructor) func(*slog.Logger) func(irm.IPCPType, ipcp.Identity, ipcp.Host) (ipcp.IPCP, error) {
	return func(log *slog.Logger) func(irm.IPCPType, ipcp.Identity, ipcp.Host) (ipcp.IPCP, error) {
		return func(t irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
			build := own[t]
			if build == nil {
				build = kinds[t]
			}
			if build == nil {
				return nil, unknownKind(t)
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
}
