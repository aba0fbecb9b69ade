package dyndns

import (
	"context"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"ouroboros/internal/errno"
)

// Lookup gives the addresses at which name is registered, IPv6 or IPv4, and
// how long they may be believed. The error is errno.NameError when there are
// none. With a configured zone the bare name is asked for as well, where the C
// implementation writes its records.
func (c *Client) Lookup(ctx context.Context, name string, v6 bool) ([]netip.Addr, time.Duration, error) {
	f := failure{c: c, verb: "look up", name: name}
	if !validName(name) {
		return nil, 0, f.invalid()
	}
	kind := dns.TypeA
	if v6 {
		kind = dns.TypeAAAA
	}
	full, bare := fqdn(name, c.zone), fqdn(name, "")
	for {
		m := new(dns.Msg)
		m.SetQuestion(full, kind)
		// The second question is for the server's own zones: nobody else has to
		// be asked for it, and a server of one zone alone refuses it.
		second := full == bare && !inZone(bare, c.zone)
		m.RecursionDesired = !second
		answer, err := c.exchange(ctx, m)
		switch {
		case err != nil:
			return nil, 0, f.of(err)
		case answer.Rcode == dns.RcodeSuccess, answer.Rcode == dns.RcodeNameError:
		case second:
			return nil, 0, f.unknown(v6)
		default:
			return nil, 0, f.refused(answer)
		}
		if addrs, ttl := addresses(answer, full, kind); len(addrs) > 0 {
			return addrs, ttl, nil
		}
		if full == bare {
			return nil, 0, f.unknown(v6)
		}
		full = bare
	}
}

// addresses gives the addresses of a name in an answer, aliases followed, and
// the shortest time to live on the way.
func addresses(answer *dns.Msg, name string, kind uint16) (addrs []netip.Addr, ttl time.Duration) {
	least := uint32(1<<31 - 1)
	name = dns.CanonicalName(name)
	for range len(answer.Answer) + 1 { // so many aliases at most
		alias := ""
		for _, rr := range answer.Answer {
			h := rr.Header()
			if dns.CanonicalName(h.Name) != name || h.Class != dns.ClassINET {
				continue
			}
			switch rr := rr.(type) {
			case *dns.CNAME:
				alias, least = dns.CanonicalName(rr.Target), min(least, h.Ttl)
			case *dns.A:
				if addr, ok := netip.AddrFromSlice(rr.A.To4()); ok && kind == dns.TypeA {
					addrs, least = append(addrs, addr), min(least, h.Ttl)
				}
			case *dns.AAAA:
				if addr, ok := netip.AddrFromSlice(rr.AAAA.To16()); ok && kind == dns.TypeAAAA {
					addrs, least = append(addrs, addr), min(least, h.Ttl)
				}
			}
		}
		if len(addrs) > 0 || alias == "" {
			break
		}
		name = alias
	}
	return addrs, time.Duration(least) * time.Second
}

func (f failure) unknown(v6 bool) error {
	kind := "IPv4"
	if v6 {
		kind = "IPv6"
	}
	return errno.New(errno.NameError, "the DNS server %s knows no %s address of %s", f.c.server, kind, f.name).
		Next("register the name in the layer at its destination, with the same DNS server")
}
