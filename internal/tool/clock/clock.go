// Package clock tells the time of the monotonic clock in nanoseconds, as the
// payloads of the tools carry it.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads CLOCK_MONOTONIC: the time since the machine started, which
// nobody sets. The zero value is not usable; see New.
type Clock struct {
	base   time.Time     // carries a monotonic reading
	offset time.Duration // the clock at base
}

// New makes a Clock. The system call is made once: later readings add what
// has passed since, at the price of the run-time's own clock.
func New() Clock {
	base := time.Now()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		// Only the distance between two readings matters to a tool.
		return Clock{base: base}
	}
	return Clock{base: base, offset: time.Duration(ts.Nano())}
}

// Now is the time since the machine started.
func (c Clock) Now() time.Duration { return c.offset + time.Since(c.base) }
