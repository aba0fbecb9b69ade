package dyndns

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"ouroboros/internal/errno"
)

// errNoZone: the server does not say which zone a name lies in.
var errNoZone = errors.New("the server does not say which zone the name lies in")

// refusal is an answer that says no.
type refusal struct{ answer *dns.Msg }

func (r refusal) Error() string { return dns.RcodeToString[r.answer.Rcode] }

// failure is what was tried.
type failure struct {
	c                *Client
	verb, name, zone string
}

func (f failure) invalid() error {
	return errno.New(errno.Invalid, "cannot %s %q in the DNS: it is no name there", f.verb, f.name).
		Next("use letters, digits and hyphens, at most 63 between two dots")
}

// say makes the error that a person sees.
func (f failure) say(sentinel error, why string) *errno.Detail {
	return errno.New(sentinel, "cannot %s %s with the DNS server %s: %s", f.verb, f.name, f.c.server, why)
}

// of explains an error of the exchange.
func (f failure) of(err error) error {
	var r refusal
	var n net.Error
	switch {
	case errors.As(err, &r):
		return f.refused(r.answer)
	case errors.Is(err, errNoZone):
		return f.say(errno.IPCP, err.Error()).Next("configure the zone, or use the server that has it")
	case errors.Is(err, errUnsigned):
		return f.say(errno.AuthFailed, "its answer is not signed with the key "+f.key()).
			Next("check that the server has this key; else somebody answers in its place")
	case errors.Is(err, context.Canceled):
		return f.say(context.Canceled, "given up")
	case errors.Is(err, syscall.ECONNREFUSED):
		return f.say(errno.Of(int(syscall.ECONNREFUSED)), "nothing listens there").
			Next("start the DNS server, or correct its address")
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return f.say(errno.Of(int(syscall.EHOSTUNREACH)), "there is no way to it").Next("check the routes: ip route get %s", f.host())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &n) && n.Timeout():
		return f.say(errno.TimedOut, "no answer").Next("check its address, and that no firewall drops UDP and TCP to its port")
	}
	return f.say(errno.IPCP, err.Error())
}

// refused explains an answer that says no.
func (f failure) refused(answer *dns.Msg) error {
	var tsig uint16
	if t := answer.IsTsig(); t != nil {
		tsig = t.Error
	}
	switch {
	case tsig == dns.RcodeBadKey:
		return f.say(errno.AuthFailed, "it does not know the key "+f.key()).
			Next("give both the same key: name, algorithm and secret")
	case tsig == dns.RcodeBadSig:
		return f.say(errno.AuthFailed, "the secret of the key "+f.key()+" is not the one that it has").
			Next("copy the secret, and check that the algorithm is the same")
	case tsig == dns.RcodeBadTime:
		return f.say(errno.AuthFailed, "its clock and the one of this host differ by more than "+(fudge*time.Second).String()).
			Next("set both clocks, best with NTP")
	case answer.Rcode == dns.RcodeRefused && answer.Opcode == dns.OpcodeUpdate && f.c.signs():
		return f.say(errno.Perm, "it does not let the key "+f.key()+" change the zone "+f.zone).
			Next("allow it there: update-policy or allow-update with this key")
	case answer.Rcode == dns.RcodeRefused && answer.Opcode == dns.OpcodeUpdate:
		return f.say(errno.Perm, "it does not let this host change the zone "+f.zone).
			Next("configure a key that the server accepts, or allow this host there: allow-update")
	case answer.Rcode == dns.RcodeRefused:
		return f.say(errno.Perm, "it refuses to answer this host").Next("allow it there: allow-query")
	case answer.Rcode == dns.RcodeNotAuth, answer.Rcode == dns.RcodeNotZone:
		return f.say(errno.NoEntry, "it is not the primary server of the zone "+f.zone).
			Next("make that zone there, or configure another zone or server")
	case answer.Rcode == dns.RcodeServerFailure:
		return f.say(errno.IPCP, "it failed").Next("see its log: often it may not write the zone's directory")
	case answer.Rcode == dns.RcodeNotImplemented:
		return f.say(errno.NotSup, "it has no dynamic updates").Next("use one that has, such as BIND")
	}
	return f.say(errno.IPCP, "it answers "+dns.RcodeToString[answer.Rcode]).Next("see its log")
}

func (f failure) key() string { return strings.TrimSuffix(f.c.key.Name, ".") }

func (f failure) host() string {
	host, _, err := net.SplitHostPort(f.c.server)
	if err != nil {
		return f.c.server
	}
	return host
}
