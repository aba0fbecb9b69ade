//go:build race

package seal

// Pools drop at random under the race detector.
const raceEnabled = true
