//go:build race

package udp

// race says that the race detector is on: it allocates.
const race = true
