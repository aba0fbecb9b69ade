package registry

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/oap"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// secured gives a node with a security directory.
func secured(t *testing.T, change func(*Config)) (n *testNode, dir string) {
	dir = t.TempDir()
	n = newNode(t, func(c *Config) {
		c.SecurityDir = dir
		if change != nil {
			change(c)
		}
	})
	return n, dir
}

func TestTwoProcessesOfANodeProveWhoTheyAre(t *testing.T) {
	n, dir := secured(t, nil)
	server, client := n.process(10, "a"), n.process(20)
	root := ct.Authority(t, "root", "P-256")
	ct.Put(t, filepath.Join(dir, "cacert"), root)
	in := func(side string) string { return oap.DefaultDir(dir, side, "a") }
	set := func(c irm.NameChange) {
		t.Helper()
		if err := n.SetName(bg, "a", c); err != nil {
			t.Fatal(err)
		}
	}
	demand := func(server, client irm.Demand, allow ...string) {
		t.Helper()
		set(irm.NameChange{Server: irm.SideChange{Demand: &server}, Client: irm.SideChange{Demand: &client}, Allow: &allow})
	}
	accepted := n.accepting(server)
	works := func(want irm.Protection) {
		t.Helper()
		c, err := client.Alloc(bg, "a", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		out := <-accepted
		if out.err != nil {
			t.Fatal(out.err)
		}
		flows, _ := n.ListFlows(bg)
		if len(flows) != 1 || flows[0].Protection != want {
			t.Errorf("listed: %+v, want %+v", flows, want)
		}
		client.Dealloc(c.ID)
		server.Dealloc(out.g.ID)
		accepted = n.accepting(server)
	}
	refused := func(want error, says string) {
		t.Helper()
		began := time.Now()
		_, err := client.Alloc(bg, "a", qos.Raw)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
			t.Errorf("error is %v, want %v, %q", err, want, says)
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("it was told after %v", d)
		}
	}

	if g := client.AllocNow("a", qos.Raw); g == nil {
		t.Error("without any security a flow has to be looked at")
	} else {
		client.Dealloc(g.ID)
		server.Dealloc((<-accepted).g.ID)
		accepted = n.accepting(server)
	}
	works(irm.Protection{Cipher: "local"})
	demand(irm.DemandEncryption, irm.DemandEncryption)
	works(irm.Protection{Cipher: "local"}) // memory is as good as a cipher
	demand(irm.DemandAuth, irm.DemandNothing)
	if client.AllocNow("a", qos.Raw) != nil {
		t.Error("a demand is passed over")
	}
	refused(errno.AuthFailed, "the client shows no certificate")
	root.Issue(t, "me", "Ed25519").Write(t, in(oap.ClientSide))
	works(irm.Protection{Cipher: "local", Client: "me"})
	demand(irm.DemandAuth, irm.DemandAuth)
	refused(errno.AuthFailed, "the server of \"a\" shows no certificate")
	root.Issue(t, "b", "ML-DSA-44").Write(t, in(oap.ServerSide))
	refused(errno.Crypt, `shows the certificate of "b"`)
	root.Issue(t, "a", "ML-DSA-44").Write(t, in(oap.ServerSide))
	works(irm.Protection{Cipher: "local", Client: "me", Server: "a"})
	demand(irm.DemandAuth, irm.DemandAuth, "you")
	refused(errno.AuthFailed, `"me" is none of them`)
	demand(irm.DemandAuth, irm.DemandAuth, "you", "me")
	works(irm.Protection{Cipher: "local", Client: "me", Server: "a"})

	ct.Write(t, filepath.Join(in(oap.ServerSide), "enc.conf"), []byte("kex=X25519"))
	refused(errno.Crypt, "the client asks for a plain one")
	ct.Write(t, filepath.Join(in(oap.ClientSide), "enc.conf"), []byte("kex=X25519"))
	works(irm.Protection{Cipher: "local", Client: "me", Server: "a"})
	ct.Write(t, filepath.Join(in(oap.ClientSide), "enc.conf"), []byte("kex=foo"))
	refused(errno.Crypt, "enc.conf: line 1")

	if s, _ := n.Status(bg); s.Counters["allocations_refused"] != 6 {
		t.Errorf("counted: %v", s.Counters)
	}
}

// onNetwork is a flow that may lose something.
type onNetwork struct{ flow.Flow }

// What is asked of the guard of a flow over a layer.
func TestAFlowOverALayerGetsItsKey(t *testing.T) {
	var needs []Needs
	dir := t.TempDir()
	client := &oap.Client{}
	clientDir := t.TempDir()
	ct.Write(t, filepath.Join(clientDir, "enc.conf"), []byte("kex=X25519\ncipher=chacha20-poly1305\n"))
	attempt := func() *oap.Attempt {
		a, err := client.Begin("a", oap.Security{Dir: clientDir})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var host ipcp.Host
	n := newNode(t, func(c *Config) {
		c.SecurityDir = dir
		c.NewIPCP = func(_ irm.IPCPType, id ipcp.Identity, h ipcp.Host) (ipcp.IPCP, error) {
			host = h
			return &testIPCP{host: h, id: id}, nil
		}
		c.Guard = func(f flow.Flow, n Needs) (flow.Flow, error) {
			if n.Key != nil {
				key := *n.Key
				n.Key = &key
			}
			needs = append(needs, n)
			return f, nil
		}
	})
	pid, err := n.CreateIPCP(bg, "i0", irm.Unicast)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.BootstrapIPCP(bg, pid, irm.NewConfig(irm.Unicast, "l0")); err != nil {
		t.Fatal(err)
	}
	accepted := n.accepting(n.process(10, "a"))
	if err := n.RegName(bg, "a", pid); err != nil {
		t.Fatal(err)
	}

	a := attempt()
	req := asking("a")
	req.Data = a.Request()
	offered, err := host.Arrive(bg, req)
	if err != nil {
		t.Fatal(err)
	}
	session, err := a.Complete(offered.Data())
	if err != nil {
		t.Fatal(err)
	}
	f, far := flow.NewPipe(flow.PipeOptions{QoS: qos.Raw, MTU: 1400})
	defer far.Dealloc()
	key := offered.(*offer).session.Key
	offered.Complete(onNetwork{f})
	if out := <-accepted; out.err != nil {
		t.Fatal(out.err)
	}
	if len(needs) != 1 || needs[0].Cipher != wire.ChaCha20Poly1305 || needs[0].Key == nil || *needs[0].Key != *session.Key {
		t.Fatalf("the guard was asked for %+v", needs)
	}
	if *key != (crypt.Key{}) {
		t.Error("the registry keeps the key")
	}
	flows, _ := n.ListFlows(bg)
	if len(flows) != 1 || flows[0].Protection != (irm.Protection{Cipher: "chacha20-poly1305", Exchange: "X25519", KDF: "sha256"}) {
		t.Errorf("listed: %+v", flows)
	}

	// A flow that comes to nothing leaves no key.
	accepted = n.accepting(n.process(11, "a"))
	req = asking("a")
	req.Data = attempt().Request()
	if offered, err = host.Arrive(bg, req); err != nil {
		t.Fatal(err)
	}
	key = offered.(*offer).session.Key
	offered.Fail(errors.New("enough"))
	if *key != (crypt.Key{}) {
		t.Error("a flow that failed leaves its key")
	}
}
