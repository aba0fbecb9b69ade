//go:build race

package frcp

// raceEnabled: sync.Pool drops at random under the race detector, so nothing
// can be said about allocations.
const raceEnabled = true
