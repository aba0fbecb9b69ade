//go:build race

package dht

// raceEnabled: there are fewer queries and days are shorter under the race detector,
// which is ten times slower and has seen all that there is to see by then.
const raceEnabled = true
