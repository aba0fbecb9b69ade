package ring

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Spinning. A round is a fixed number of looks at a word that lies in this
// processor's cache until the other side writes it.
const (
	looksPerRound = 32
	maxRounds     = 2048 // some tens of microseconds
	firstRounds   = 256
	minRounds     = 1

	// A sleep that ended sooner would have been better spent spinning.
	shortSleep = 100 * time.Microsecond
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
// while spinning pays and shrinks at once when it does not, so that idle
// flows cost nothing.
type spinner struct{ rounds int }

func (s *spinner) init() { s.rounds = firstRounds }

// while spins as long as word holds value; true when it changed.
func (s *spinner) while(word *atomic.Uint64, value uint64) bool {
	if spinners.now.Add(1) > spinners.max.Load() {
		spinners.now.Add(-1)
		return word.Load() != value
	}
	changed := false
spin:
	for i := 1; i <= s.rounds; i++ {
		for range looksPerRound {
			if word.Load() != value {
				changed = true
				break spin
			}
		}
		if i%64 == 0 {
			runtime.Gosched()
		}
	}
	spinners.now.Add(-1)
	if changed {
		s.rounds = min(s.rounds*2, maxRounds)
	} else {
		s.rounds = max(s.rounds/2, minRounds)
	}
	return changed
}

// slept learns from a sleep that ended by a wake.
func (s *spinner) slept(d time.Duration) {
	if d < shortSleep {
		s.rounds = maxRounds
	}
}
