package oping

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/tool/latency"
)

// seen makes a tally of replies with the given times.
func seen(sent int64, elapsed time.Duration, rtts ...time.Duration) *tally {
	t := &tally{sent: sent, received: int64(len(rtts)), elapsed: elapsed, rtt: latency.New(), end: "count"}
	for _, d := range rtts {
		t.rtt.Record(d)
	}
	return t
}

func TestStatisticsAsText(t *testing.T) {
	const µs = time.Microsecond
	withMore := seen(4, 1500*time.Millisecond, 62*µs, 68*µs, 125*µs)
	withMore.outOfOrder, withMore.duplicates = 2, 1
	for name, tc := range map[string]struct {
		t    *tally
		want string
	}{
		"microseconds": {seen(3, 300601*µs, 62*µs, 68*µs, 125*µs), `
--- n5 ping statistics ---
3 packets transmitted, 3 received, 0 out-of-order, 0% packet loss, time: 300.601 ms
rtt min/avg/max/mdev = 62.000/85.000/125.000/34.771 µs
`},
		"milliseconds": {seen(3, time.Second, 1000*µs, 2000*µs, 3000*µs), `
--- n5 ping statistics ---
3 packets transmitted, 3 received, 0 out-of-order, 0% packet loss, time: 1000.000 ms
rtt min/avg/max/mdev = 1.000/2.000/3.000/1.000 ms
`},
		"the average chooses the unit": {seen(2, time.Second, 20*µs, 180*µs), `
--- n5 ping statistics ---
2 packets transmitted, 2 received, 0 out-of-order, 0% packet loss, time: 1000.000 ms
rtt min/avg/max/mdev = 0.020/0.100/0.180/0.113 ms
`},
		"one reply": {seen(1, 0, 50*µs), `
--- n5 ping statistics ---
1 packets transmitted, 1 received, 0 out-of-order, 0% packet loss, time: 0.000 ms
rtt min/avg/max/mdev = 50.000/50.000/50.000/NaN µs
`},
		"no reply": {seen(3, 4*time.Second), `
--- n5 ping statistics ---
3 packets transmitted, 0 received, 0 out-of-order, 100% packet loss, time: 4000.000 ms
`},
		"nothing sent": {seen(0, µs), `
--- n5 ping statistics ---
0 packets transmitted, 0 received, 0 out-of-order, 0% packet loss, time: 0.001 ms
`},
		"disorder": {withMore, `
--- n5 ping statistics ---
4 packets transmitted, 3 received, 2 out-of-order, 1 duplicates, 25% packet loss, time: 1500.000 ms
rtt min/avg/max/mdev = 62.000/85.000/125.000/34.771 µs
`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.t.text("n5", false); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

func TestLossIsRoundedUp(t *testing.T) {
	for _, tc := range []struct{ sent, received, want int64 }{
		{0, 0, 0}, {1, 1, 0}, {1, 0, 100}, {3, 2, 34}, {3, 1, 67}, {10, 7, 30}, {1000, 999, 1},
		{1 << 31, 1<<31 - 1, 1}, {1 << 31, 1 << 31, 0},
	} {
		if got := (&tally{sent: tc.sent, received: tc.received}).loss(); got != tc.want {
			t.Errorf("%d of %d: got %d, want %d", tc.received, tc.sent, got, tc.want)
		}
	}
}

func TestTheHistogramFollowsTheStatistics(t *testing.T) {
	got := seen(1, 0, time.Millisecond).text("n", true)
	if !strings.Contains(got, "NaN ms\n\nrtt percentiles (ms): p50 1.000") || !strings.Contains(got, "rtt histogram:\n") {
		t.Errorf("got:\n%s", got)
	}
}

func TestStatisticsAsJSON(t *testing.T) {
	o, err := parse([]string{"-n", "n5", "-s", "100", "--histogram"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tl := range []*tally{seen(0, 0), seen(2, time.Second), seen(2, time.Second, time.Millisecond)} {
		line, err := json.Marshal(tl.result(o, 12))
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatal(err)
		}
		if back["transmitted"] != float64(tl.sent) || back["received"] != float64(tl.received) || back["flow"] != 12.0 ||
			(back["rtt"] == nil) != (tl.received == 0) {
			t.Errorf("got %s", line)
		}
	}
}
