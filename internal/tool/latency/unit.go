package latency

import (
	"strconv"
	"time"
)

// Unit is how times are shown: in milliseconds, and in microseconds below
// 0.1 ms.
type Unit struct {
	Name string
	ns   float64 // in one
}

// The units.
var (
	Millisecond = Unit{"ms", 1e6}
	Microsecond = Unit{"µs", 1e3}
)

// UnitFor is the unit in which a time of ns nanoseconds is shown.
func UnitFor(ns float64) Unit {
	if ns < float64(100*time.Microsecond) {
		return Microsecond
	}
	return Millisecond
}

// Append adds ns nanoseconds as a number with three decimals; the text of a
// NaN is "NaN".
func (u Unit) Append(b []byte, ns float64) []byte {
	return strconv.AppendFloat(b, ns/u.ns, 'f', 3, 64)
}

// Format is Append as a string.
func (u Unit) Format(ns float64) string { return string(u.Append(nil, ns)) }
