//go:build race

package stack

// race says that the race detector is on: it allocates.
const race = true
