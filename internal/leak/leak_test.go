package leak

import (
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestAGoroutineThatEndsInAWhileIsNoLeak(t *testing.T) {
	go func() { time.Sleep(time.Second) }() // longer than goleak waits
	None(t)
}
