//go:build !race

package oap

const raceEnabled = false
