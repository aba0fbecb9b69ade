//go:build !race

package spantree

const raceEnabled = false
