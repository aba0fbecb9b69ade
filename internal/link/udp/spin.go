package udp

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Spinning: how a reader that found nothing looks again before it sleeps. A
// look is a system call that takes nothing, some 0.3 us.
const (
	// mostSpin must outlast the wake-up of a peer that sleeps.
	mostSpin = 50 * time.Microsecond
	// leastSpin: a budget below it is none.
	leastSpin = 5 * time.Microsecond
	// shortSleep: a sleep that ended sooner would have been better spent
	// spinning.
	shortSleep = 60 * time.Microsecond

	// longLend: a processor that was lent and came back this late has others
	// that want it, and who sleeps is served before who burns his time.
	longLend = 500 * time.Microsecond
	maxSulk  = 1024

	yieldEvery = 32 // looks between two turns for other goroutines
)

// spinner adapts how long a reader looks before it sleeps: long while datagrams
// come soon after one another, not at all when the next is far, so that an idle
// socket costs nothing. Two hosts that wait for one another are stable when
// both spin and when both sleep, and spinning is several times faster; so one
// short sleep is enough to try it again, unless processors are scarce.
type spinner struct {
	off    bool
	budget time.Duration
	sulk   int // short sleeps to pass over before spinning again
	sulked int // length of the last sulk
}

// until looks until something was received, an error came, or the budget is
// used up.
func (s *spinner) until(look func() (int, unix.Errno)) (got bool, err unix.Errno) {
	if s.budget < leastSpin {
		return false, 0
	}
	begun := time.Now()
	for i := 1; ; i++ {
		n, err := look()
		if n > 0 {
			if i > 1 {
				s.budget = min(2*s.budget, mostSpin)
			}
			return true, 0
		}
		if err != unix.EAGAIN {
			return false, err
		}
		now := time.Now()
		if now.Sub(begun) > s.budget {
			s.budget /= 2
			return false, 0
		}
		if i%yieldEvery == 0 {
			runtime.Gosched()
		} else {
			unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
		if time.Since(now) > longLend {
			s.budget = 0
			s.sulked = min(max(2*s.sulked, 8), maxSulk)
			s.sulk = s.sulked
			return false, 0
		}
	}
}

// slept learns from a sleep that a datagram ended.
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
