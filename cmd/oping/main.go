// Command oping measures round-trip times over a flow; see oping --help.
package main

import (
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/oping"
)

func main() { console.Main(oping.Main) }
