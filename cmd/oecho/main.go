// Command oecho sends one message and prints the answer; see oecho --help.
package main

import (
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/oecho"
)

func main() { console.Main(oecho.Main) }
