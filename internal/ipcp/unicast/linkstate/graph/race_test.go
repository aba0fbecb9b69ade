//go:build race

package graph_test

// raceEnabled: nothing can be said about times under the race detector.
const raceEnabled = true
