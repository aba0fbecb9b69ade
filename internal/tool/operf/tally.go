package operf

import (
	"fmt"
	"strings"
	"time"

	"ouroboros/internal/tool/latency"
)

// Why a test ended, as JSON says it.
const (
	endDuration = "duration"
	endSignal   = "signal"
	endTimeout  = "timeout"
	endFlow     = "flow down"
	endSend     = "send failed"
)

// tally is what a client has seen of its test.
type tally struct {
	sent       int64
	received   int64 // each message once; bi only
	duplicates int64
	invalid    int64
	elapsed    time.Duration // until the last was sent
	end        string
	rtt        *latency.Recorder
}

// mbps is the rate of n messages in Mb/s; 0 in no time.
func (t *tally) mbps(n int64, size int) float64 {
	if t.elapsed <= 0 {
		return 0
	}
	return float64(n) * float64(size) * 8 / (float64(t.elapsed) / 1e3)
}

// loss is the share of messages that did not come back in percent, rounded
// up; 0 when nothing was sent.
func (t *tally) loss() int64 {
	if t.sent == 0 {
		return 0
	}
	return (100*(t.sent-t.received) + t.sent - 1) / t.sent
}

// text is the end of the client's output.
func (t *tally) text(o *Options) string {
	var b strings.Builder
	ms := float64(t.elapsed) / 1e6
	fmt.Fprintf(&b, "\n--- %s perf statistics ---\n", o.Name)
	if o.Test == Uni {
		fmt.Fprintf(&b, "%d packets transmitted, time: %.3f ms, bandwidth: %.3f Mb/s.\n",
			t.sent, ms, t.mbps(t.sent, o.Size))
		return b.String()
	}
	fmt.Fprintf(&b, "%d packets transmitted, %d received, ", t.sent, t.received)
	if t.duplicates > 0 {
		fmt.Fprintf(&b, "%d duplicates, ", t.duplicates)
	}
	fmt.Fprintf(&b, "%d%% packet loss, time: %.3f ms, bandwidth: %.3f Mb/s.\n",
		t.loss(), ms, t.mbps(t.received, o.Size))
	if o.Histogram && t.rtt.Count() > 0 {
		b.WriteByte('\n')
		t.rtt.WriteHistogram(&b, "rtt")
	}
	return b.String()
}

// result is the tally as JSON.
type result struct {
	Tool     string  `json:"tool"`
	Server   string  `json:"server"`
	Test     string  `json:"test"`
	Flow     int     `json:"flow"`
	Size     int     `json:"size"`
	Rate     int64   `json:"rate"` // bit/s; 0 = flood
	Sent     int64   `json:"transmitted"`
	Elapsed  float64 `json:"time_ms"`
	SentMbps float64 `json:"sent_mbps"`
	*back            // bi only
	End      string  `json:"end"`
}

// back is what came back.
type back struct {
	Received   int64            `json:"received"`
	Duplicates int64            `json:"duplicates"`
	Invalid    int64            `json:"invalid"`
	Loss       float64          `json:"loss_percent"`
	Mbps       float64          `json:"mbps"`
	RTT        *latency.Summary `json:"rtt"`
}

func (t *tally) result(o *Options, flow int) result {
	r := result{
		Tool: "operf", Server: o.Name, Test: o.Test.String(), Flow: flow, Size: o.Size, Rate: o.Rate,
		Sent: t.sent, Elapsed: float64(t.elapsed) / 1e6, SentMbps: t.mbps(t.sent, o.Size), End: t.end,
	}
	if o.Flood {
		r.Rate = 0
	}
	if o.Test == Bi {
		r.back = &back{
			Received: t.received, Duplicates: t.duplicates, Invalid: t.invalid,
			Mbps: t.mbps(t.received, o.Size), RTT: t.rtt.Summary(o.Histogram),
		}
		if t.sent > 0 {
			r.Loss = 100 * float64(t.sent-t.received) / float64(t.sent)
		}
	}
	return r
}
