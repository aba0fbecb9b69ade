package pb

import (
	"context"
	"errors"
	"strings"

	"ouroboros/internal/errno"
)

// maxText bounds what an error may say on a local interface, in bytes.
const maxText = 4096

// FailureOf gives err as it is carried; nil for nil.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	f := &Failure{Number: int32(errno.Number(err)), Cause: err.Error()}
	if errors.Is(err, context.Canceled) {
		f.Number = int32(errno.Number(errno.Pipe))
	}
	if s, ok := errno.Of(int(f.Number)).(*errno.Error); ok {
		f.Name = s.Name()
	}
	// An error that only adds words in front of a Detail keeps the words.
	var d *errno.Detail
	if errors.As(err, &d) && d.Hint != "" {
		f.Hint = d.Hint
		f.Cause = strings.TrimSuffix(f.Cause, "; "+d.Hint)
	}
	f.Cause, f.Hint = clip(f.Cause), clip(f.Hint)
	return f
}

// Err gives the error that f carries: an *errno.Detail that wraps the
// sentinel of its number. A Failure without a number is still an error.
func (f *Failure) Err() error {
	sentinel := errno.Of(int(f.GetNumber()))
	if sentinel == nil {
		sentinel = errno.Perm
	}
	cause := f.GetCause()
	if cause == "" {
		cause = sentinel.Error()
	}
	return &errno.Detail{Err: sentinel, Cause: cause, Hint: f.GetHint()}
}

// clip makes s valid UTF-8 of bounded length, as a protobuf string must be.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "?")
}
