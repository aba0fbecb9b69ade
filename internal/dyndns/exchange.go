package dyndns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/miekg/dns"
)

// errUnsigned: an answer to a signed question that nobody signed.
var errUnsigned = errors.New("the answer is not signed")

const (
	fudge      = 300     // seconds that the clocks may differ
	maxAnswer  = 1 << 16 // bytes
	retryPause = 100 * time.Millisecond
)

// exchange sends a question and gives the answer to it, whatever that says. A
// question without an answer is repeated. The error is of the network, or of
// an answer whose signature is wrong.
func (c *Client) exchange(ctx context.Context, m *dns.Msg) (answer *dns.Msg, err error) {
	for try := range tries {
		if try > 0 {
			if err := pause(ctx, retryPause); err != nil {
				return nil, err
			}
		}
		answer, err = c.ask(ctx, "udp", m)
		if err == nil && answer.Truncated {
			answer, err = c.ask(ctx, "tcp", m)
		}
		if err == nil || errors.Is(err, errUnsigned) {
			return answer, err
		}
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
	return nil, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask sends a question once, with an identifier and a port of its own, and
// waits for the answer.
func (c *Client) ask(ctx context.Context, network string, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, c.server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	m = m.Copy()
	m.Id = dns.Id()
	question, mac, err := c.pack(m)
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		question = append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...)
	}
	if _, err := conn.Write(question); err != nil {
		return nil, err
	}
	if network == "tcp" {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return nil, err
		}
		p := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, p); err != nil {
			return nil, err
		}
		answer, err := c.unpack(p, m, mac)
		if answer == nil && err == nil {
			err = errors.New("the answer is to another question")
		}
		return answer, err
	}
	var refused error // of a datagram that anybody may have sent
	for p := make([]byte, maxAnswer); ; {
		n, err := conn.Read(p)
		if err != nil {
			if refused != nil {
				return nil, refused
			}
			return nil, err
		}
		answer, err := c.unpack(p[:n], m, mac)
		if err != nil {
			refused = err
		} else if answer != nil {
			return answer, nil
		}
	}
}

// pack gives the bytes of a question, signed if there is a key, and the
// signature for the check of the answer.
func (c *Client) pack(m *dns.Msg) (p []byte, mac string, err error) {
	if !c.signs() {
		p, err = m.Pack()
		return p, "", err
	}
	m.SetTsig(c.key.Name, c.key.Algorithm, fudge, c.now().Unix())
	p, mac, err = dns.TsigGenerate(m, c.key.Secret, "", false)
	return p, mac, err
}

// unpack reads an answer; nil when it is none to this question. An answer to a
// signed question must be signed, unless it says why the server could not
// accept our signature.
func (c *Client) unpack(p []byte, m *dns.Msg, mac string) (*dns.Msg, error) {
	r := new(dns.Msg)
	if r.Unpack(p) != nil || r.Id != m.Id || !r.Response || r.Opcode != m.Opcode {
		return nil, nil
	}
	if len(r.Question) > 0 && len(m.Question) > 0 && !same(r.Question[0], m.Question[0]) {
		return nil, nil
	}
	if !c.signs() {
		return r, nil
	}
	t := r.IsTsig()
	switch {
	case t == nil && r.Rcode == dns.RcodeSuccess, t == nil && r.Rcode == dns.RcodeNameError:
		return nil, errUnsigned
	case t == nil:
		return r, nil
	case t.Error == dns.RcodeBadSig, t.Error == dns.RcodeBadKey, t.Error == dns.RcodeBadTime:
		// The server may have nothing to sign with. All that a forged one
		// can do is make this try fail.
		r.Rcode = dns.RcodeNotAuth
		return r, nil
	}
	if err := dns.TsigVerify(p, c.key.Secret, mac, false); err != nil {
		return nil, errors.Join(errUnsigned, err)
	}
	return r, nil
}

func same(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && dns.CanonicalName(a.Name) == dns.CanonicalName(b.Name)
}
