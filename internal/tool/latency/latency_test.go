package latency

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// recorded makes a Recorder of times in microseconds.
func recorded(micros ...float64) *Recorder {
	r := New()
	for _, m := range micros {
		r.Record(time.Duration(m * 1e3))
	}
	return r
}

func TestMomentsOfAFewTimes(t *testing.T) {
	r := recorded(62, 68, 125)
	if r.Count() != 3 || r.Min() != 62*time.Microsecond || r.Max() != 125*time.Microsecond {
		t.Errorf("got n=%d min=%v max=%v", r.Count(), r.Min(), r.Max())
	}
	if math.Abs(r.Mean()-85e3) > 1e-6 {
		t.Errorf("mean %v", r.Mean())
	}
	if got := Microsecond.Format(r.Deviation()); got != "34.771" {
		t.Errorf("deviation %s", got)
	}
}

func TestTheDeviationOfOneTimeIsNaN(t *testing.T) {
	for _, r := range []*Recorder{New(), recorded(5)} {
		if got := Millisecond.Format(r.Deviation()); got != "NaN" {
			t.Errorf("n=%d: got %q", r.Count(), got)
		}
	}
}

func TestNothingRecorded(t *testing.T) {
	r := New()
	if r.Summary(true) != nil || len(r.Bars()) != 0 || r.Percentile(50) != 0 {
		t.Error("an empty Recorder tells times")
	}
	var b strings.Builder
	if r.WriteHistogram(&b, "rtt"); b.Len() != 0 {
		t.Errorf("wrote %q", b.String())
	}
}

func TestTimesOutOfRangeAreKept(t *testing.T) {
	r := New()
	r.Record(-time.Second)
	r.Record(2 * Longest)
	if r.Min() != 0 || r.Max() != 2*Longest || r.Count() != 2 {
		t.Errorf("got %v %v %d", r.Min(), r.Max(), r.Count())
	}
	if s := r.Summary(true); len(s.Histogram) == 0 {
		t.Error("no histogram")
	}
}

func TestPercentilesAreExactToThreeDigits(t *testing.T) {
	r := New()
	for i := range 100000 {
		r.Record(time.Duration(i+1) * time.Microsecond)
	}
	for p, want := range map[float64]float64{50: 50e6, 90: 90e6, 99: 99e6, 99.9: 99.9e6, 99.99: 99.99e6, 100: 100e6} {
		if got := float64(r.Percentile(p)); math.Abs(got-want)/want > 1e-3 {
			t.Errorf("p%v: got %v, want %v", p, got, want)
		}
	}
}

func TestPercentilesStayWithinTheExtremes(t *testing.T) {
	r := recorded(1234.567)
	for _, p := range []float64{0, 50, 100} {
		if got := r.Percentile(p); got != r.Min() {
			t.Errorf("p%v of one time is %v", p, got)
		}
	}
}

func TestBarsHoldEveryTimeOnce(t *testing.T) {
	r := New()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		r.Record(time.Duration(math.Exp(rng.Float64()*20)) + 1)
	}
	var sum int64
	bars := r.Bars()
	for i, b := range bars {
		sum += b.Count
		if b.From >= b.To || i > 0 && bars[i-1].To != b.From {
			t.Errorf("bar %d: %+v", i, b)
		}
	}
	if sum != r.Count() {
		t.Errorf("%d in the bars, %d recorded", sum, r.Count())
	}
	if bars[0].Count == 0 || bars[len(bars)-1].Count == 0 {
		t.Error("empty bars at the ends")
	}
	if lo := us(float64(r.Min())); lo < bars[0].From || lo >= bars[0].To*1.001 {
		t.Errorf("the shortest time %v is not in the first bar %+v", lo, bars[0])
	}
}

func TestBarsHaveRoundEnds(t *testing.T) {
	got := recorded(1.5, 1.5, 7, 60).Bars()
	want := []Bar{{1, 2, 2}, {2, 5, 0}, {5, 10, 1}, {10, 20, 0}, {20, 50, 0}, {50, 100, 1}}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("bar %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestTheHistogramAsText(t *testing.T) {
	var b strings.Builder
	recorded(1.5, 1.5, 7).WriteHistogram(&b, "rtt")
	want := `rtt percentiles (µs): p50 1.500 p90 7.000 p99 7.000 p99.9 7.000 p99.99 7.000
rtt histogram:
      1µs - 2µs                2  66.67% ##################################################
      2µs - 5µs                0   0.00%
      5µs - 10µs               1  33.33% #########################
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestTheUnitChangesAtATenthOfAMillisecond(t *testing.T) {
	for ns, want := range map[float64]string{
		0: "0.000 µs", 62000: "62.000 µs", 99999: "99.999 µs", 100000: "0.100 ms", 1.5e6: "1.500 ms", 2e9: "2000.000 ms",
	} {
		u := UnitFor(ns)
		if got := u.Format(ns) + " " + u.Name; got != want {
			t.Errorf("%v ns: got %q, want %q", ns, got, want)
		}
	}
}

func TestRecordingDoesNotAllocate(t *testing.T) {
	r := New()
	b := make([]byte, 0, 64)
	d := time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() {
		d += 777
		r.Record(d)
		b = UnitFor(float64(d)).Append(b[:0], float64(d))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
