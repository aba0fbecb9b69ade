package cert

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ouroboros/internal/errno"
)

func list(words []string) string { return strings.Join(words, ", ") }

func quote(s string) string { return strconv.Quote(s) }

// day is how a day is written.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// because says what could not be done before why.
func because(err error, format string, args ...any) error {
	var d *errno.Detail
	if !errors.As(err, &d) {
		return errno.New(err, format+": %v", append(args, err)...)
	}
	out := *d
	out.Cause = fmt.Sprintf(format, args...) + ": " + d.Cause
	return &out
}
