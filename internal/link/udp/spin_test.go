package udp

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// after gives a look that finds something after d.
func after(d time.Duration) func() (int, unix.Errno) {
	begun := time.Now()
	return func() (int, unix.Errno) {
		if time.Since(begun) >= d {
			return 1, 0
		}
		time.Sleep(time.Microsecond)
		return 0, unix.EAGAIN
	}
}

func TestAReaderSpinsWhileThatMakesAnswersComeSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s spinner
		never := after(time.Hour)
		spins := func() bool { // spends the budget; a reader without one does not look at all
			begun := time.Now()
			if got, err := s.until(never); got || err != 0 {
				t.Fatalf("%v, %v", got, err)
			}
			return time.Since(begun) > 0
		}
		if spins() {
			t.Error("a new reader spins")
		}
		s.slept(shortSleep)
		if spins() {
			t.Error("it spins after a long sleep")
		}
		s.slept(shortSleep - 1)
		for range 1000 {
			if got, _ := s.until(after(20 * time.Microsecond)); !got {
				t.Fatal("what comes soon is not waited for")
			}
		}
		n := 0
		for spins() {
			n++
		}
		if n == 0 || n > 5 {
			t.Errorf("it spins %d times for nothing", n)
		}

		// A stream of a pace of its own.
		s.slept(shortSleep - 1)
		for range enoughSlow {
			if got, _ := s.until(after(slowSpin + 10*time.Microsecond)); !got {
				t.Fatal("not waited for")
			}
		}
		n = 0
		for !spins() {
			s.slept(shortSleep - 1)
			n++
		}
		if n != leastSulk+1 {
			t.Errorf("it tries again after %d short sleeps", n)
		}

		s = spinner{off: true}
		if s.slept(1); spins() {
			t.Error("it spins though that is off")
		}
		if got, err := (&spinner{budget: mostSpin}).until(func() (int, unix.Errno) { return 0, unix.ENOMEM }); got || err != unix.ENOMEM {
			t.Errorf("an error: %v, %v", got, err)
		}
	})
}
