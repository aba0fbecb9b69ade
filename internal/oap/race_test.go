//go:build race

package oap

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
