package udp

import (
	"net/netip"

	"ouroboros/internal/dyndns"
	"ouroboros/irm"
)

// useServer makes a DNS server the directory of the layer. It is not asked
// anything yet: a server that is down now may be up when it is needed.
func (l *layer) useServer(u *irm.UDPConfig) error {
	server, err := dyndns.New(dyndns.Config{
		Server: netip.AddrPortFrom(u.DNS, dyndns.DefaultPort), Zone: u.Zone, KeyFile: u.Key, TTL: recordTTL,
	})
	if err != nil {
		return err
	}
	l.server = newRegistrar(l, server, u.DNS.String())
	l.finder = l.server
	return nil
}
