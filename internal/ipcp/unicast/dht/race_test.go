//go:build race

package dht

// raceEnabled: layers are smaller and days shorter under the race detector,
// which is ten times slower and has seen all that there is to see by then.
const raceEnabled = true
