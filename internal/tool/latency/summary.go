package latency

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// percentiles are those that are shown.
var percentiles = []struct {
	label string
	p     float64
}{
	{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99},
}

// Summary is a Recorder for JSON. All times are in microseconds; MDev is null
// with one time.
type Summary struct {
	Count     int64    `json:"count"`
	Min       float64  `json:"min_us"`
	Avg       float64  `json:"avg_us"`
	Max       float64  `json:"max_us"`
	MDev      *float64 `json:"mdev_us"`
	P50       float64  `json:"p50_us"`
	P90       float64  `json:"p90_us"`
	P99       float64  `json:"p99_us"`
	P999      float64  `json:"p99_9_us"`
	P9999     float64  `json:"p99_99_us"`
	Histogram []Bar    `json:"histogram,omitempty"`
}

// Bar is one bar of the histogram: From <= time < To.
type Bar struct {
	From  float64 `json:"from_us"`
	To    float64 `json:"to_us"`
	Count int64   `json:"count"`
}

func us(ns float64) float64 { return ns / 1e3 }

// Summary gives all figures, with the histogram if asked for; nil when
// nothing was recorded.
func (r *Recorder) Summary(histogram bool) *Summary {
	if r.n == 0 {
		return nil
	}
	s := &Summary{
		Count: r.n,
		Min:   us(float64(r.min)),
		Avg:   us(r.mean),
		Max:   us(float64(r.max)),
		P50:   us(float64(r.Percentile(50))),
		P90:   us(float64(r.Percentile(90))),
		P99:   us(float64(r.Percentile(99))),
		P999:  us(float64(r.Percentile(99.9))),
		P9999: us(float64(r.Percentile(99.99))),
	}
	if d := r.Deviation(); !math.IsNaN(d) {
		d = us(d)
		s.MDev = &d
	}
	if histogram {
		s.Histogram = r.Bars()
	}
	return s
}

// Bars is the histogram in steps of 1, 2 and 5 times a power of ten
// nanoseconds, from the bar of the shortest to that of the longest time.
func (r *Recorder) Bars() []Bar {
	var bars []Bar
	edges := edges()
	i := 0
	for _, bucket := range r.hist.Distribution() {
		if bucket.Count == 0 {
			continue
		}
		// A bucket is narrower than a bar, and its middle says where it belongs.
		at := bucket.From + (bucket.To-bucket.From)/2
		for i < len(edges)-2 && at >= edges[i+1] {
			i++
			if len(bars) > 0 { // what lies between two bars is shown as empty
				bars = append(bars, Bar{From: us(float64(edges[i])), To: us(float64(edges[i+1]))})
			}
		}
		if len(bars) == 0 {
			bars = append(bars, Bar{From: us(float64(edges[i])), To: us(float64(edges[i+1]))})
		}
		bars[len(bars)-1].Count += bucket.Count
	}
	return bars
}

// edges are the ends of all bars that a time can be in: 0, 1, 2, 5, 10 ns and
// so on, past Longest.
func edges() []int64 {
	e := []int64{0}
	for power := int64(1); e[len(e)-1] <= int64(Longest); power *= 10 {
		e = append(e, power, 2*power, 5*power)
	}
	return e
}

// barWidth is the length of the longest bar in characters.
const barWidth = 50

// WriteHistogram writes percentiles and histogram as text.
func (r *Recorder) WriteHistogram(w io.Writer, title string) {
	if r.n == 0 {
		return
	}
	var b strings.Builder
	u := UnitFor(r.mean)
	fmt.Fprintf(&b, "%s percentiles (%s):", title, u.Name)
	for _, p := range percentiles {
		fmt.Fprintf(&b, " %s %s", p.label, u.Format(float64(r.Percentile(p.p))))
	}
	fmt.Fprintf(&b, "\n%s histogram:\n", title)
	bars := r.Bars()
	most := int64(0)
	for _, bar := range bars {
		most = max(most, bar.Count)
	}
	for _, bar := range bars {
		// Round up, so that few are told from none.
		length := int(math.Ceil(float64(bar.Count) / float64(most) * barWidth))
		line := fmt.Sprintf("%9s - %-9s %10d %6.2f%% %s", short(bar.From), short(bar.To), bar.Count,
			100*float64(bar.Count)/float64(r.n), strings.Repeat("#", length))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	io.WriteString(w, b.String())
}

// short shows the end of a bar, a round number of microseconds, as people say
// it: 20µs, 5ms, 1s.
func short(us float64) string {
	return time.Duration(math.Round(us * 1e3)).String()
}
