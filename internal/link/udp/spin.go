package udp

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Spinning: how a reader that found nothing looks again before it sleeps. A
// look is a system call that takes nothing, some 0.3 us.
const (
	// mostSpin must outlast the wake-up of a peer that sleeps, and of a
	// program behind it.
	mostSpin = 100 * time.Microsecond
	// leastSpin: a budget below it is none.
	leastSpin = 5 * time.Microsecond

	// shortSleep: a sleep that ended sooner may be one of two hosts that both
	// sleep and could both spin.
	shortSleep = 120 * time.Microsecond

	// slowSpin: datagrams that keep coming this far apart are a stream with a
	// pace of its own. Spinning would take a processor for it.
	slowSpin   = 50 * time.Microsecond
	enoughSlow = 8

	// longLend: a processor that was lent and came back this late has others
	// that want it, and who sleeps is served before who burns his time.
	longLend = 500 * time.Microsecond

	leastSulk = 8
	mostSulk  = 1024

	yieldEvery = 32 // looks between two turns for other goroutines
)

// spinner adapts how long a reader looks before it sleeps: long while datagrams
// come soon after one another, not at all when the next is far, so that an idle
// socket costs nothing. Two hosts that wait for one another are stable when
// both spin and when both sleep, and spinning is several times faster; so one
// short sleep is enough to try it again, unless processors are scarce or it did
// not make the answers come sooner.
type spinner struct {
	off    bool
	budget time.Duration
	sulk   int // short sleeps to pass over before spinning again
	sulked int // length of the last sulk
	slow   int // spins in a row that were as long as slowSpin
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
				s.paid(time.Since(begun))
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
			s.giveUp()
			return false, 0
		}
	}
}

// paid learns from a spin that found something after d.
func (s *spinner) paid(d time.Duration) {
	s.budget = min(2*s.budget, mostSpin)
	if d < slowSpin {
		s.slow = 0
	} else if s.slow++; s.slow == enoughSlow {
		s.giveUp()
	}
}

// giveUp sleeps from now on, until a number of short sleeps have passed.
func (s *spinner) giveUp() {
	s.budget, s.slow = 0, 0
	s.sulked = min(max(2*s.sulked, leastSulk), mostSulk)
	s.sulk = s.sulked
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
