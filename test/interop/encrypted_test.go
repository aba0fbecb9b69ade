package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros/qos"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// guarded is a world in which flows to the served names are encrypted, and what
// passes the relay is watched.
type guarded struct {
	*world
	mu    sync.Mutex
	seen  int    // packets of flows that are not empty
	clear string // of these, one that looks like plain text
}

// zeros are in the plain text of every ping, and in a cipher text once in 2^128.
var zeros = make([]byte, 16)

// guard makes such a world with hosts of its own.
func guard(t testing.TB, l layer, p peers, conf string, seed uint64, more ...string) *guarded {
	t.Helper()
	g := &guarded{world: joinByRelay(t, l, p, seed)}
	file := filepath.Join(t.TempDir(), "enc.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, end := range []struct {
		node host.Node
		side string
	}{{g.server, "server"}, {g.client, "client"}} {
		for _, name := range append([]string{"oping", "sum"}, more...) {
			if r, ok := end.node.(*host.Reference); ok {
				r.Secure(t, host.SecurityFile{Path: end.side + "/" + name + "/enc.conf", Data: []byte(conf)})
			} else {
				end.node.OK(t, "irm", "name", "create", name, end.side[:1]+"encpath", file)
			}
		}
	}
	g.impair(relay.Impairment{})
	return g
}

// impair sets what happens to packets of flows on the way.
func (g *guarded) impair(i relay.Impairment) {
	i.Only = func(frame []byte) bool {
		p := g.payload(frame)
		if len(p) == 0 {
			return false
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen++
		if bytes.Contains(p, zeros) {
			g.clear = fmt.Sprintf("%x", p)
		}
		return true
	}
	g.relay.Impair(i)
}

// watched fails unless so many packets were seen and all looked random.
func (g *guarded) watched(least int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen < least || g.clear != "" {
		return fmt.Errorf("%d packets on the wire, want %d; in the clear: %s", g.seen, least, g.clear)
	}
	return nil
}

// counted fails unless a daemon of ours has sealed and opened so many packets, and
// refused at most some: what the C implementation sends again cannot be opened.
func counted(n host.Node, least, refused uint64) error {
	d, ok := n.(*host.Daemon)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), host.Patience)
	defer cancel()
	s, err := d.Irm.Status(ctx)
	if err != nil {
		return err
	}
	c := s.Counters
	if c["crypt_sealed"] < least || c["crypt_opened"] < least || c["crypt_refused"]+c["crypt_short"] > refused {
		return fmt.Errorf("%d sealed, %d opened, %d refused, %d short", c["crypt_sealed"], c["crypt_opened"], c["crypt_refused"], c["crypt_short"])
	}
	return nil
}

// ping sends pings at a low rate, since the C implementation does not stand a
// reader and a writer at the same time on an encrypted flow.
func (g *guarded) ping(count int, args ...string) error {
	words := append([]string{"-n", "oping", "-c", fmt.Sprint(count), "-i", "50ms", "-s", "200"}, args...)
	var r host.Result
	if n, ok := g.client.(*host.Reference); ok {
		// It takes no units, and can come to a stand.
		words[5] = "50"
		r = n.RunFor(g.t, 20*time.Second, "oping", words...)
	} else {
		r = g.tool(g.t, "Failed to allocate flow", "oping", words...)
	}
	if want := fmt.Sprintf("%d packets transmitted, %d received, 0 out-of-order, 0%% packet loss", count, count); !strings.Contains(r.Stdout, want) {
		return fmt.Errorf("oping %s: exit %d\n%s%s", strings.Join(words, " "), r.Code, r.Stdout, r.Stderr)
	}
	return nil
}

// encryptedWith are what both sides have in their enc.conf.
var encryptedWith = []string{
	"kex=X25519\ncipher=aes-256-gcm\nkdf=sha256\n",
	"kex=prime256v1\ncipher=chacha20-poly1305\nkdf=sha3-512\n",
	"kex=ffdhe2048\ncipher=aes-128-gcm\nkdf=blake2b512\n",
	"kex=X448\ncipher=aes-192-gcm\nkdf=sha384\n",
	"kex=X25519\ncipher=aes-256-ctr\nkdf=sha512\n",
}

func TestEncryptedFlowsRawAndReliable(t *testing.T) {
	each(t, allPeers, func(t *testing.T, l layer, p peers) {
		if l.name == "udp6" || l.name == "eth-llc" {
			t.Skip("they carry packets as udp4 and eth-dix do")
		}
		for _, conf := range encryptedWith {
			t.Run(strings.Fields(conf)[1], func(t *testing.T) {
				for try := uint64(1); ; try++ {
					err := pings(guard(t, l, p, conf, try))
					if err == nil {
						return
					}
					if p == oursOurs || try == tries {
						t.Fatalf("try %d: %v", try, err)
					}
					t.Logf("try %d: %v", try, err)
				}
			})
		}
	})
}

// pings goes through a raw and a reliable flow.
func pings(g *guarded) error {
	const count = 10
	g.serve(g.t, "oping", "-Q")
	if err := g.ping(count); err != nil {
		return err
	}
	if err := g.ping(count, "-q", "data"); err != nil {
		return err
	}
	refused := uint64(0)
	if g.peers != oursOurs {
		refused = count
	}
	for _, err := range []error{g.watched(4 * count), counted(g.client, 2*count, refused), counted(g.server, 2*count, refused)} {
		if err != nil {
			return err
		}
	}
	return nil
}

// Packets are lost, doubled, overtaken and damaged, and each retransmission is
// sealed afresh.
func TestAnEncryptedReliableFlowThroughABadNetwork(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		g := guard(t, l, p, encryptedWith[0], 5)
		g.role(t, "sum")
		i := bad
		i.Damage = 0.02
		g.impair(i)
		spec := qos.Data
		f := g.allocate(t, open(t, g.here()), "sum", &spec)
		if err := transfer(f, 1<<20, 5*host.Patience); err != nil {
			t.Fatal(err)
		}
		if err := g.watched(700); err != nil {
			t.Error(err)
		}
	})
}

// What the C implementation loses of an encrypted flow it sends again in a way that
// nobody can read. So only packets of ours are lost here.
func TestOurRetransmissionsAreReadByTheReference(t *testing.T) {
	each(t, []peers{{ours, reference}}, func(t *testing.T, l layer, p peers) {
		if l.name == "udp6" || l.name == "eth-llc" {
			t.Skip("they carry packets as udp4 and eth-dix do")
		}
		for try := uint64(1); ; try++ {
			g := guard(t, l, p, encryptedWith[0], try)
			err := lossyPings(g)
			if err == nil {
				return
			}
			if try == tries {
				t.Fatalf("try %d: %v", try, err)
			}
			t.Logf("try %d: %v", try, err)
		}
	})
}

// lossyPings pings one at a time while every third packet of ours is lost.
func lossyPings(g *guarded) error {
	g.serve(g.t, "oping", "-Q")
	spec := qos.Data
	spec.BER = 1
	f, err := g.try(open(g.t, g.here()), "oping", &spec)
	if err != nil {
		return err
	}
	defer f.Close()
	var n int
	i := relay.Impairment{Loss: 1}
	i.Only = func(frame []byte) bool {
		if len(g.payload(frame)) == 0 || !bytes.Equal(frame[6:12], g.hardware()) {
			return false
		}
		n++
		return n%3 == 0
	}
	g.relay.Impair(i)
	f.SetReadTimeout(10 * time.Second)
	msg, buf := make([]byte, 64), make([]byte, 200)
	for k := range 30 {
		msg[7] = byte(k) // the number of the ping
		if _, err := f.Write(msg); err != nil {
			return err
		}
		n, err := f.Read(buf)
		if err != nil || n != len(msg) || buf[7] != msg[7] {
			return fmt.Errorf("ping %d: %d bytes %x: %v", k, n, buf[:min(n, 8)], err)
		}
	}
	s, err := g.here().Irm.Status(context.Background())
	if err != nil {
		return err
	}
	if s.Counters["frcp_sent_again"] == 0 {
		return fmt.Errorf("nothing was sent again: %v", s.Counters)
	}
	return nil
}

// hardware is the address of the client's interface.
func (g *guarded) hardware() []byte {
	mac, err := g.a.MAC(g.a.Dev)
	if err != nil {
		g.t.Fatal(err)
	}
	return mac
}

// The C implementation changes the key after 2^20 packets that it sends, or when
// we change it and it has received as many as three quarters of that. Whoever
// sends, the other end goes along.
func TestKeysChangeWithTheReference(t *testing.T) {
	if soak == "" {
		t.Skip("a minute and more of packets for each direction; OUROBOROS_SOAK runs it")
	}
	const rate, size = 30000, 64 // packets a second; bytes
	for _, p := range []peers{{ours, reference}, {reference, ours}} {
		t.Run(p.String(), func(t *testing.T) {
			if !host.HasReference() {
				t.Skip("no " + host.ReferenceVariable)
			}
			g := guard(t, layers[0], p, encryptedWith[0], 1, "ocbr")
			server := g.serve(t, "ocbr", "-i", "5")
			words := []string{"-n", "ocbr", "-d", "85", "-s", fmt.Sprint(size), "-r", fmt.Sprint(rate * size * 8), "--spin"}
			var r host.Result
			if n, ok := g.client.(*host.Reference); ok {
				r = n.RunFor(t, 3*time.Minute, "ocbr", words...)
			} else {
				r = g.tool(t, "Failed to allocate flow", "ocbr", words...)
			}
			m := regexp.MustCompile(`sent statistics:\s+([0-9]+) packets`).FindStringSubmatch(r.Stdout + r.Stderr)
			if m == nil {
				t.Fatalf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
			}
			sent, _ := strconv.Atoi(m[1])
			server.Out.Await(t, "timed out")
			received := 0
			for _, m := range regexp.MustCompile(`:\s+([0-9]+) packets`).FindAllStringSubmatch(server.Out.String(), -1) {
				n, _ := strconv.Atoi(m[1])
				received += n
			}
			d, ok := g.client.(*host.Daemon)
			if !ok {
				d = g.server.(*host.Daemon)
			}
			s, err := d.Irm.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d sent, %d received, %d key changes, %d refused", sent, received,
				s.Counters["crypt_key_changes"], s.Counters["crypt_refused"])
			if s.Counters["crypt_key_changes"] == 0 || s.Counters["crypt_refused"] > 0 {
				t.Errorf("counters %v", s.Counters)
			}
			// A busy machine loses some; what counts is that it goes on.
			after := 11 << 20 / 10
			if p.client == ours {
				after = 16 << 20 / 10
			}
			if received < after {
				t.Errorf("%d of %d arrive:\n%s", received, sent, server.Out)
			}
		})
	}
}
