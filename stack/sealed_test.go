package stack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/registry"
	"ouroboros/internal/seal"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/qos"
)

var flowKey = crypt.Key{3, 1, 4, 1, 5, 9}

// sealedFlow is both ends of a flow on a network, as two nodes guard them.
type sealedFlow struct {
	nodes [2]*guards
	wires [2]*flow.Pipe
	flows [2]flow.Flow
	users [2]*reader
}

// reader is the user of an end: it takes all, and says so.
type reader struct {
	mu   sync.Mutex
	got  []string
	room chan struct{}
	data chan struct{}
}

func (r *reader) Receive(batch []*packet.Buffer) int {
	r.mu.Lock()
	for _, b := range batch {
		r.got = append(r.got, string(b.Bytes()))
		b.Release()
	}
	r.mu.Unlock()
	select {
	case r.data <- struct{}{}:
	default:
	}
	return len(batch)
}

func (r *reader) Event(e flow.Event) {
	if e == flow.EventWritable {
		select {
		case r.room <- struct{}{}:
		default:
		}
	}
}

// wait gives the messages when there are so many.
func (r *reader) wait(n int) []string {
	for {
		r.mu.Lock()
		got := r.got
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		<-r.data
	}
}

// write sends a message as soon as there is room.
func (e *sealedFlow) write(i int, msg string) {
	b := packet.From([]byte(msg))
	for e.flows[i].Send([]*packet.Buffer{b}) == 0 {
		<-e.users[i].room
	}
}

// sealedEnds makes a flow. A watcher sees what is on the wire before it is lost.
func sealedEnds(t *testing.T, s qos.Spec, c wire.Cipher, epochBit int, lose func(b *packet.Buffer) bool) *sealedFlow {
	t.Helper()
	watch, err := seal.New(seal.Config{Cipher: c, Key: (*[seal.KeySize]byte)(&flowKey), EpochBit: epochBit})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	net := &network{mtu: 1500, impair: func(b *packet.Buffer) bool {
		mu.Lock()
		defer mu.Unlock()
		p := b.Bytes()
		if bytes.Contains(p, []byte("message")) {
			t.Errorf("in the clear: %q", p)
		}
		if s.BER == 0 && len(p) > 4 {
			if binary.BigEndian.Uint32(p[len(p)-4:]) != crc32.ChecksumIEEE(p[:len(p)-4]) {
				t.Errorf("without a checksum: %x", p)
			}
			p = p[:len(p)-4]
		}
		if len(p) > 0 && watch.Authenticates() {
			// Whatever is not empty was sealed under a key of the flow.
			one := []*packet.Buffer{packet.From(p)}
			if watch.Open(one) != 1 {
				t.Errorf("on the wire and not sealed: %x", p)
			} else {
				one[0].Release()
			}
		}
		return lose != nil && lose(b)
	}}
	a, b := flow.NewPipe(flow.PipeOptions{QoS: s, MTU: net.mtu})
	e := &sealedFlow{wires: [2]*flow.Pipe{a, b}}
	for i, p := range []*flow.Pipe{a, b} {
		e.nodes[i] = &guards{epochBit: epochBit}
		key := flowKey
		e.flows[i], err = e.nodes[i].guard(&wireFlow{Pipe: p, net: net}, registry.Needs{QoS: s, MPL: wireMPL, Cipher: c, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		key.Wipe() // the flow has its own
		e.users[i] = &reader{room: make(chan struct{}, 1), data: make(chan struct{}, 1)}
		e.flows[i].Attach(e.users[i])
	}
	return e
}

// end deallocates both ends and waits until nothing runs any more.
func (e *sealedFlow) end(t *testing.T) {
	t.Helper()
	for _, f := range e.flows {
		f.Dealloc()
	}
	for _, g := range e.nodes {
		g.wait(t.Context(), true)
	}
}

var everyCipher = []wire.Cipher{
	wire.AES128GCM, wire.AES192GCM, wire.AES256GCM, wire.ChaCha20Poly1305,
	wire.AES128CTR, wire.AES192CTR, wire.AES256CTR,
}

func TestNothingTravelsInTheClearOnASealedFlow(t *testing.T) {
	ordered := data()
	ordered.Loss = 1
	for name, s := range map[string]qos.Spec{"raw": raw(1), "raw with a checksum": raw(0), "reliable": data(), "in order": ordered} {
		for _, c := range everyCipher {
			t.Run(fmt.Sprint(name, " ", c), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := sealedEnds(t, s, c, 0, nil)
					longer := 28
					if strings.HasSuffix(c.String(), "ctr") {
						longer = 16
					}
					if s.BER == 0 {
						longer += 4
					}
					if s.InOrder {
						longer += 12
					}
					if m := e.flows[0].MTU(); m != 1500-longer {
						t.Errorf("MTU %d, want %d", m, 1500-longer)
					}
					const n = 40
					for i := range n {
						e.write(0, fmt.Sprint("message ", i))
						e.write(1, fmt.Sprint("message back ", i))
					}
					for i := range n {
						if got, want := e.users[1].wait(n)[i], fmt.Sprint("message ", i); got != want {
							t.Fatalf("%q, want %q", got, want)
						}
						if got, want := e.users[0].wait(n)[i], fmt.Sprint("message back ", i); got != want {
							t.Fatalf("%q, want %q", got, want)
						}
					}
					time.Sleep(10 * time.Minute) // of keep-alives
					e.write(1, "message at last")
					e.users[0].wait(n + 1)
					e.end(t)
					k := e.nodes[0].counters()
					if k["crypt_sealed"] < n || k["crypt_opened"] < n || k["crypt_refused"] != 0 || k["crypt_short"] != 0 {
						t.Errorf("counters %v", k)
					}
				})
			})
		}
	}
}

// Retransmissions are sealed afresh, keys change all the time, and what is lost
// are acknowledgements as well as data.
func TestAReliableSealedFlowOverANetworkThatLoses(t *testing.T) {
	n := 30000
	if race {
		n = 8000
	}
	for _, c := range []wire.Cipher{wire.AES256GCM, wire.ChaCha20Poly1305} {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			// An epoch is longer than what may be on the way.
			e := sealedEnds(t, data(), c, 11, func(*packet.Buffer) bool { return rnd.IntN(20) == 0 })
			var wg sync.WaitGroup
			for i := range 2 {
				wg.Go(func() {
					for k := range n {
						e.write(i, fmt.Sprint("message ", i, " ", k))
					}
				})
			}
			for i := range 2 {
				for k, got := range e.users[1-i].wait(n) {
					if want := fmt.Sprint("message ", i, " ", k); got != want {
						t.Fatalf("%q, want %q", got, want)
					}
				}
			}
			wg.Wait()
			e.end(t)
			for _, g := range e.nodes {
				k := g.counters()
				if k["frcp_sent_again"] == 0 || k["crypt_key_changes"] < uint64(n/2000) || k["crypt_refused"] != 0 {
					t.Errorf("%v: sent again %d, key changes %d, refused %d", c, k["frcp_sent_again"], k["crypt_key_changes"], k["crypt_refused"])
				}
			}
		})
	}
}

// Many write at once, keys change under way, and nothing that arrives is refused.
func TestConcurrentWritersOnOneSealedFlow(t *testing.T) {
	for _, c := range everyCipher[:4] {
		e := sealedEnds(t, raw(0), c, 10, nil)
		const writers, rounds, each = 4, 40, 50
		sent := 0
		for round := range rounds {
			var wg sync.WaitGroup
			for w := range writers {
				for i := range 2 {
					wg.Go(func() {
						for k := range each {
							e.write(i, fmt.Sprint("message ", w, " ", round*each+k))
						}
					})
				}
			}
			wg.Wait()
			sent += writers * each
			for i := range 2 {
				e.users[i].wait(sent)
			}
		}
		for _, u := range e.users {
			var next [writers]int
			for _, m := range u.wait(sent) {
				var w, k int
				if _, err := fmt.Sscanf(m, "message %d %d", &w, &k); err != nil || k != next[w] {
					t.Fatalf("%v: %q, want %d of writer %d: %v", c, m, next[w], w, err)
				}
				next[w]++
			}
		}
		e.end(t)
		for _, g := range e.nodes {
			if k := g.counters(); k["crypt_refused"] != 0 || k["crypt_key_changes"] < 5 || k["crypt_opened"] != uint64(sent) {
				t.Errorf("%v: %d refused, %d opened, %d key changes", c, k["crypt_refused"], k["crypt_opened"], k["crypt_key_changes"])
			}
		}
	}
}

func TestForgeriesAreCountedAndDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sealedEnds(t, raw(1), wire.AES256GCM, 4, nil)
		rnd := rand.NewChaCha8([32]byte{})
		forge := make([]byte, 200)
		for i := range 1000 {
			rnd.Read(forge)
			flow.SendOrDrop(e.wires[0], []*packet.Buffer{packet.From(forge[:1+i%200])})
			if i%10 == 0 {
				e.write(0, fmt.Sprint("message ", i))
				e.users[1].wait(i/10 + 1)
			}
		}
		if k := e.nodes[1].counters(); k["crypt_refused"]+k["crypt_short"] != 1000 || k["crypt_opened"] != 100 {
			t.Errorf("%d refused, %d short, %d opened", k["crypt_refused"], k["crypt_short"], k["crypt_opened"])
		}
		e.end(t)
	})
}

// Somebody on the way records a raw flow, and plays it to both ends.
func TestWhatIsRepeatedOrSentBackIsNotReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var recorded []*packet.Buffer
		e := sealedEnds(t, raw(0), wire.AES256GCM, 5, func(b *packet.Buffer) bool {
			recorded = append(recorded, b.Clone())
			return false
		})
		const n = 200
		for i := range n {
			e.write(0, fmt.Sprint("message ", i))
			e.users[1].wait(i + 1)
			for to := range 2 {
				for _, b := range recorded[max(0, len(recorded)-20):] {
					flow.SendOrDrop(e.wires[1-to], []*packet.Buffer{b.Clone()})
				}
			}
		}
		synctest.Wait()
		for i := range 2 {
			if got := len(e.users[i].wait(0)); got != i*n {
				t.Errorf("end %d received %d messages", i, got)
			}
			if k := e.nodes[i].counters(); k["crypt_repeated"] < n*15 || k["crypt_key_changes"] < 3 {
				t.Errorf("end %d: %d repeated, %d key changes", i, k["crypt_repeated"], k["crypt_key_changes"])
			}
		}
		packet.ReleaseAll(recorded)
		e.end(t)
	})
}

func TestAFlowThatCannotBeSealedIsNotMade(t *testing.T) {
	g := &guards{}
	a, _ := flow.NewPipe(flow.PipeOptions{})
	key := flowKey
	f, err := g.guard(a, registry.Needs{QoS: raw(1), Cipher: 77, Key: &key})
	if err == nil || f != nil || g.open != 0 {
		t.Errorf("a flow with cipher 77: %v, %v, %d open", f, err, g.open)
	}
}
