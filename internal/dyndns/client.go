package dyndns

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"ouroboros/internal/errno"
)

// The defaults of Config.
const (
	DefaultPort    = 53
	DefaultTimeout = time.Second
	DefaultTTL     = 5 * time.Minute
)

// tries is how often a question is sent.
const tries = 4

// Config says which server is used, and how.
type Config struct {
	// Server answers and takes updates. Port 0 is DefaultPort.
	Server netip.AddrPort

	// Zone is where records are written; empty: the server is asked which
	// zone the bare name lies in.
	Zone string

	// The TSIG key that messages are signed with, as the server knows it; all
	// empty: they are not signed. Algorithm is hmac-sha256 (also when empty),
	// hmac-sha512, or another of BIND's names. Secret is in base64. KeyFile is
	// a file in BIND's format, as tsig-keygen writes it, instead of the three.
	KeyName, Algorithm, Secret string
	KeyFile                    string

	// Timeout is how long one answer is waited for before the question is
	// repeated; 0 is DefaultTimeout.
	Timeout time.Duration

	// TTL is how long others may believe a record, in whole seconds; 0 is
	// DefaultTTL.
	TTL time.Duration
}

// Client registers and looks up addresses. All methods may be called from any
// goroutine.
type Client struct {
	server  string // address and port
	zone    string // configured, fully qualified; or empty
	key     Key
	timeout time.Duration
	ttl     uint32 // seconds
	now     func() time.Time

	mu    sync.Mutex
	found string // the zone that the server named
}

// New makes a Client; the server is not asked for anything yet.
func New(cfg Config) (*Client, error) {
	if !cfg.Server.Addr().IsValid() {
		return nil, errno.New(errno.Invalid, "dynamic DNS needs the address of a server").Next("give its IP address")
	}
	port := cfg.Server.Port()
	if port == 0 {
		port = DefaultPort
	}
	c := &Client{
		server:  netip.AddrPortFrom(cfg.Server.Addr(), port).String(),
		timeout: cfg.Timeout, now: time.Now,
		key: Key{Name: cfg.KeyName, Algorithm: cfg.Algorithm, Secret: cfg.Secret},
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	ttl := cfg.TTL
	if ttl <= 0 {
		ttl = DefaultTTL
	}
	c.ttl = uint32(min(max(ttl/time.Second, 1), 1<<31-1))
	if cfg.Zone != "" {
		if _, ok := dns.IsDomainName(cfg.Zone); !ok {
			return nil, errno.New(errno.Invalid, "%q is no name of a DNS zone", cfg.Zone).
				Next("give one such as layer.example.org, or none to have it found")
		}
		c.zone = strings.ToLower(dns.Fqdn(cfg.Zone))
	}
	if cfg.KeyFile != "" {
		if c.key != (Key{}) {
			return nil, errno.New(errno.Invalid, "two DNS keys are configured").
				Next("give either a key file, or a key's name, algorithm and secret")
		}
		var err error
		if c.key, err = ReadKey(cfg.KeyFile); err != nil {
			return nil, err
		}
	}
	if err := c.key.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// check completes a key, or says what is wrong with it.
func (k *Key) check() error {
	if *k == (Key{}) {
		return nil
	}
	if _, ok := dns.IsDomainName(k.Name); !ok || k.Name == "" {
		return errno.New(errno.Invalid, "%q is no name of a DNS key", k.Name).Next("give the name that the server knows the key by")
	}
	k.Name = strings.ToLower(dns.Fqdn(k.Name))
	if k.Algorithm == "" {
		k.Algorithm = "hmac-sha256"
	}
	k.Algorithm = strings.ToLower(dns.Fqdn(k.Algorithm))
	switch k.Algorithm {
	case dns.HmacSHA1, dns.HmacSHA224, dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512:
	default:
		return errno.New(errno.NotSup, "the DNS key %s has the algorithm %s, which is not supported",
			strings.TrimSuffix(k.Name, "."), strings.TrimSuffix(k.Algorithm, ".")).
			Next("use hmac-sha256, hmac-sha512, hmac-sha384, hmac-sha224 or hmac-sha1; make one with: tsig-keygen")
	}
	if b, err := base64.StdEncoding.DecodeString(k.Secret); err != nil || len(b) == 0 {
		return errno.New(errno.Invalid, "the secret of the DNS key %s is no base64", strings.TrimSuffix(k.Name, ".")).
			Next("copy it from the server's configuration; it ends in = mostly")
	}
	return nil
}

// signs reports whether messages are signed.
func (c *Client) signs() bool { return c.key.Name != "" }

// fqdn is the full name of a record in a zone.
func fqdn(name, zone string) string {
	name = strings.ToLower(dns.Fqdn(name))
	if inZone(name, zone) {
		return name
	}
	return name + zone
}

// inZone reports whether a full name lies in a zone, or the zone is unknown.
func inZone(name, zone string) bool { return zone == "" || dns.IsSubDomain(zone, name) }
