// Irmd is the daemon of an Ouroboros node.
package main

import (
	"os"

	"ouroboros/internal/daemon"
)

func main() { os.Exit(daemon.Main(os.Args[1:])) }
