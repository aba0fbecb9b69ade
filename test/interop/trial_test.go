package interop

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// trial is one try of a test in which the C implementation takes part: what it
// says and makes is its own, and its failure is not yet that of the test.
type trial struct {
	testing.TB
	ctx    context.Context
	cancel context.CancelFunc
	begin  time.Time

	mu       sync.Mutex
	failed   bool
	said     strings.Builder
	cleanups []func()
}

// attempts is how often such a test is tried. The C implementation ends by
// itself, loses answers, and comes to a stand; each try has new hosts.
const attempts = 4

// tried runs a test on a network of the given hosts: once when all are ours,
// else until a try succeeds. What the others came to is logged.
func tried(t *testing.T, hosts arrangement, test func(t testing.TB)) {
	t.Helper()
	if !hosts.has(reference) {
		test(t)
		return
	}
	for n := 1; ; n++ {
		try := &trial{TB: t, begin: time.Now()}
		try.ctx, try.cancel = context.WithCancel(t.Context())
		try.run(func() { test(try) })
		try.cancel()
		for len(try.cleanups) > 0 {
			last := len(try.cleanups) - 1
			f := try.cleanups[last]
			try.cleanups = try.cleanups[:last]
			try.run(f)
		}
		if t.Skipped() {
			return
		}
		t.Logf("try %d, %v:\n%s", n, time.Since(try.begin).Round(time.Millisecond), try.said.String())
		if !try.failed {
			return
		}
		if n == attempts {
			t.Fatalf("%d tries failed", n)
		}
	}
}

// run runs f, which may end early.
func (t *trial) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (t *trial) say(text string) {
	_, file, line, _ := runtime.Caller(2)
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(&t.said, "%6.2fs %s:%d: %s\n", time.Since(t.begin).Seconds(), file[strings.LastIndexByte(file, '/')+1:], line,
		strings.TrimSuffix(text, "\n"))
}

func (t *trial) Fail() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

func (t *trial) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *trial) FailNow()                  { t.Fail(); runtime.Goexit() }
func (t *trial) Log(a ...any)              { t.say(fmt.Sprintln(a...)) }
func (t *trial) Logf(f string, a ...any)   { t.say(fmt.Sprintf(f, a...)) }
func (t *trial) Error(a ...any)            { t.say(fmt.Sprintln(a...)); t.Fail() }
func (t *trial) Errorf(f string, a ...any) { t.say(fmt.Sprintf(f, a...)); t.Fail() }
func (t *trial) Fatal(a ...any)            { t.say(fmt.Sprintln(a...)); t.FailNow() }
func (t *trial) Fatalf(f string, a ...any) { t.say(fmt.Sprintf(f, a...)); t.FailNow() }
func (t *trial) Context() context.Context  { return t.ctx }

func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}
