package frcp

import (
	"math"
	"time"

	"ouroboros/internal/wire/frcp"
)

const (
	minWindow   = 4  // packets: with fewer a loss cannot be noticed by acknowledgements
	calmWindow  = 32 // packets: the least while losses come without a queue
	enoughQueue = int64(4 * time.Millisecond)
	fewSamples  = 4 // one alone may be late for another reason
	calmRounds  = 4 // after which the window grows faster
)

// congestion says how many packets may be on the way. A loss alone does not
// say that the path is full: radio links and bad cables lose at random, and a
// sender that halves its window for each of these stands still there. What says
// it is a queue: the round trip time of the last round is above the lowest one
// that was seen. So:
//
//	no loss, no queue   the window doubles each round up to the threshold, then
//	                    grows by a sixteenth, after four such rounds a quarter
//	a queue             one packet a round
//	a queue of 4 ms     or half the round trip time: no more, the first doubling
//	                    ends; with four times that it is filled by others, who
//	                    are to be kept pace with: one packet a round again
//	loss and a queue    to what fits without the queue, but not below x 0.7,
//	                    once a round
//	loss, no queue      nothing; when more than one in twelve is lost (a
//	                    policer drops without a queue) x 0.85, x 0.5 at the
//	                    first time, not below 32
//	time-out            from 4 packets, doubling up to what it was before; a
//	                    second one in a row halves that, and begins with 2
//
// On a path within a building a queue is a matter of microseconds, so nearly
// every loss is one of a full buffer there, and the growth by a sixteenth a
// round fills the path again within milliseconds.
type congestion struct {
	window    int
	part      int // of the next packet of window
	threshold int // below it the window doubles each round
	most      int

	low     [2]int64 // lowest round trip time of this and the last period
	period  int64    // when this one began
	round   frcp.Seq // the round ends when this number is acknowledged
	lowest  int64    // round trip time of this round
	before  int64    // of the round before
	recent  int64    // lowest round trip time of the last few samples
	few     int64    // of those since
	samples int      // number of those
	calm    int      // rounds in a row without a queue, and with few losses
	passed  int      // packets acknowledged in this round
	lost    int      // in this round
	reduced bool     // in this round
}

// periodLength bounds how long an old path is remembered.
const periodLength = int64(20 * time.Second)

func (c *congestion) init(isn frcp.Seq, most int) {
	*c = congestion{
		window: startWindow, threshold: math.MaxInt32, most: most, round: isn,
		low: [2]int64{math.MaxInt64, math.MaxInt64}, lowest: math.MaxInt64, before: math.MaxInt64, few: math.MaxInt64,
	}
}

// sample takes a round trip time.
func (c *congestion) sample(m, now int64) {
	if now-c.period > periodLength {
		c.period, c.low[1], c.low[0] = now, c.low[0], math.MaxInt64
	}
	c.low[0] = min(c.low[0], m)
	c.lowest = min(c.lowest, m)
	c.few = min(c.few, m)
	if c.samples++; c.samples == fewSamples {
		c.recent, c.few, c.samples = c.few, math.MaxInt64, 0
	}
}

// lowestRTT is the round trip time without queues; 0 = unknown.
func (c *congestion) lowestRTT() int64 {
	if m := min(c.low[0], c.low[1]); m != math.MaxInt64 {
		return m
	}
	return 0
}

// queue is the time that packets waited on the way in this round and the last.
func (c *congestion) queue() int64 {
	m := min(c.lowest, c.before)
	if m == math.MaxInt64 {
		return 0
	}
	return m - c.lowestRTT()
}

// full reports whether the path has a queue worth speaking of. What a small
// window measures is mostly how long the peer holds its acknowledgements back.
func (c *congestion) full() bool {
	least := max(c.lowestRTT()/4, 50_000)
	if c.window <= calmWindow {
		least += int64(ackRoom)
	}
	return c.queue() > least
}

// acked takes the acknowledgement of n packets up to una, with nxt the next
// to be sent; used says whether the window was what held the sender back.
func (c *congestion) acked(n int, una, nxt frcp.Seq, used bool) {
	c.passed += n
	if used {
		c.grow(n)
	}
	if una.Before(c.round) {
		return
	}
	if c.calm++; c.lost*12 > c.passed || c.full() {
		c.calm = 0
	}
	c.round, c.passed, c.lost, c.reduced = nxt, 0, 0, false
	if c.lowest != math.MaxInt64 {
		c.before, c.lowest = c.lowest, math.MaxInt64
	}
}

func (c *congestion) grow(n int) {
	enough := max(c.lowestRTT()/2, enoughQueue)
	switch q := c.queue(); {
	case c.window < c.threshold:
		// What a round says is too late here: the window would be eight times
		// as large by then.
		if low := c.lowestRTT(); c.threshold == math.MaxInt32 && c.recent-low > enough {
			c.set(max(calmWindow, int(int64(c.window)*(low+enough)/c.recent)))
			return
		}
		c.window += min(n, c.threshold-c.window)
	case q > enough && q < 4*enough && c.window > calmWindow:
	default:
		each := c.window // acknowledged packets for one more
		if !c.full() {
			each = min(each, 16)
			if c.calm >= calmRounds {
				each = min(each, 4)
			}
		}
		c.part += n
		c.window += c.part / each
		c.part %= each
	}
	c.window = min(c.window, c.most)
}

// loss takes n packets that are known to be lost; outstanding is the number
// that was on the way.
func (c *congestion) loss(n, outstanding int) {
	c.lost += n
	if c.reduced {
		return
	}
	switch {
	case c.full():
		c.set(max(minWindow, c.window*7/10, c.drained()))
	case c.lost*12 > max(c.passed, outstanding):
		if c.threshold > c.window {
			// Twice as much as last round was too much.
			c.set(max(min(c.window, calmWindow), c.window/2))
			return
		}
		c.set(max(min(c.window, calmWindow), c.window*85/100))
	}
}

// drained is the window with which the queue would be gone.
func (c *congestion) drained() int {
	m := c.lowestRTT()
	return int(int64(c.window) * m / max(m+c.queue(), 1))
}

func (c *congestion) set(window int) {
	c.window, c.threshold, c.part, c.reduced = window, window, 0, true
}

// timeout takes the expiry of a retransmission time-out, backoff having been
// before it.
func (c *congestion) timeout(backoff int) {
	if c.threshold == math.MaxInt32 || c.window > c.threshold {
		c.threshold = max(minWindow, c.window)
	}
	switch {
	case c.full():
		c.threshold = max(minWindow, c.threshold/2)
	case backoff > 0:
		c.threshold = max(min(calmWindow, c.threshold), c.threshold/2)
	}
	c.window, c.part = minWindow, 0
	if backoff > 0 {
		c.window = minWindow / 2
	}
}
