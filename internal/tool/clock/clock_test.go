package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTheClockIsTheMonotonicOneOfTheSystem(t *testing.T) {
	c := New()
	before := system(t)
	now := c.Now()
	after := system(t)
	// New reads two clocks one after the other: allow for a pause in between.
	const slack = 50 * time.Millisecond
	if now < before-slack || now > after+slack {
		t.Errorf("%v is not between %v and %v", now, before, after)
	}
}

func TestTheClockDoesNotGoBack(t *testing.T) {
	c := New()
	last := c.Now()
	for range 1000 {
		now := c.Now()
		if now < last {
			t.Fatalf("%v after %v", now, last)
		}
		last = now
	}
}

func system(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
