package ca

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// sent is the state of the C implementation's sender after a packet or a
// report.
type sent struct {
	T       int64  `json:"t_ns"`
	Op      string // snd, update
	Len     int
	Wait    int64 `json:"wait_ns"`
	ECE     uint16
	Level   uint16 `json:"tx_ece"`
	Since   uint64 `json:"tx_ctr"`
	Bytes   uint64 `json:"wbc"`
	Packets uint64 `json:"wpc"`
	Limit   uint64 `json:"wbl"`
	Shift   uint   `json:"mul"`
	Step    uint64 `json:"inc"`
	Slot    int64
	Avoid   int `json:"cav"`
}

// received is the state of its receiver after a packet.
type received struct {
	ECN    uint8
	Update bool `json:"send_update"`
	ECE    int
	Level  uint16 `json:"rx_ece"`
	Count  uint32 `json:"rx_ctr"`
}

type vectors struct {
	Fast   []sent     `json:"sender_fast"`
	Slow   []sent     `json:"sender_slow"`
	All    []sent     `json:"sender_all_packets"`
	Recv   []received `json:"receiver"`
	Steady []received `json:"receiver_steady_63"`
	Mark   []struct {
		Queued int
		In     uint8 `json:"ecn_in"`
		Out    uint8 `json:"ecn_out"`
	} `json:"ecn_marking"`
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/mb-ecn.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (l *Law) compare(t *testing.T, i int, v sent) {
	t.Helper()
	got := sent{T: v.T, Op: v.Op, Len: v.Len, Wait: v.Wait, ECE: v.ECE, Level: l.level, Since: l.since, Bytes: l.bytes,
		Packets: l.packets, Limit: l.limit, Shift: l.shift, Step: l.step, Slot: l.slot, Avoid: v.Avoid}
	if got != v || l.avoid != (v.Avoid == 1) {
		t.Fatalf("step %d: %+v, want %+v", i, got, v)
	}
}

func TestTheLawIsThatOfTheCImplementation(t *testing.T) {
	v := load(t)
	for name, steps := range map[string][]sent{"slow": v.Slow, "all": v.All} {
		t.Run(name, func(t *testing.T) {
			begun := int64(200000000000)
			if name == "all" {
				begun = 300000000000
			}
			l := NewLaw(begun)
			for i, s := range steps {
				if s.Op != "snd" {
					l.Report(s.ECE)
					continue
				}
				if wait := l.Send(s.T, s.Len); wait != time.Duration(s.Wait) {
					t.Fatalf("step %d: waits %d, want %d", i, wait, s.Wait)
				}
				l.compare(t, i, s)
			}
		})
	}
	t.Run("fast", func(t *testing.T) { // of which not every step is listed
		now := int64(100000012345)
		l := NewLaw(now)
		at := 0
		for k := 1; k <= 400; k++ {
			switch k {
			case 251:
				l.Report(40)
			case 331:
				l.Report(2016)
			}
			now += 200000
			wait := l.Send(now, 1500)
			for at < len(v.Fast) && v.Fast[at].Op != "snd" {
				at++
			}
			if at < len(v.Fast) && v.Fast[at].T == now {
				if wait != time.Duration(v.Fast[at].Wait) {
					t.Fatalf("packet %d: waits %d, want %d", k, wait, v.Fast[at].Wait)
				}
				l.compare(t, at, v.Fast[at])
				at++
			}
		}
		if at != len(v.Fast) {
			t.Errorf("%d of %d compared", at, len(v.Fast))
		}
	})
}

func TestTheReceiverIsThatOfTheCImplementation(t *testing.T) {
	v := load(t)
	var r Receiver
	for i, s := range v.Recv {
		report := r.Packet(s.ECN)
		if report != s.Update || r.Level() != s.Level || r.Count() != s.Count || report && int(r.Level()) != s.ECE {
			t.Fatalf("packet %d: %+v, report %v, want %+v", i, r, report, s)
		}
	}
	r = Receiver{}
	at := 0
	for i := range 200 {
		report := r.Packet(63)
		s := v.Steady[at]
		if r.Count() == s.Count && (i < 20 || at < len(v.Steady)-1 || i == 199) {
			if report != s.Update || r.Level() != s.Level {
				t.Fatalf("packet %d: %+v, report %v, want %+v", i, r, report, s)
			}
			at++
			if at == len(v.Steady) {
				break
			}
		}
	}
	if at != len(v.Steady) {
		t.Errorf("%d of %d compared", at, len(v.Steady))
	}
}

// TestReportsSeenOnAWire has the marks of packets that a member of the C
// implementation received, and the levels that it reported; -1 = nothing.
func TestReportsSeenOnAWire(t *testing.T) {
	var r Receiver
	for i, c := range []struct {
		mark uint8
		sent int
	}{{0, -1}, {0, -1}, {1, 1}, {0, 0}, {1, 1}, {1, -1}, {1, 3}, {0, 0}, {0, -1}, {0, -1}} {
		if report := r.Packet(c.mark); report != (c.sent >= 0) || report && int(r.Level()) != c.sent {
			t.Errorf("packet %d: %v, %d", i, report, r.Level())
		}
	}
}

func TestALevelNeverOverflows(t *testing.T) {
	var r Receiver
	for range 100000 {
		r.Packet(255)
	}
	if r.Level() != 255*32 {
		t.Errorf("level %d", r.Level())
	}
}
