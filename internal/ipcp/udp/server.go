package udp

import (
	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// useServer makes a DNS server the directory of the layer.
func (l *layer) useServer(u *irm.UDPConfig) error {
	return errno.New(errno.NotSup, "this version cannot use the DNS server %v", u.DNS).
		Next("leave it out, and add lines to /etc/hosts")
}
