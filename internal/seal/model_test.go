package seal

import (
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"testing"

	wire "ouroboros/internal/wire/oap"
)

// peer is one end of a flow in a simulation.
type peer interface {
	send(plain string) []byte
	receive(p []byte) (plain string, ok bool)
}

// reference counts as the C implementation does, for an AEAD.
type reference struct {
	rand    *rand.Rand
	m       uint32
	chain   *chain
	cur     cipher.AEAD
	prev    cipher.AEAD
	n, age  uint32
	phase   bool
	rotated int
}

func newReference(r *rand.Rand, key [KeySize]byte, bit int) *reference {
	p := &reference{rand: r, m: 1 << bit, chain: newChain(&key)}
	p.cur = p.next()
	return p
}

func (p *reference) next() (k cipher.AEAD) {
	u, _ := suiteOf(wire.AES256GCM)
	p.chain.take(func(key *[KeySize]byte) { k = u.newAEAD(key) })
	return k
}

func (p *reference) rotate() {
	p.prev, p.cur = p.cur, p.next()
	p.age, p.phase = 0, !p.phase
	p.rotated++
}

func (p *reference) send(plain string) []byte {
	iv := make([]byte, aeadIV, aeadIV+len(plain)+tag)
	for i := range iv {
		iv[i] = byte(p.rand.Uint32())
	}
	iv[0] &= 0x7f
	if p.n&p.m != 0 {
		iv[0] |= 0x80
	}
	out := p.cur.Seal(iv, iv, []byte(plain), nil)
	was := p.n & p.m
	p.n++
	p.age++
	if p.n&p.m != was {
		p.rotate()
	}
	if p.age >= p.m/2 {
		p.prev = nil
	}
	return out
}

func (p *reference) receive(b []byte) (string, bool) {
	if phase := b[0]&0x80 != 0; phase != p.phase && p.age >= p.m-p.m/4 {
		p.rotate()
	}
	p.n++
	p.age++
	for _, k := range []cipher.AEAD{p.cur, p.prev} {
		if k == nil {
			continue
		}
		if out, err := k.Open(nil, b[:aeadIV], b[aeadIV:], nil); err == nil {
			return string(out), true
		}
	}
	return "", false
}

// The model does what the C implementation was seen to do.
func TestTheModelIsTheCImplementation(t *testing.T) {
	for name, tr := range traces(t) {
		if wire.Cipher(tr.Cipher) != wire.AES256GCM {
			continue
		}
		key := [KeySize]byte(unhex(t, tr.Key))
		r := rand.New(rand.NewPCG(1, 1))
		ends := map[string]*reference{"A": newReference(r, key, tr.Bit), "B": newReference(r, key, tr.Bit)}
		packets := make(map[int][]byte)
		for _, ev := range tr.Events {
			end, plain := ends[ev.Who], fmt.Sprintf("packet %04d", ev.N)
			switch ev.Op {
			case "tx":
				if end.rotated != ev.Epoch {
					t.Fatalf("%s: packet %d is sent under key %d, want %d", name, ev.N, end.rotated, ev.Epoch)
				}
				packets[ev.N] = end.send(plain)
				if phase := int(packets[ev.N][0] >> 7); phase != ev.Phase {
					t.Fatalf("%s: packet %d has phase %d, want %d", name, ev.N, phase, ev.Phase)
				}
			case "rx":
				got, ok := end.receive(packets[ev.N])
				if ok != (ev.OK == 1) || ok && got != plain {
					t.Fatalf("%s: packet %d is received as %q, %v, want %d", name, ev.N, got, ok, ev.OK)
				}
			}
		}
	}
}

// ours is a Sealer as a peer.
type ours struct{ *Sealer }

func (o ours) send(plain string) []byte                 { return sealed(o.Sealer, plain) }
func (o ours) receive(p []byte) (plain string, ok bool) { return opens(o.Sealer, p) }

func (o ours) epoch() uint64 { return o.machine.(*authenticated).epoch.Load().number }

// network carries packets of one direction: it loses some, and lets others
// overtake.
type network struct {
	rand   *rand.Rand
	loss   float64
	spread int // by how many packets, of both directions, one may be overtaken
	burst  int // so many in a row are lost, of one direction or both; 0 = never
	often  int // once in so many packets
	late   []late
}

type late struct {
	sent, due int
	p         []byte
	n         string
}

// carry takes the packet that was sent at a time.
func (w *network) carry(at int, p []byte, plain string) {
	if w.rand.Float64() >= w.loss {
		due := at
		if w.spread > 0 && w.rand.IntN(8) == 0 {
			due += w.rand.IntN(w.spread)
		}
		w.late = append(w.late, late{at, due, p, plain})
	}
}

// arrive gives what arrives at a time.
func (w *network) arrive(at int) (arrived []late) {
	rest := w.late[:0]
	for _, l := range w.late {
		if l.due <= at {
			arrived = append(arrived, l)
		} else {
			rest = append(rest, l)
		}
	}
	w.late = rest
	return arrived
}

// Of what arrives in order nothing is refused, by either end. Of what is overtaken
// while the C implementation changes its key twice, a little may be.
func TestNothingThatArrivesIsRefusedOverTwentyEpochs(t *testing.T) {
	bit := 9
	const epochs = 20
	runs := 2
	losses := []float64{0, 0.001, 0.01, 0.05, 0.15, 0.4}
	if raceEnabled || testing.Short() {
		runs, bit, losses = 1, 8, []float64{0, 0.01, 0.4}
	}
	for _, other := range []string{"the C implementation", "our own kind"} {
		for _, loss := range losses {
			for _, spread := range []int{0, 1 << bit / 8} {
				// share is what part of the packets our end sends; phases of one
				// way each when it is negative.
				for _, share := range []float64{0, 0.1, 0.5, 0.9, 1, -1} {
					name := fmt.Sprintf("%s/loss %g/spread %d/share %g", other, loss, spread, share)
					t.Run(name, func(t *testing.T) {
						for run := range runs {
							simulate(t, other, network{loss: loss, spread: spread}, share, bit, epochs, uint64(run))
						}
					})
				}
			}
		}
	}
}

// A quarter of an epoch in a row may be lost.
func TestNothingIsRefusedAfterLongGaps(t *testing.T) {
	bit, runs := 9, uint64(4)
	if raceEnabled || testing.Short() {
		bit, runs = 8, 1
	}
	for _, other := range []string{"the C implementation", "our own kind"} {
		for _, share := range []float64{0, 0.1, 0.5, 0.9, 1, -1} {
			for run := range runs {
				simulate(t, other, network{burst: 1 << bit / 4, often: 2 << bit}, share, bit, 20, run)
			}
		}
	}
}

func simulate(t *testing.T, other string, way network, share float64, bit, epochs int, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	way.rand = r
	key := [KeySize]byte{1, 2, 3, byte(seed)}
	c := Config{Cipher: wire.AES256GCM, Key: &key, EpochBit: bit}
	us := ours{newSealer(t, c)}
	var them peer = ours{newSealer(t, c)}
	if other == "the C implementation" {
		them = newReference(r, key, bit)
	}
	ends := [2]peer{us, them}
	back := way
	nets := [2]*network{&way, &back}
	most := epochs << bit
	oneWay, from, late := 0, 0, 0
	gap, mute := 0, 0 // until when packets are lost, and of which end; 2 = of both
	for i := range most {
		switch {
		case share >= 0 && r.Float64() < share:
			from = 0
		case share >= 0:
			from = 1
		case oneWay == 0:
			from, oneWay = 1-from, 1+r.IntN(3<<bit)
		default:
			oneWay--
		}
		if way.burst > 0 && i >= gap && r.IntN(way.often) == 0 {
			gap, mute = i+way.burst, r.IntN(3)
		}
		plain := fmt.Sprint("packet ", i)
		p := ends[from].send(plain)
		if i >= gap || mute == 1-from {
			nets[from].carry(i, p, plain)
		}
		for to := range ends {
			for _, l := range nets[1-to].arrive(i) {
				got, ok := ends[to].receive(l.p)
				if !ok && l.due > l.sent && other == "the C implementation" {
					late++
					continue
				}
				if !ok || got != l.n {
					t.Fatalf("run %d, after %d packets: end %d got %q, %v for %q; epoch %d at ours", seed, i, to, got, ok, l.n, us.epoch())
				}
			}
		}
	}
	if late > most/1000 {
		t.Errorf("%d late packets of %d are refused", late, most)
	}
	if e := us.epoch(); e < uint64(epochs)/2 || e > uint64(epochs)*3/2 {
		t.Errorf("%d epochs", e)
	}
}
