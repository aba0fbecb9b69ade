// Package leak asks at the end of tests whether they left goroutines behind.
// Goroutines that end by themselves get a while: on a busy machine the last of
// them may run long after what has ended them.
package leak

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// while is how long goroutines may take to end.
const while = 20 * time.Second

// Main runs the tests of a package and exits.
func Main(m *testing.M) { goleak.VerifyTestMain(settled{m}) }

// None fails a test that has left goroutines behind.
func None(t testing.TB) {
	t.Helper()
	settle()
	goleak.VerifyNone(t)
}

// settled is tests that end when their goroutines have, or have had their
// while.
type settled struct{ m *testing.M }

func (s settled) Run() int {
	code := s.m.Run()
	if code == 0 {
		settle()
	}
	return code
}

func settle() {
	for end := time.Now().Add(while); goleak.Find() != nil && time.Now().Before(end); {
	}
}
