//go:build race

package broadcast

// raceEnabled: sync.Pool drops at random under the race detector, so nothing
// can be said about allocations.
const raceEnabled = true
