// Command obc sends a message to a broadcast layer, or prints what others
// send; see obc --help.
package main

import (
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/obc"
)

func main() { console.Main(obc.Main) }
