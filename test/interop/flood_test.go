package interop

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ouroboros/qos"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// use is what a daemon holds of its host.
type use struct{ resident, descriptors, threads, flows int }

func measure(t *testing.T, d *host.Daemon) (u use) {
	t.Helper()
	pid := strconv.Itoa(d.Cmd.Process.Pid)
	text, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			u.resident = n << 10
		}
		if _, err := fmt.Sscanf(line, "Threads: %d", &n); err == nil {
			u.threads = n
		}
	}
	fds, err := os.ReadDir(filepath.Join("/proc", pid, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	u.descriptors = len(fds)
	flows, err := d.Irm.ListFlows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u.flows = len(flows)
	return u
}

// mutant changes a frame that was seen, or makes one that only begins like it.
// Addresses and the kind of the frame mostly stay, so that it gets past the
// kernel.
func mutant(r *rand.Rand, seen [][]byte, header int, udp bool) []byte {
	f := append([]byte(nil), seen[r.IntN(len(seen))]...)
	body := f[min(header, len(f)):]
	switch r.IntN(8) {
	case 0: // random from here on
		for i := range body {
			body[i] = byte(r.Uint32())
		}
	case 1: // cut
		f = f[:min(len(f), header+r.IntN(len(body)+1))]
	case 2: // longer, with random bytes
		for range r.IntN(1400 - min(1399, len(body))) {
			f = append(f, byte(r.Uint32()))
		}
	case 3: // another endpoint, all bytes of it
		for i := range min(4, len(body)) {
			body[i] = byte(r.Uint32())
		}
	case 4: // a number at its limits
		if len(body) >= 8 {
			at := r.IntN(len(body) - 4)
			v := []uint32{0, 1, 0x7fffffff, 0x80000000, 0xffffffff}[r.IntN(5)]
			binary.BigEndian.PutUint32(body[at:], v)
		}
	case 5: // as it was: a duplicate
	default: // a few bytes
		for range 1 + r.IntN(4) {
			if len(body) > 0 {
				body[r.IntN(len(body))] = byte(r.Uint32())
			}
		}
	}
	if udp {
		mend(f)
	}
	return f
}

// mend makes the lengths and checksums of a datagram right again, so that the
// kernel takes it.
func mend(f []byte) {
	if word(f, 12) == 0x0800 {
		if len(f) < 42 {
			return
		}
		binary.BigEndian.PutUint16(f[16:], uint16(len(f)-14))
		binary.BigEndian.PutUint16(f[24:], 0)
		binary.BigEndian.PutUint16(f[24:], ^fold(sum16(f[14:34])))
		binary.BigEndian.PutUint16(f[38:], uint16(len(f)-34))
		binary.BigEndian.PutUint16(f[40:], 0) // none
		return
	}
	if len(f) < 62 {
		return
	}
	n := len(f) - 54
	binary.BigEndian.PutUint16(f[18:], uint16(n))
	binary.BigEndian.PutUint16(f[58:], uint16(n))
	binary.BigEndian.PutUint16(f[60:], 0)
	c := ^fold(sum16(f[22:54]) + uint32(n) + 17 + sum16(f[54:]))
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(f[60:], c)
}

func sum16(b []byte) (s uint32) {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestRandomAndMutatedPacketsDoNoHarm(t *testing.T) {
	packets := 50_000 // four layers: 200,000
	if soak != "" {
		packets = 2_500_000
	}
	if testing.Short() {
		packets = 5_000
	}
	for _, l := range layers {
		t.Run(l.name, func(t *testing.T) {
			w := joinByRelay(t, l, oursOurs, 41)
			w.role(t, "echo")
			c := open(t, w.here())

			// What is mutated: an allocation and messages of both kinds of flow.
			var mu sync.Mutex
			var seen [][]byte
			w.relay.Watch(relay.AtoB, func(f []byte) {
				mu.Lock()
				defer mu.Unlock()
				if len(seen) < 200 && word(f, 12) != 0x0806 && (word(f, 12) != 0x86dd || f[20] == 17) {
					seen = append(seen, append([]byte(nil), f...))
				}
			})
			raw := w.allocate(t, c, "echo", nil)
			spec := qos.Data
			reliable := w.allocate(t, c, "echo", &spec)
			ping(t, raw)
			ping(t, reliable)
			w.relay.Watch(relay.AtoB, nil)

			header := map[string]int{"udp4": 42, "udp6": 62, "eth-dix": 14, "eth-llc": 12}[l.name]
			r := rand.New(rand.NewPCG(41, 41))
			flood := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				for range n {
					// What the kernel refuses, as a frame that is too long, is
					// no matter.
					w.relay.Inject(relay.AtoB, mutant(r, seen, header, strings.HasPrefix(l.name, "udp")))
				}
			}
			server := w.server.(*host.Daemon)
			flood(packets / 2)
			ping(t, raw)
			before := measure(t, server)
			flood(packets / 2)
			ping(t, raw)
			after := measure(t, server)
			t.Logf("%d packets: %+v, then %+v", packets, before, after)
			// What a mutated request that was a good one made is no leak.
			const perFlow = 32 << 10
			flows := max(0, after.flows-before.flows)
			if after.resident > before.resident+32<<20+flows*perFlow {
				t.Errorf("the memory grew from %d to %d MiB", before.resident>>20, after.resident>>20)
			}
			if after.descriptors > before.descriptors+50 || after.threads > before.threads+8 {
				t.Errorf("from %+v to %+v", before, after)
			}
			// Mutated requests can be good ones. What they made goes with its
			// time-out; the few endpoints of LLC are taken until then.
			if l.name != "eth-llc" {
				ping(t, w.allocate(t, c, "echo", nil))
			}
		})
	}
}
