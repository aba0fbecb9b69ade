//go:build race

package ca

// raceEnabled: simulations take ten times as long, and have one goroutine each.
const raceEnabled = true
