package ouroboros

import (
	"context"

	"ouroboros/internal/errno"
	"ouroboros/internal/ring"
)

// Outside is a thread of another language that waits for flows outside of Go.
// It is for bindings, such as the C library; Go programs use Read and Write.
// What the package ring says of its Outside holds here, too.
type Outside struct{ o ring.Outside }

// NewOutside makes one for a thread that sleeps on the eventfd bell.
func NewOutside(bell int) *Outside { return &Outside{ring.Outside{Bell: bell}} }

// Read is f.Read without its time-out, also for a flow that does not block;
// ErrWouldBlock says to sleep on the bell and call again.
func (o *Outside) Read(f *Flow, p []byte) (int, error) { return o.o.Read(f.end, p, f.readMode()) }

// Ready is Read that reads nothing: nil when Read would give something else
// than ErrWouldBlock.
func (o *Outside) Ready(f *Flow) error { return o.o.Ready(f.end) }

// Write is f.Write in the same way.
func (o *Outside) Write(f *Flow, p []byte) error {
	if err := f.mayWrite(); err != nil {
		return err
	}
	return f.explain(o.o.Write(f.end, p), len(p))
}

// Leave gives the waiting up: the bell is not rung any more.
func (o *Outside) Leave() { o.o.Leave() }

// KeepIn lets code in another language read and write messages of the flow
// without a call; see the package ring. Ring is called by it.
func (f *Flow) KeepIn(m *ring.Foreign) { f.end.KeepIn(m) }

// Ring is described at KeepIn.
func (f *Flow) Ring() { f.end.Ring() }

// TryRead and TryWrite are Read and Write that do not wait, whatever the flags
// and time-outs of the flow are: ErrWouldBlock.
func (f *Flow) TryRead(p []byte) (int, error) { return f.end.TryRead(p, f.readMode()) }

// TryWrite is described at TryRead.
func (f *Flow) TryWrite(p []byte) error {
	if err := f.mayWrite(); err != nil {
		return err
	}
	return f.explain(f.end.TryWrite(p), len(p))
}

// WriteContext is Write that waits for room until ctx ends, whatever the flags
// and time-outs of the flow are; then it gives the error of ctx.
func (f *Flow) WriteContext(ctx context.Context, p []byte) error {
	if err := f.mayWrite(); err != nil {
		return err
	}
	return f.explain(f.end.WriteContext(ctx, p), len(p))
}

// NextLen is the length in bytes of the message that the next Read begins with,
// or of what a partial read left of it. Errors as TryRead.
func (f *Flow) NextLen() (int, error) { return f.end.NextLen() }

func (f *Flow) readMode() ring.ReadMode {
	if f.Flags()&NoPartialRead != 0 {
		return ring.Whole
	}
	return ring.Partial
}

func (f *Flow) mayWrite() error {
	switch {
	case f.gone.Load():
		return ErrNotAlloc
	case f.Flags()&AccessMode == ReadOnly:
		return ErrPerm
	}
	return nil
}

func (f *Flow) explain(err error, n int) error {
	if err == errno.MsgSize {
		return errTooLong(n, f.MTU())
	}
	return err
}
