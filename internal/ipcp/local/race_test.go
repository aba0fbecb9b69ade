//go:build race

package local_test

// raceEnabled: sync.Pool drops at random under the race detector, so nothing
// can be said about allocations.
const raceEnabled = true
