// Package pace sends at a constant bit rate: it reckons when each message is
// due, and waits for it.
package pace

import (
	"context"
	"time"

	"ouroboros/internal/tool/clock"
)

// behind is how much a sender that was held up may catch up on at once. What
// is beyond is not sent.
const behind = 100 * time.Millisecond

// Pace tells when messages of a size are due at a rate. The times are exact:
// what is lost by rounding one to a nanosecond is made up by those after it.
type Pace struct {
	gap       time.Duration // between two messages, rounded down
	remainder int64         // of the division, in 1/rate ns
	rate      int64
	owed      int64 // remainders gathered, below rate
	due       time.Duration
}

// New makes a Pace for messages of size bytes, at most 2^30, at rate bit/s,
// more than 0. The first is due at 0.
func New(size int, rate int64) *Pace {
	ns := int64(size) * 8 * int64(time.Second)
	return &Pace{gap: time.Duration(ns / rate), remainder: ns % rate, rate: rate}
}

// Gap is the time between two messages.
func (p *Pace) Gap() time.Duration { return p.gap }

// Due is when the next message is due.
func (p *Pace) Due() time.Duration { return p.due }

// Sent goes on to the next message. now says when this one was sent.
func (p *Pace) Sent(now time.Duration) {
	p.due += p.gap
	// owed + remainder may be more than an int64 holds.
	if p.owed >= p.rate-p.remainder {
		p.due++
		p.owed -= p.rate - p.remainder
	} else {
		p.owed += p.remainder
	}
	p.due = max(p.due, now-behind)
}

// Waiter waits for points in time on a clock.
type Waiter struct {
	Clock clock.Clock
	Spin  bool // ask the clock all the time, instead of sleeping
	timer *time.Timer
}

// Until waits until the clock shows t, or ctx ends.
func (w *Waiter) Until(ctx context.Context, t time.Duration) {
	if w.Spin {
		for w.Clock.Now() < t && ctx.Err() == nil {
		}
		return
	}
	wait := t - w.Clock.Now()
	if wait <= 0 {
		return
	}
	if w.timer == nil {
		w.timer = time.NewTimer(wait)
	} else {
		w.timer.Reset(wait)
	}
	select {
	case <-w.timer.C:
	case <-ctx.Done():
	}
}
