package dyndns

import (
	"context"
	"net/netip"

	"github.com/miekg/dns"

	"ouroboros/internal/errno"
)

// Register adds the record that says name is reached at addr, of type A or
// AAAA as addr is. Records of others stay. Registering twice is no error.
func (c *Client) Register(ctx context.Context, name string, addr netip.Addr) error {
	return c.update(ctx, "register", name, addr, func(m *dns.Msg, rr dns.RR) { m.Insert([]dns.RR{rr}) })
}

// Unregister removes that record, and no other. It is no error when there is
// none.
func (c *Client) Unregister(ctx context.Context, name string, addr netip.Addr) error {
	return c.update(ctx, "unregister", name, addr, func(m *dns.Msg, rr dns.RR) { m.Remove([]dns.RR{rr}) })
}

func (c *Client) update(ctx context.Context, verb, name string, addr netip.Addr, change func(*dns.Msg, dns.RR)) error {
	f := failure{c: c, verb: verb, name: name}
	if !validName(name) {
		return f.invalid()
	}
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsUnspecified() {
		return errno.New(errno.Invalid, "cannot %s %s in the DNS: %v is no address that others can use", verb, name, addr).
			Next("give the layer an address of this host")
	}
	for again := false; ; again = true {
		zone, learned, err := c.zoneOf(ctx, name)
		if err != nil {
			return f.of(err)
		}
		f.zone = zone
		m := new(dns.Msg)
		m.SetUpdate(zone)
		change(m, c.record(fqdn(name, zone), addr))
		answer, err := c.exchange(ctx, m)
		switch {
		case err != nil:
			return f.of(err)
		case answer.Rcode == dns.RcodeSuccess:
			return nil
		case learned && !again && (answer.Rcode == dns.RcodeNotAuth && answer.IsTsig() == nil || answer.Rcode == dns.RcodeNotZone):
			// The server has other zones than when it was asked.
			c.forget(zone)
		default:
			return f.refused(answer)
		}
	}
}

// record is the address record of a name.
func (c *Client) record(name string, addr netip.Addr) dns.RR {
	h := dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: c.ttl}
	if addr.Is4() {
		return &dns.A{Hdr: h, A: addr.AsSlice()}
	}
	h.Rrtype = dns.TypeAAAA
	return &dns.AAAA{Hdr: h, AAAA: addr.AsSlice()}
}

// zoneOf gives the zone of a name: the configured one, or the one that the
// server says the bare name lies in; learned says that it was learned from the
// server before.
func (c *Client) zoneOf(ctx context.Context, name string) (zone string, learned bool, err error) {
	if c.zone != "" {
		return c.zone, false, nil
	}
	c.mu.Lock()
	zone = c.found
	c.mu.Unlock()
	if zone != "" {
		return zone, true, nil
	}
	m := new(dns.Msg)
	m.SetQuestion(fqdn(name, ""), dns.TypeSOA)
	m.RecursionDesired = false
	answer, err := c.exchange(ctx, m)
	if err != nil {
		return "", false, err
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return "", false, refusal{answer}
	}
	for _, section := range [][]dns.RR{answer.Answer, answer.Ns} {
		for _, rr := range section {
			soa, ok := rr.(*dns.SOA)
			if ok && dns.IsSubDomain(soa.Hdr.Name, m.Question[0].Name) {
				zone = dns.CanonicalName(soa.Hdr.Name)
				c.mu.Lock()
				c.found = zone
				c.mu.Unlock()
				return zone, false, nil
			}
		}
	}
	return "", false, errNoZone
}

// forget drops what the server said about its zones.
func (c *Client) forget(zone string) {
	c.mu.Lock()
	if c.found == zone {
		c.found = ""
	}
	c.mu.Unlock()
}

func validName(name string) bool {
	_, ok := dns.IsDomainName(name)
	return ok && name != "" && name != "."
}
