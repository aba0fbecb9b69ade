// Command ovpn carries IP over a flow.
package main

import (
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/ovpn"
)

func main() { console.Main(ovpn.Main) }
