package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"ouroboros"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// identified is two nodes on a network. Both sides of the name "service" have
// a certificate, and encrypt.
type identified struct {
	near   *Node // of the client
	client *ouroboros.Client
	l      *ouroboros.Listener
}

// identify makes them, with keys of a kind in all certificates.
func identify(t testing.TB, kind, conf string) *identified {
	t.Helper()
	root := ct.Authority(t, "root", kind)
	network := new(internet)
	network.hosts.add("service", "127.0.0.2")
	made := func(side, name string) *Node {
		dir := t.TempDir()
		ct.Put(t, filepath.Join(dir, "cacert"), root)
		at := oap.DefaultDir(dir, side, "service")
		root.Issue(t, name, kind).Write(t, at)
		ct.Write(t, filepath.Join(at, "enc.conf"), []byte(conf))
		return network.nodeWith(t, Config{SecurityDir: dir, Demands: Demands{Server: irm.DemandBoth, Client: irm.DemandBoth}})
	}
	a, b := made(oap.ClientSide, "me"), made(oap.ServerSide, "service")
	port := testPort
	at := func(u *irm.UDPConfig) { u.Port = port }
	join(t, a, "a", "127.0.0.1", at)
	pid := join(t, b, "b", "127.0.0.2", at)
	sc, err := b.Client("server")
	if err != nil {
		t.Fatal(err)
	}
	s := &identified{near: a}
	if s.l, err = sc.Listen(t.Context(), "service"); err != nil {
		t.Fatal(err)
	}
	if err := b.RegName(t.Context(), "service", pid); err != nil {
		t.Fatal(err)
	}
	if s.client, err = a.Client("client"); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve gives each flow to a function until the listener ends.
func (s *identified) serve(t testing.TB, each func(f *ouroboros.Flow)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var flows sync.WaitGroup
		defer flows.Wait()
		for {
			f, err := s.l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			flows.Go(func() {
				defer f.Close()
				each(f)
			})
		}
	}()
	t.Cleanup(func() {
		s.l.Close()
		<-done
	})
}

// echoOne answers one message. Over UDP nobody says that the other end has
// gone, so it waits for no second one.
func echoOne(f *ouroboros.Flow) {
	f.SetReadTimeout(time.Minute)
	buf := make([]byte, 1500)
	if n, err := f.Read(buf); err == nil {
		f.Write(buf[:n])
	}
}

// use sends a message to and fro.
func use(f *ouroboros.Flow) error {
	f.SetReadTimeout(time.Minute)
	if _, err := f.Write([]byte("message")); err != nil {
		return err
	}
	buf := make([]byte, 100)
	n, err := f.Read(buf)
	if err == nil && string(buf[:n]) != "message" {
		err = fmt.Errorf("%q came back", buf[:n])
	}
	return err
}

// protections are the ways in which an allocation is measured.
var protections = []struct{ name, kind, conf, shows string }{
	{"X25519+Ed25519", "Ed25519", "kex=X25519", "X25519"},
	{"ML-KEM-768+ML-DSA-65", "ML-DSA-65", "kex=ML-KEM-768", "ML-KEM-768"},
	{"X448MLKEM1024+ML-DSA-87", "ML-DSA-87", "kex=X448MLKEM1024", "X448MLKEM1024"},
}

// The longest messages of the exchange cross a network of ours, too: those of
// post-quantum certificates.
func TestCertificatesOfAllSizesCrossANetwork(t *testing.T) {
	for _, p := range protections {
		t.Run(p.name, func(t *testing.T) {
			s := identify(t, p.kind, p.conf)
			s.serve(t, echoOne)
			f, err := s.client.Alloc(t.Context(), "service", &qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := use(f); err != nil {
				t.Error(err)
			}
			flows, err := s.near.ListFlows(t.Context())
			want := irm.Protection{Cipher: "aes-256-gcm", Exchange: p.shows, KDF: "sha256", Client: "me", Server: "service"}
			if err != nil || len(flows) != 1 || flows[0].Protection != want {
				t.Errorf("listed: %+v, %v", flows, err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestManyProtectedAllocationsAtOnceAllSucceed(t *testing.T) {
	for _, p := range protections[:2] {
		t.Run(p.name, func(t *testing.T) {
			s := identify(t, p.kind, p.conf)
			s.serve(t, echoOne)
			var all sync.WaitGroup
			errs := make([]error, 200)
			for i := range errs {
				all.Go(func() {
					f, err := s.client.Alloc(t.Context(), "service", &qos.Raw)
					if err != nil {
						errs[i] = err
						return
					}
					errs[i] = use(f)
					f.Close()
				})
			}
			all.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkAllocation is the time that an allocation over a network takes, both
// nodes being on this machine: plain, and with a certificate on each side and a
// key exchange.
func BenchmarkAllocation(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		client, l := ends(b, "127.0.0.1", "127.0.0.2", "service")
		measure(b, &identified{client: client, l: l})
	})
	for _, p := range protections {
		b.Run(p.name, func(b *testing.B) { measure(b, identify(b, p.kind, p.conf)) })
	}
}

func measure(b *testing.B, s *identified) {
	s.serve(b, func(*ouroboros.Flow) {})
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		f, err := s.client.Alloc(b.Context(), "service", &qos.Raw)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		f.Close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "ms/median")
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "ms/p99")
}
