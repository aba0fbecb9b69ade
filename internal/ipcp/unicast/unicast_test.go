package unicast

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/internal/leak"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

// bed is a world with members of one layer.
type bed struct {
	*ipcptest.World
	t   *testing.T
	all map[string]*IPCP
}

func newBed(t *testing.T) *bed {
	b := &bed{World: ipcptest.NewWorld(t), t: t, all: map[string]*IPCP{}}
	return b
}

// ipcp makes an IPCP that draws the given addresses, and random ones after them.
func (b *bed) ipcp(name string, draws ...wire.Addr) *IPCP {
	u := newIPCP(b.Env(name), func() wire.Addr {
		if len(draws) > 0 {
			a := draws[0]
			draws = draws[1:]
			return a
		}
		return drawAddr()
	})
	b.all[name] = u
	return u
}

func (b *bed) close() {
	for _, u := range b.all {
		if err := u.Close(); err != nil {
			b.t.Error(err)
		}
	}
}

func (b *bed) bootstrap(u *IPCP, tune ...func(*irm.UnicastConfig)) {
	b.t.Helper()
	cfg := irm.NewConfig(irm.Unicast, "net")
	for _, f := range tune {
		f(cfg.Unicast)
	}
	if info, err := u.Bootstrap(b.t.Context(), cfg); err != nil || info.Name != "net" {
		b.t.Fatalf("%v: %v", info, err)
	}
}

func (b *bed) enroll(u *IPCP, dst string) {
	b.t.Helper()
	if info, err := u.Enroll(b.t.Context(), dst); err != nil || info.Name != "net" {
		b.t.Fatalf("%v: %v", info, err)
	}
}

func (b *bed) connect(u *IPCP, dst string) {
	b.t.Helper()
	for _, c := range []string{irm.Management, irm.DataTransfer} {
		if err := u.Connect(b.t.Context(), c, dst, qos.Raw); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (u *IPCP) addr() wire.Addr {
	m, err := u.now()
	if err != nil {
		panic(err)
	}
	return m.own
}

// reaches says which of the others a member has routes to.
func (b *bed) reaches(u *IPCP) (names []string) {
	m, _ := u.now()
	for n, o := range b.all {
		if o != u && m.engine.HasRoute(o.addr()) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

func sum(name string) []byte { return hash.Sum(irm.SHA3_256, name) }

// resolves fails the test unless a member finds names.
func (b *bed) resolves(u *IPCP, names ...string) {
	b.t.Helper()
	for _, n := range names {
		if err := u.Query(b.t.Context(), sum(n)); err != nil {
			b.t.Errorf("%q at %v: %v", n, u.addr(), err)
		}
	}
}

func TestMembersInALineReachEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		a, m, z := b.ipcp("a"), b.ipcp("m"), b.ipcp("z")
		b.bootstrap(a, func(c *irm.UnicastConfig) { c.MaxTTL, c.LSUpdate, c.Routing = 17, 7, irm.ECMP })
		b.enroll(m, "a")
		b.connect(m, "a")
		b.enroll(z, "m")
		b.connect(z, "m")
		for i, u := range []*IPCP{a, m, z} {
			if err := u.Reg(t.Context(), sum(fmt.Sprint("name ", i))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		for name, u := range b.all {
			if got := b.reaches(u); len(got) != 2 {
				t.Errorf("%s reaches %v", name, got)
			}
			for i, o := range []*IPCP{a, m, z} {
				if o != u {
					b.resolves(u, fmt.Sprint("name ", i))
				}
			}
			if err := u.Query(t.Context(), sum("nobody")); !errors.Is(err, errno.NameError) {
				t.Errorf("an unknown name: %v", err)
			}
			if u.member.cfg.Unicast.MaxTTL != 17 || u.member.cfg.Unicast.LSUpdate != 7 || u.member.cfg.Unicast.Routing != irm.ECMP {
				t.Errorf("%s has other parameters: %+v", name, u.member.cfg.Unicast)
			}
			if want := map[string]wire.Addr{"a": 0, "m": a.addr(), "z": m.addr()}[name]; u.member.peer != want {
				t.Errorf("%s enrolled with %v, want %v", name, u.member.peer, want)
			}
			if _, err := json.Marshal(u.Show()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestATakenAddressIsDrawnAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		a, m := b.ipcp("a", 11), b.ipcp("m", 12)
		b.bootstrap(a)
		b.enroll(m, "a")
		b.connect(m, "a")
		time.Sleep(time.Second)
		// z is no neighbour of a: the data base that m sends tells of it.
		z := b.ipcp("z", 11, 12, 13)
		b.enroll(z, "m")
		if err := z.Reg(t.Context(), sum("service")); err != nil {
			t.Fatal(err)
		}
		b.connect(z, "m")
		time.Sleep(time.Second)
		if got := z.addr(); got != 13 {
			t.Errorf("the address is %v", got)
		}
		for name, u := range b.all {
			if got := b.reaches(u); len(got) != 2 {
				t.Errorf("%s reaches %v", name, got)
			}
		}
		b.resolves(a, "service")
		if n := len(b.Between("z", "m")); n != 2 {
			t.Errorf("%d flows between z and m", n)
		}
	})
}

func TestANeighbourWithTheSameAddressIsNoObstacle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		a, z := b.ipcp("a", 11), b.ipcp("z", 11)
		b.bootstrap(a)
		b.enroll(z, "a")
		b.connect(z, "a")
		time.Sleep(time.Second)
		if a.addr() == z.addr() {
			t.Errorf("both have %v", z.addr())
		}
		if got := b.reaches(a); len(got) != 1 {
			t.Errorf("a reaches %v", got)
		}
	})
}

// Who says of every address that it is taken is not believed for ever, and is no
// obstacle on the way to others.
func TestAnAddressIsNotGivenUpForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		a, m := b.ipcp("a", 11), b.ipcp("m", 12)
		b.bootstrap(a)
		b.enroll(m, "a")
		b.connect(m, "a")
		time.Sleep(time.Second)
		z := b.ipcp("z")
		b.enroll(z, "m")
		time.Sleep(time.Minute) // it is not young any more
		mirror := b.Env("mirror")
		go func() {
			for {
				f, _, err := mirror.Host.Accept(mirror.Context)
				if err != nil {
					return
				}
				c := flow.NewConn(f, mirror.Go)
				if p, err := c.Recv(mirror.Context); err == nil {
					c.Send(mirror.Context, p)
				}
			}
		}()
		first := z.addr()
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := z.Connect(ctx, irm.Management, "mirror", qos.Raw)
			cancel()
			if !errors.Is(err, errno.Exist) {
				t.Errorf("connected with somebody who has the same address: %v", err)
			}
		}
		if z.moves != maxMoves || z.addr() == first {
			t.Errorf("moved %d times", z.moves)
		}
		b.connect(z, "m")
		time.Sleep(time.Second)
		if got := b.reaches(a); len(got) != 2 {
			t.Errorf("a reaches %v", got)
		}
	})
}

func TestALinkThatEndsIsRoutedAround(t *testing.T) {
	for _, c := range []struct {
		what string
		end  func(b *bed, f *ipcptest.Flow)
	}{
		{"carrier", func(_ *bed, f *ipcptest.Flow) { f.SetDown(true) }},
		{"deallocation", func(_ *bed, f *ipcptest.Flow) { f.Break() }},
		{"silence", func(_ *bed, f *ipcptest.Flow) { f.PeerGone() }},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				defer b.close()
				a, m, z := b.ipcp("a"), b.ipcp("m"), b.ipcp("z")
				b.bootstrap(a)
				b.enroll(m, "a")
				b.connect(m, "a")
				b.enroll(z, "a")
				b.connect(z, "a")
				b.connect(z, "m")
				time.Sleep(2 * time.Second)
				next := func(u, to *IPCP) any {
					return u.member.engine.Show()["forwarding"].(map[string][]string)[to.addr().String()]
				}
				if n := fmt.Sprint(next(a, z)); n != fmt.Sprint([]string{z.addr().String()}) {
					t.Fatalf("a goes to z over %v", n)
				}
				begin := time.Now()
				for _, f := range b.Between("a", "z") {
					c.end(b, f)
				}
				for fmt.Sprint(next(a, z)) != fmt.Sprint([]string{m.addr().String()}) || fmt.Sprint(next(z, a)) != fmt.Sprint([]string{m.addr().String()}) {
					if time.Since(begin) > 50*time.Millisecond {
						t.Fatalf("after %v a goes to z over %v", time.Since(begin), next(a, z))
					}
					time.Sleep(time.Millisecond)
				}
				if c.what != "carrier" {
					// Whoever asked for the connection makes it again.
					time.Sleep(5 * time.Second)
					if n := fmt.Sprint(next(a, z)); n != fmt.Sprint([]string{z.addr().String()}) {
						t.Errorf("after a while a goes to z over %v", n)
					}
				}
			})
		})
	}
}

func TestADisconnectIsToldAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		a, z := b.ipcp("a"), b.ipcp("z")
		b.bootstrap(a)
		b.enroll(z, "a")
		b.connect(z, "a")
		b.connect(z, "a") // a second connection is another
		time.Sleep(time.Second)
		for want := 2; want > 0; want-- {
			if len(b.reaches(a)) != 1 || len(b.reaches(z)) != 1 {
				t.Errorf("with %d connections there is no way", want)
			}
			for _, c := range []string{irm.DataTransfer, irm.Management} {
				if err := z.Disconnect(t.Context(), c, "a"); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second)
		}
		if len(b.reaches(a)) != 0 || len(b.reaches(z)) != 0 || len(b.Flows()) != 0 {
			t.Errorf("%v and %v reached, %d flows", b.reaches(a), b.reaches(z), len(b.Flows()))
		}
		if err := z.Disconnect(t.Context(), irm.DataTransfer, "a"); err != nil {
			t.Errorf("nothing to disconnect: %v", err)
		}
	})
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		u := b.ipcp("u")
		cfg := irm.NewConfig(irm.Unicast, "net")
		cfg.Unicast.MaxTTL = 0
		if _, err := u.Bootstrap(t.Context(), cfg); !errors.Is(err, errno.Invalid) {
			t.Errorf("a layer without hops: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := u.Enroll(ctx, "nobody"); !errors.Is(err, errno.NameError) {
			t.Errorf("enrolled with nobody: %v", err)
		}
		if err := u.Connect(t.Context(), irm.DataTransfer, "u", qos.Raw); !errors.Is(err, errno.IPCPState) {
			t.Errorf("connected outside any layer: %v", err)
		}
		b.bootstrap(u)
		if err := u.Connect(ctx, irm.DataTransfer, "u", qos.Raw); err == nil {
			t.Error("connected with itself")
		}
		if err := u.Connect(ctx, "Something", "u", qos.Raw); !errors.Is(err, errno.NotSup) {
			t.Errorf("a component that there is not: %v", err)
		}
	})
}

func TestNothingStaysOfAnIPCPThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		a, z := b.ipcp("a"), b.ipcp("z")
		b.bootstrap(a)
		b.enroll(z, "a")
		b.connect(z, "a")
		time.Sleep(time.Second)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if len(b.reaches(a)) != 0 || len(b.Flows()) != 0 {
			t.Errorf("a reaches %v, %d flows", b.reaches(a), len(b.Flows()))
		}
		a.Close()
	})
}
