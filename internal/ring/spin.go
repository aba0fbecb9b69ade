package ring

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Spinning. A round is a fixed number of looks at a word that lies in this
// processor's cache until the other side writes it; it takes some 20 ns.
const (
	looksPerRound = 32
	maxRounds     = 2048 // must outlast a wake-up of the other side
	firstRounds   = 16
	minRounds     = 1
	timedRounds   = 128  // from here on the clock is looked at
	yieldRounds   = 1024 // a yield may wake a thread: not often
	courtesy      = 64   // between processes, from here on the processor is lent
	courtesyEvery = 4
	firstYield    = 8 // in one program, where the other side may be next on this processor

	// A processor that was lent for so long was used by somebody.
	used = time.Microsecond

	// A sleep that ended sooner would have been better spent spinning.
	shortSleep = 100 * time.Microsecond

	// A spin that took longer was interrupted: there are more threads than
	// processors, and who sleeps is served before who burns his time.
	longSpin = 500 * time.Microsecond
	maxSulk  = 1024
)

// spinners bounds how many goroutines of the program spin at once, so that
// there is always a processor for those who work.
var spinners struct {
	now atomic.Int32
	max atomic.Int32
}

// countProcessors is called now and then, because GOMAXPROCS may change and
// asking is too slow for the data path.
func countProcessors() { spinners.max.Store(int32(runtime.GOMAXPROCS(0) - 1)) }

// spinner adapts how long a waiting call spins before it sleeps: it grows
// while spinning pays and shrinks when it does not, so that idle flows cost
// nothing. Spinning and sleeping are each stable between two sides that wait
// for one another, and spinning is a hundred times faster; so one short sleep
// is enough to try it again, unless processors are scarce.
type spinner struct {
	rounds int
	sulk   int // short sleeps to pass over before spinning again
	sulked int // length of the last sulk
	yield  int // rounds before the first yield
	lend   int // rounds before the processor is lent
	shared bool
}

func (s *spinner) init(shared bool) {
	s.rounds, s.yield, s.lend, s.shared = firstRounds, yieldRounds, courtesy, shared
	if !shared {
		s.yield = firstYield
	}
}

// while spins as long as word holds value; true when it changed.
func (s *spinner) while(word *atomic.Uint64, value uint64) bool {
	if spinners.now.Add(1) > spinners.max.Load() {
		spinners.now.Add(-1)
		return word.Load() != value
	}
	changed, scarce, paid := false, false, false
	var begun time.Time
	i := 1
spin:
	for ; i <= s.rounds; i++ {
		for range looksPerRound {
			if word.Load() != value {
				changed = true
				break spin
			}
		}
		if i == timedRounds {
			begun = time.Now()
		}
		if s.shared && i >= s.lend && i%min(s.lend, courtesyEvery) == 0 {
			lent := lend()
			if scarce = lent > longSpin; scarce {
				changed = word.Load() != value
				break
			}
			if paid = lent > used && word.Load() != value; paid {
				changed = true
				break
			}
		}
		if i == s.yield || i%yieldRounds == 0 {
			runtime.Gosched()
		}
	}
	spinners.now.Add(-1)
	switch {
	case paid: // the other side is on this very processor, so lend it at once
		s.lend = max(s.lend/2, 1)
	case changed:
		s.lend = min(2*s.lend, courtesy)
	}
	switch {
	case scarce, i > timedRounds && time.Since(begun) > longSpin:
		s.rounds = minRounds
		s.sulked = min(max(2*s.sulked, 8), maxSulk)
		s.sulk = s.sulked
	case changed && s.sulk > 0:
		s.rounds = min(s.rounds*2, courtesy-1)
	case changed:
		s.rounds = min(s.rounds*2, maxRounds)
	default:
		s.rounds = max(s.rounds/2, minRounds)
	}
	return changed
}

// Lend gives the processor to who else can run on it, if there is anybody.
func Lend() { lend() }

// lend gives the processor to who else can run on it: often that is the very
// process that is waited for, put on the same processor by a wake-up. It
// reports how long that took: a long time when somebody else was running.
func lend() time.Duration {
	begun := time.Now()
	unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	return time.Since(begun)
}

// slept learns from a sleep that ended by a wake.
func (s *spinner) slept(d time.Duration) {
	switch {
	case s.sulk > 0:
		s.sulk--
	case d < shortSleep:
		s.sulked /= 2
		s.rounds = maxRounds
	}
}
