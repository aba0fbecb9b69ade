package connmgr

import (
	"errors"
	"fmt"

	"ouroboros/internal/errno"
)

// errEnded is what becomes of a connection that ends while it is added.
var errEnded = errno.New(errno.FlowDown, "the connection ended at once")

// errRefused is the answer of a member that does not have the component.
var errRefused = fmt.Errorf("refused: %w", errno.NotSup)

// About puts in front of err what could not be done, and keeps its number and
// its next step.
func About(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	var d *errno.Detail
	if errors.As(err, &d) {
		return &errno.Detail{Err: err, Cause: what + ": " + d.Cause, Hint: d.Hint}
	}
	return &errno.Detail{Err: err, Cause: what + ": " + err.Error()}
}
