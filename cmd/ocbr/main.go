// Command ocbr sends messages at a constant bit rate; see ocbr --help.
package main

import (
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/ocbr"
)

func main() { console.Main(ocbr.Main) }
