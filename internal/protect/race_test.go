//go:build race

package protect_test

// Pools drop at random under the race detector.
const raceEnabled = true
