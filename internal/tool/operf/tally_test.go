package operf

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/tool/latency"
)

func TestStatisticsAsText(t *testing.T) {
	for name, tc := range map[string]struct {
		o    Options
		t    tally
		want string
	}{
		"nothing": {Options{Name: "perf", Test: Bi, Size: 1500}, tally{elapsed: 297 * time.Microsecond}, `
--- perf perf statistics ---
0 packets transmitted, 0 received, 0% packet loss, time: 0.297 ms, bandwidth: 0.000 Mb/s.
`},
		"no time": {Options{Name: "perf", Test: Bi, Size: 1500}, tally{sent: 1, received: 1}, `
--- perf perf statistics ---
1 packets transmitted, 1 received, 0% packet loss, time: 0.000 ms, bandwidth: 0.000 Mb/s.
`},
		"both ways": {Options{Name: "perf", Test: Bi, Size: 1000}, tally{sent: 1000, received: 999, elapsed: 2 * time.Second}, `
--- perf perf statistics ---
1000 packets transmitted, 999 received, 1% packet loss, time: 2000.000 ms, bandwidth: 3.996 Mb/s.
`},
		"duplicates": {Options{Name: "perf", Test: Bi, Size: 1000}, tally{sent: 4, received: 2, duplicates: 3, elapsed: time.Second}, `
--- perf perf statistics ---
4 packets transmitted, 2 received, 3 duplicates, 50% packet loss, time: 1000.000 ms, bandwidth: 0.016 Mb/s.
`},
		"one way": {Options{Name: "perf", Size: 1000}, tally{sent: 1000, elapsed: 2 * time.Second}, `
--- perf perf statistics ---
1000 packets transmitted, time: 2000.000 ms, bandwidth: 4.000 Mb/s.
`},
	} {
		t.Run(name, func(t *testing.T) {
			tc.t.rtt = latency.New()
			if got := tc.t.text(&tc.o); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

func TestTheHistogramFollowsTheStatistics(t *testing.T) {
	tl := tally{sent: 1, received: 1, rtt: latency.New()}
	tl.rtt.Record(time.Millisecond)
	if got := tl.text(&Options{Test: Bi, Histogram: true}); !strings.Contains(got, "\n\nrtt percentiles (ms): p50 1.000") {
		t.Errorf("got:\n%s", got)
	}
}

func TestStatisticsAsJSON(t *testing.T) {
	for _, test := range []Test{Uni, Bi} {
		for _, tl := range []tally{{}, {sent: 5, received: 4, elapsed: time.Second}} {
			tl.rtt = latency.New()
			line, err := json.Marshal(tl.result(&Options{Test: test, Size: 100}, 9))
			if err != nil {
				t.Fatal(err)
			}
			var back map[string]any
			if err := json.Unmarshal(line, &back); err != nil {
				t.Fatal(err)
			}
			if _, both := back["received"]; both != (test == Bi) || back["transmitted"] != float64(tl.sent) {
				t.Errorf("got %s", line)
			}
		}
	}
}
