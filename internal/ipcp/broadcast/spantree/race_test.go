//go:build race

package spantree

// raceEnabled: what takes long takes ten times as long.
const raceEnabled = true
