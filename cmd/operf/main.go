// Command operf measures the bandwidth of a flow; see operf --help.
package main

import (
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/operf"
)

func main() { console.Main(operf.Main) }
