package console

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// flushAfter is how long a line of a fast output may wait.
	flushAfter = 50 * time.Millisecond
	// flushAt is how much of it may wait, in bytes.
	flushAt = 32 << 10
)

// Output writes lines. It may be used by several goroutines.
type Output struct {
	w      io.Writer
	broken func() // called once when w fails

	mu      sync.Mutex
	buf     []byte
	flushed time.Time
	failed  bool
}

// NewOutput makes an Output. broken, which may be nil, is called once when w
// fails, as a pipe does whose reader is gone.
func NewOutput(w io.Writer, broken func()) *Output {
	return &Output{w: w, broken: broken, flushed: time.Now()}
}

// Printf writes, and does not wait.
func (o *Output) Printf(format string, a ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = fmt.Appendf(o.buf, format, a...)
	o.flush(time.Now())
}

// JSON writes v as one line.
func (o *Output) JSON(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		// Only a value that cannot be written as JSON, such as a NaN.
		panic(fmt.Sprintf("console: %v", err))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(append(o.buf, line...), '\n')
	o.flush(time.Now())
}

// Begin gives a buffer to append a line to, which End takes. In between the
// Output is locked. Such lines are written when some have gathered or a time
// has passed; who stops making them calls Flush.
func (o *Output) Begin() []byte {
	o.mu.Lock()
	return o.buf
}

// End takes the buffer of Begin back.
func (o *Output) End(b []byte) {
	o.buf = b
	if now := time.Now(); len(b) >= flushAt || now.Sub(o.flushed) >= flushAfter {
		o.flush(now)
	}
	o.mu.Unlock()
}

// Flush writes what waits.
func (o *Output) Flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) > 0 {
		o.flush(time.Now())
	}
}

// flush needs the lock.
func (o *Output) flush(now time.Time) {
	o.flushed = now
	if !o.failed {
		if _, err := o.w.Write(o.buf); err != nil {
			o.failed = true
			if o.broken != nil {
				o.broken()
			}
		}
	}
	o.buf = o.buf[:0]
}
