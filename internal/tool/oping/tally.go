package oping

import (
	"fmt"
	"strings"
	"time"

	"ouroboros/internal/tool/latency"
)

// tally is what a client has seen of its test.
type tally struct {
	sent       int64
	received   int64 // each reply once
	outOfOrder int64 // of these
	duplicates int64 // besides
	invalid    int64 // messages that are no reply to a request
	elapsed    time.Duration
	end        string // why the test ended, a word
	seq        sequence
	rtt        *latency.Recorder
}

// loss is the share of requests without a reply in percent, rounded up; 0
// when nothing was sent.
func (t *tally) loss() int64 {
	if t.sent == 0 {
		return 0
	}
	missing := t.sent - t.received
	return (100*missing + t.sent - 1) / t.sent
}

// text is the end of the client's output.
func (t *tally) text(name string, histogram bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n--- %s ping statistics ---\n", name)
	fmt.Fprintf(&b, "%d packets transmitted, %d received, %d out-of-order, ", t.sent, t.received, t.outOfOrder)
	if t.duplicates > 0 {
		fmt.Fprintf(&b, "%d duplicates, ", t.duplicates)
	}
	fmt.Fprintf(&b, "%d%% packet loss, time: %.3f ms\n", t.loss(), float64(t.elapsed)/1e6)
	if t.rtt.Count() == 0 {
		return b.String()
	}
	u := latency.UnitFor(t.rtt.Mean())
	fmt.Fprintf(&b, "rtt min/avg/max/mdev = %s/%s/%s/%s %s\n", u.Format(float64(t.rtt.Min())),
		u.Format(t.rtt.Mean()), u.Format(float64(t.rtt.Max())), u.Format(t.rtt.Deviation()), u.Name)
	if histogram {
		b.WriteByte('\n')
		t.rtt.WriteHistogram(&b, "rtt")
	}
	return b.String()
}

// result is the tally as JSON.
type result struct {
	Tool       string           `json:"tool"`
	Server     string           `json:"server"`
	Size       int              `json:"size"`
	QoS        string           `json:"qos"`
	Flow       int              `json:"flow"`
	Sent       int64            `json:"transmitted"`
	Received   int64            `json:"received"`
	OutOfOrder int64            `json:"out_of_order"`
	Duplicates int64            `json:"duplicates"`
	Invalid    int64            `json:"invalid"`
	Loss       float64          `json:"loss_percent"`
	Elapsed    float64          `json:"time_ms"`
	End        string           `json:"end"`
	RTT        *latency.Summary `json:"rtt"`
}

func (t *tally) result(o *Options, flow int) result {
	r := result{
		Tool: "oping", Server: o.Name, Size: o.Size, QoS: o.QoS.String(), Flow: flow,
		Sent: t.sent, Received: t.received, OutOfOrder: t.outOfOrder,
		Duplicates: t.duplicates, Invalid: t.invalid,
		Elapsed: float64(t.elapsed) / 1e6, End: t.end, RTT: t.rtt.Summary(o.Histogram),
	}
	if t.sent > 0 {
		r.Loss = 100 * float64(t.sent-t.received) / float64(t.sent)
	}
	return r
}
