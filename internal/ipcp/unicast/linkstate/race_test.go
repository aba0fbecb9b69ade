//go:build race

package linkstate

// raceEnabled: sync.Pool drops at random under the race detector, so nothing
// can be said about allocations.
const raceEnabled = true
