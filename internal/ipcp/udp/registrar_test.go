package udp

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/irm"
)

// zone is a DNS server in memory, which fails as long as err says so.
type zone struct {
	mu      sync.Mutex
	err     error
	records map[string]netip.Addr
	updates int
}

func (z *zone) fail(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.err = err
}

func (z *zone) Register(_ context.Context, name string, addr netip.Addr) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.updates++; z.err != nil {
		return z.err
	}
	z.records[name] = addr
	return nil
}

func (z *zone) Unregister(_ context.Context, name string, _ netip.Addr) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.err != nil {
		return z.err
	}
	delete(z.records, name)
	return nil
}

func (z *zone) Lookup(_ context.Context, name string, v6 bool) ([]netip.Addr, time.Duration, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if a, ok := z.records[name]; ok && a.Is6() == v6 {
		return []netip.Addr{a}, time.Hour, z.err
	}
	return nil, 0, errno.NameError
}

func (z *zone) state() (records, updates int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.records), z.updates
}

// registered makes a registrar of an IPCP without a socket.
func registered(t *testing.T, z *zone) *registrar {
	var r *registrar
	z.records = make(map[string]netip.Addr)
	g, err := ipcp.Start(irm.UDP4, func(env ipcp.Env) (ipcp.IPCP, error) {
		l := &layer{i: &IPCP{env: env, log: env.Log}, local: netip.MustParseAddrPort("192.0.2.1:3435")}
		l.Shim = shim.New(shim.Config[netip.AddrPort]{Env: env, Edge: l, Own: shim.Range{Lo: 1, Hi: 9}})
		r = newRegistrar(l, z, "192.0.2.53")
		return ending{registrar: r}, nil
	}, ipcp.Env{Host: newHost()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return r
}

// ending is the part of an IPCP that a registrar needs.
type ending struct {
	ipcp.Unsupported
	*registrar
}

func (ending) Query(context.Context, []byte) error { return nil }
func (ending) Show() map[string]any                { return nil }

func (e ending) Close() error {
	e.close()
	return nil
}

func TestANameIsRefreshedUntilItIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var z zone
		r := registered(t, &z)
		if err := r.register(t.Context(), name("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recordTTL * 2)
		synctest.Wait()
		if records, updates := z.state(); records != 1 || updates < 4 || updates > 5 {
			t.Errorf("%d records, %d updates", records, updates)
		}
		r.unregister(t.Context(), name("x"))
		if records, _ := z.state(); records != 0 {
			t.Error("the record is still there")
		}
		_, before := z.state()
		time.Sleep(recordTTL * 2)
		if _, after := z.state(); after != before {
			t.Error("it is refreshed after that")
		}
	})
}

func TestAServerThatCannotBeReachedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var z zone
		r := registered(t, &z)
		z.fail(errno.New(errno.TimedOut, "no answer").Next("check its address"))
		if err := r.register(t.Context(), name("x")); err != nil {
			t.Fatalf("a server that is down for a while: %v", err)
		}
		if shown := r.show(); shown["failing"] != 1 || !strings.Contains(shown["error"].(string), "check its address") {
			t.Errorf("shown is %v", shown)
		}
		time.Sleep(time.Minute)
		z.fail(nil)
		time.Sleep(retryMost)
		synctest.Wait()
		if records, updates := z.state(); records != 1 || updates > 8 {
			t.Errorf("%d records after %d updates", records, updates)
		}
		if shown := r.show(); shown["failing"] != 0 {
			t.Errorf("shown is %v", shown)
		}
	})
}

func TestARefusalOfTheServerIsAnErrorOfTheRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var z zone
		r := registered(t, &z)
		z.fail(errno.New(errno.AuthFailed, "it does not know the key"))
		if err := r.register(t.Context(), name("x")); !errors.Is(err, errno.AuthFailed) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Hour)
		if _, updates := z.state(); updates != 1 {
			t.Errorf("%d updates", updates)
		}
	})
}

func TestTheEndTakesAllNamesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var z zone
		r := registered(t, &z)
		for _, n := range []string{"x", "y", "z"} {
			if err := r.register(t.Context(), name(n)); err != nil {
				t.Fatal(err)
			}
		}
		r.close()
		if records, _ := z.state(); records != 0 {
			t.Errorf("%d records are left", records)
		}
	})
}

func TestADNSKeyThatCannotBeReadSaysSoAtOnce(t *testing.T) {
	m := begin(t, irm.UDP4, nobody{})
	cfg := irm.NewConfig(irm.UDP4, "net")
	// An address that no other test has, so that the port is free.
	cfg.UDP.IP, cfg.UDP.DNS = netip.MustParseAddr("127.23.99.9"), netip.MustParseAddr("127.0.0.1")
	cfg.UDP.Port = 23999
	cfg.UDP.Key = filepath.Join(t.TempDir(), "missing")
	if _, err := m.Bootstrap(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v", err)
	}
	cfg.UDP.Key = ""
	if _, err := m.Bootstrap(t.Context(), cfg); err != nil {
		t.Errorf("without a key: %v", err)
	}
}
