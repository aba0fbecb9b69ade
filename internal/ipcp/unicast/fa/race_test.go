//go:build race

package fa_test

// raceEnabled: sync.Pool drops at random under the race detector, so nothing
// can be said about allocations.
const raceEnabled = true
