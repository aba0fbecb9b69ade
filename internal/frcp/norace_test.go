//go:build !race

package frcp

const raceEnabled = false
