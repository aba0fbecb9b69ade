// Package latency sums up times that were measured: extremes, mean, deviation,
// percentiles and a histogram.
package latency

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Longest is the longest time that the percentiles tell apart; longer ones
// count as this.
const Longest = 10 * time.Minute

// digits is the resolution of the percentiles in decimal digits.
const digits = 3

// Recorder takes times. Recording does not allocate. It is not safe for use
// by several goroutines at once.
type Recorder struct {
	n        int64
	min, max time.Duration
	mean, m2 float64 // running mean and sum of squared differences, ns (Welford)
	hist     *hdrhistogram.Histogram
}

// New makes an empty Recorder; it takes some 200 KiB.
func New() *Recorder {
	return &Recorder{hist: hdrhistogram.New(1, int64(Longest), digits)}
}

// Record adds a time; a negative one counts as zero.
func (r *Recorder) Record(d time.Duration) {
	d = max(d, 0)
	if r.n == 0 || d < r.min {
		r.min = d
	}
	r.max = max(r.max, d)
	r.n++
	delta := float64(d) - r.mean
	r.mean += delta / float64(r.n)
	r.m2 += delta * (float64(d) - r.mean)
	// The value is within the range that the histogram was made for.
	_ = r.hist.RecordValue(int64(min(d, Longest)))
}

// Count is how many times were recorded.
func (r *Recorder) Count() int64 { return r.n }

// Min, Max and Mean are 0 when nothing was recorded.
func (r *Recorder) Min() time.Duration { return r.min }

// Max is the longest time.
func (r *Recorder) Max() time.Duration { return r.max }

// Mean is in nanoseconds.
func (r *Recorder) Mean() float64 { return r.mean }

// Deviation is the sample standard deviation in nanoseconds; NaN with fewer
// than two times.
func (r *Recorder) Deviation() float64 {
	if r.n < 2 {
		return math.NaN()
	}
	return math.Sqrt(r.m2 / float64(r.n-1))
}

// Percentile is the time that p percent of all do not exceed, to three
// digits; 0 when nothing was recorded.
func (r *Recorder) Percentile(p float64) time.Duration {
	if r.n == 0 {
		return 0
	}
	// Buckets are named by their upper end, which may lie past the extreme.
	return min(max(time.Duration(r.hist.ValueAtQuantile(p)), r.min), r.max)
}
