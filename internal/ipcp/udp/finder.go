package udp

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// Times of finding an address.
const (
	findWait  = 15 * time.Second // longest that a resolver may take; who asked may have gone before
	systemTTL = time.Minute      // of what the resolver of the system says, which does not say how long it is good
	leastTTL  = time.Second      // of what a DNS server says
)

// finds is the most names that are looked for at the same time.
const finds = 64

// Finder turns the name of a hash, 32 hexadecimal digits, into addresses: the
// best first. The error is errno.NameError when it is known that there are
// none. It says with String what it is.
type Finder interface {
	Find(ctx context.Context, name string) (addrs []netip.Addr, ttl time.Duration, err error)
	String() string
}

// dnsName is how a hash is called in DNS and in the hosts file: 32 hexadecimal
// digits, in lower case.
func dnsName(hash []byte) string { return hex.EncodeToString(hash) }

// find gives the address of a member that has the name. Those who ask for the
// same name at the same time share one answer, which is kept also when nobody
// waits for it any more.
func (l *layer) find(ctx context.Context, hash []byte) (netip.AddrPort, error) {
	if at, ok := l.Directory.Lookup(hash); ok {
		return at, nil
	}
	q, first := l.Directory.Ask(hash)
	defer l.Directory.Leave(q)
	if first {
		own, _ := l.Directory.Ask(hash) // the search goes on for who comes later
		l.i.env.Go(func() {
			defer l.Directory.Leave(own)
			l.search(hash)
		})
	}
	select {
	case <-q.Done():
	case <-ctx.Done():
		return netip.AddrPort{}, context.Cause(ctx)
	}
	if err := q.Err(); err != nil {
		return netip.AddrPort{}, err
	}
	at, ok := l.Directory.Lookup(hash)
	if !ok {
		return at, errno.New(errno.NameError, "the address of the name has changed")
	}
	return at, nil
}

// search answers the question for a name.
func (l *layer) search(hash []byte) {
	ctx, cancel := context.WithTimeout(l.i.env.Context, findWait)
	defer cancel()
	select {
	case l.finding <- struct{}{}:
		defer func() { <-l.finding }()
	case <-ctx.Done():
		l.Directory.Fail(hash, context.Cause(ctx))
		return
	}
	addrs, ttl, err := l.finder.Find(ctx, dnsName(hash))
	if err == nil && len(addrs) == 0 {
		err = errno.New(errno.NameError, "layer %q does not know the name", l.name)
	}
	if err != nil {
		l.Directory.Fail(hash, err)
		return
	}
	at := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		at[i] = netip.AddrPortFrom(a.Unmap(), l.local.Port())
	}
	l.Directory.AddAll(hash, at, max(ttl, leastTTL))
}

// system is the resolver of the system: the hosts file, then DNS.
type system struct {
	resolver net.Resolver
	network  string // ip4 or ip6
}

func newSystem(kind irm.IPCPType) *system {
	if kind == irm.UDP4 {
		return &system{network: "ip4"}
	}
	return &system{network: "ip6"}
}

func (s *system) String() string { return "the resolver of the system" }

func (s *system) Find(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	addrs, err := s.resolver.LookupNetIP(ctx, s.network, name)
	var unknown *net.DNSError
	switch {
	case err == nil:
		return addrs, systemTTL, nil
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return nil, 0, errno.New(errno.NameError, "no %s address has the name %s", s.family(), name).
			Next("add a line to /etc/hosts: ADDRESS %s", name)
	case ctx.Err() != nil:
		return nil, 0, errno.New(errno.TimedOut, "the resolver of this host does not answer").
			Next("add a line to /etc/hosts: ADDRESS %s", name)
	}
	return nil, 0, errno.New(errno.IPCP, "cannot resolve %s: %v", name, err).
		Next("see /etc/resolv.conf, or add a line to /etc/hosts: ADDRESS %s", name)
}

func (s *system) family() string {
	if s.network == "ip4" {
		return "IPv4"
	}
	return "IPv6"
}
