package args

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	errNumber = errors.New("want a whole number")
	errRange  = errors.New("the number is too large")
)

// ParseInt reads a whole number.
func ParseInt(word string) (int64, error) {
	n, err := strconv.ParseInt(word, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errRange
	case err != nil:
		return 0, errNumber
	}
	return n, nil
}

// split cuts a word into the number that it starts with and the rest.
func split(word string) (n int64, unit string, err error) {
	end := strings.IndexFunc(word, func(r rune) bool {
		return (r < '0' || r > '9') && r != '-' && r != '+'
	})
	if end < 0 {
		end = len(word)
	}
	n, err = ParseInt(word[:end])
	return n, word[end:], err
}

// ParseDuration reads a number times plain, or one with a unit of ms, s, m, h
// or d. It must not be negative. A unit that is none of these is a UsageError.
func ParseDuration(word string, plain time.Duration) (time.Duration, error) {
	n, unit, err := split(word)
	if err != nil {
		return 0, err
	}
	d := plain
	switch unit {
	case "":
	case "ms":
		d = time.Millisecond
	case "s":
		d = time.Second
	case "m":
		d = time.Minute
	case "h":
		d = time.Hour
	case "d":
		d = 24 * time.Hour
	default:
		return 0, Errorf("Unknown time unit: %s.", unit)
	}
	switch {
	case n < 0:
		return 0, errors.New("a time is not negative")
	case n > math.MaxInt64/int64(d):
		return 0, errRange
	}
	return time.Duration(n) * d, nil
}

// ParseRate reads a rate in bit/s: a number times plain, or one with a unit
// of k, M or G (decimal). A unit that is none of these is a UsageError.
func ParseRate(word string, plain int64) (int64, error) {
	n, unit, err := split(word)
	if err != nil {
		return 0, err
	}
	scale := plain
	switch unit {
	case "":
	case "k":
		scale = 1e3
	case "M":
		scale = 1e6
	case "G":
		scale = 1e9
	default:
		return 0, Errorf("Unknown rate unit: %s.", unit)
	}
	if n > math.MaxInt64/scale || n < math.MinInt64/scale {
		return 0, errRange
	}
	return n * scale, nil
}
