//go:build !race

package linkstate

const raceEnabled = false
