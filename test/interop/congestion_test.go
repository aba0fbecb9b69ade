package interop

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/fa"
	"ouroboros/test/relay"
)

// bottleneck is what the second cable carries, and what is offered to it.
type bottleneck struct {
	limit    string // as tc has it
	messages int    // of 1000 bytes, that pass in a second
	offered  string // as ocbr has it
}

// With its queue full, as it is when 375 packets wait, a member of the C
// implementation passes nothing on in the other direction either, and so no
// reports. So it is offered little more than it can pass on, at a rate at which
// senders begin.
var bottlenecks = map[string]bottleneck{
	ours:      {"4mbit", 486, "20M"},
	reference: {"27mbit", 3280, "30M"},
}

// narrow makes a host's end of a cable slow. What it is sent waits there, where
// the host can see it.
func (l *line) narrow(t testing.TB, at *member, limit string) {
	t.Helper()
	cmd := at.space.Command(t.Context(), "tc", "qdisc", "add", "dev", l.layer, "root", "tbf", "rate", limit, "burst", "8kb", "limit", "1mb")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("the kernel cannot slow a device down (tc of iproute2, sch_tbf): %v %s", err, out)
	}
}

// meter counts the frames that pass a cable from its first end, a quarter of a
// second each.
type meter struct {
	stop chan struct{}
	done sync.WaitGroup
	per  []int // a second
}

func measures(l *line) *meter {
	m := &meter{stop: make(chan struct{})}
	m.done.Go(func() {
		last, at := l.relay.Stats(relay.AtoB).Taken, time.Now()
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-tick.C:
			}
			n, now := l.relay.Stats(relay.AtoB).Taken, time.Now()
			m.per = append(m.per, int(float64(n-last)/now.Sub(at).Seconds()))
			last, at = n, now
		}
	})
	return m
}

// rates gives those while something was sent.
func (m *meter) rates() []int {
	close(m.stop)
	m.done.Wait()
	const idle = 100
	busy := func(r int) bool { return r > idle }
	first := slices.IndexFunc(m.per, busy)
	if first < 0 {
		return nil
	}
	last := len(m.per)
	for !busy(m.per[last-1]) {
		last--
	}
	return m.per[first:last]
}

func mean(of []int) (n int) {
	for _, v := range of {
		n += v
	}
	return n / max(len(of), 1)
}

// A member at a bottleneck marks what it passes on, the receiver reports that,
// and the sender slows down, whoever each of them is.
func TestSendersSlowDownAtABottleneck(t *testing.T) {
	arranged(t, []arrangement{
		{ours, ours, ours}, {ours, ours, reference}, {reference, ours, ours}, {reference, ours, reference},
		{ours, reference, ours}, {ours, reference, reference},
	}, func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(3), quick...)
		a, b, c := n.hosts[0], n.hosts[1], n.hosts[2]
		in, out := n.lines[0], n.lines[1]
		c.serve(t, "ocbr.c", "ocbr")
		neck := bottlenecks[b.who]
		out.narrow(t, b, neck.limit)
		sent, told := out.listen(b), in.listen(b)
		meter := measures(in)
		r := a.use(t, "ocbr", "ocbr.c", "-d", "10", "-s", "1000", "-r", neck.offered)
		rates := meter.rates()

		marked, arrived := 0, 0
		for _, p := range sent.all() {
			if len(p) > 1000 {
				arrived++
				if p[6] > 0 {
					marked++
				}
			}
		}
		var levels []int
		for _, p := range told.all() {
			if at := wire.HeaderLen + fa.FixedSize - 5; len(p) == wire.HeaderLen+fa.FixedSize && fa.Code(p[at+2]) == fa.Update {
				levels = append(levels, int(binary.BigEndian.Uint16(p[at:])))
			}
		}
		t.Logf("%s%s%d messages have passed the bottleneck, %d of them marked; %d reports, up to %d; a second: %v",
			r.Stdout, r.Stderr, arrived, marked, len(levels), slices.Max(append(levels, 0)), rates)
		if r.Code != 0 || len(rates) < 8 {
			t.Fatalf("exit %d, sent %v", r.Code, rates)
		}
		if marked < arrived/10 {
			t.Errorf("%d of %d messages were marked", marked, arrived)
		}
		if len(levels) < 50 {
			t.Errorf("%d reports have arrived at the sender", len(levels))
		}
		// It rises and falls. On a busy machine a relay comes late at times, which
		// are left out. A sender of the C implementation that has too little of a
		// processor to reach its rate shows nothing.
		sorted := slices.Sorted(slices.Values(rates))
		if low, high := sorted[len(sorted)/10], sorted[len(sorted)*9/10]; a.who == ours && low > high*4/5 {
			t.Errorf("the sender sent between %d and %d messages a second", low, high)
		}
		if a.who == ours && b.who == ours {
			if later := mean(rates[len(rates)/2:]); later > neck.messages*3/2 {
				t.Errorf("the sender sends %d messages a second where %d fit through", later, neck.messages)
			}
		}
		if arrived < neck.messages*5 { // half of ten seconds
			t.Errorf("%d messages passed the bottleneck", arrived)
		}
		n.healthy(t)
	})
}
