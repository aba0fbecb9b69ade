package ocbr

import (
	"fmt"
	"time"

	"ouroboros/internal/tool/latency"
)

// count is what was sent or received in a span of time.
type count struct {
	packets int64
	bytes   int64
	span    time.Duration
}

// mbps is the rate in Mb/s; 0 in no time.
func (c count) mbps() float64 {
	if c.span < time.Microsecond {
		return 0
	}
	return 8 * float64(c.bytes) / float64(c.span.Microseconds())
}

// pps is the rate in messages per second; 0 in no time.
func (c count) pps() float64 {
	if c.span <= 0 {
		return 0
	}
	return float64(c.packets) / c.span.Seconds()
}

// sentLine is the statistics of a client.
func (c count) sentLine() string {
	return fmt.Sprintf("sent statistics: %9d packets, %12d bytes in %9d ms, %4.4f Mb/s\n",
		c.packets, c.bytes, c.span.Milliseconds(), c.mbps())
}

// flowLine is a report of a server.
func (c count) flowLine(fd int) string {
	return fmt.Sprintf("Flow %4d: %9d packets (%12d bytes) in %9d ms => %9.4f pps, %9.4f Mbps\n",
		fd, c.packets, c.bytes, c.span.Milliseconds(), c.pps(), c.mbps())
}

// figures are a count as JSON.
type figures struct {
	Packets int64   `json:"packets"`
	Bytes   int64   `json:"bytes"`
	Span    float64 `json:"time_ms"`
	PPS     float64 `json:"pps"`
	Mbps    float64 `json:"mbps"`
}

func (c count) figures() figures {
	return figures{c.packets, c.bytes, float64(c.span) / 1e6, c.pps(), c.mbps()}
}

// result is the JSON of a client.
type result struct {
	Tool   string `json:"tool"`
	Server string `json:"server"`
	Flow   int    `json:"flow"`
	Size   int64  `json:"size"`
	Rate   int64  `json:"rate"` // bit/s; 0 = flood
	figures
	End string `json:"end"`
}

// event is a line of a server's JSON.
type event struct {
	Event  string           `json:"event"` // "started", "flow", "report", "end", "stopped"
	FD     int              `json:"fd,omitempty"`
	Flow   *int             `json:"flow,omitempty"`
	Reason string           `json:"reason,omitempty"`
	Flows  *int64           `json:"flows,omitempty"` // served in all
	Gaps   *latency.Summary `json:"gaps,omitempty"`  // between two messages
	*figures
}
