package packet

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Spinning: how a reader that found nothing looks again before it sleeps. A
// look is a load from memory that stays in this processor's cache until the
// kernel writes it.
const (
	looksPerRound = 32 // some 20 ns
	courtesy      = 32 // rounds, from here on the processor is lent
	courtesyEvery = 8
	yieldEvery    = 256 // rounds between two turns for other goroutines

	// mostSpin must outlast the wake-up of a peer that sleeps. A budget below
	// leastSpin is none.
	mostSpin  = 100 * time.Microsecond
	leastSpin = 5 * time.Microsecond

	// shortSleep: a sleep that ended sooner would have been better spent
	// spinning.
	shortSleep = 150 * time.Microsecond

	// longLend: a processor that was lent and came back this late has others
	// that want it, and who sleeps is served before who burns his time.
	longLend = 500 * time.Microsecond
	maxSulk  = 1024
)

// spinner adapts how long a reader looks before it sleeps: long while frames
// come soon after one another, not at all when the next is far, so that an
// idle device costs nothing. Two hosts that wait for one another are stable
// when both spin and when both sleep, and spinning is several times faster; so
// one short sleep is enough to try it again, unless processors are scarce.
type spinner struct {
	off    bool
	budget time.Duration
	sulk   int // short sleeps to pass over before spinning again
	sulked int // length of the last sulk
}

// until looks until the slot of word is ours, or the budget is used up.
func (s *spinner) until(word *uint32) bool {
	if s.budget < leastSpin {
		return false
	}
	begun := time.Now()
	for i := 1; ; i++ {
		for range looksPerRound {
			if atomic.LoadUint32(word)&unix.TP_STATUS_USER != 0 {
				s.budget = min(2*s.budget, mostSpin)
				return true
			}
		}
		if i%yieldEvery == 0 {
			runtime.Gosched()
			continue
		}
		if i < courtesy || i%courtesyEvery != 0 {
			continue
		}
		now := time.Now()
		if now.Sub(begun) > s.budget {
			s.budget /= 2
			return false
		}
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		if time.Since(now) > longLend {
			s.budget = 0
			s.sulked = min(max(2*s.sulked, 8), maxSulk)
			s.sulk = s.sulked
			return false
		}
	}
}

// slept learns from a sleep that a frame ended.
func (s *spinner) slept(d time.Duration) {
	switch {
	case d >= shortSleep || s.off:
	case s.sulk > 0:
		s.sulk--
	default:
		s.sulked /= 2
		s.budget = mostSpin
	}
}
