//go:build !race

package fa_test

const raceEnabled = false
