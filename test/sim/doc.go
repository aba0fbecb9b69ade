// Package sim tests whole layers: networks of nodes that stand in one program,
// joined by the links of package simnet, set up as an administrator would.
//
//	net := sim.Build(t, sim.Grid(4, 5), sim.Options{})
//	net.Link(3, 4).Cut()
//	err := net.ResolveAll()
//
// Most of it runs in virtual time, so that a day of a network of thirty nodes
// passes in a minute and a delay is what it is set to. OUROBOROS_SOAK=1 runs the
// long tests as well.
package sim
