// Package daemon is irmd: a stack.Node behind the two sockets of a runtime
// directory.
//
//	command line ─┐
//	              ├─► settings ──► runtime directory (claimed: one daemon)
//	configuration ┘                  │
//	                                 ├─► node ◄── state file (state = "keep")
//	                                 ├─► server: flow.sock, irmd.sock
//	                                 └─► configuration applied ──► READY=1
//
// The directory is claimed before anything else is touched, and given back
// last. On SIGTERM or SIGINT the flows of all processes go down, programs that
// were started on demand are ended, and the sockets disappear.
package daemon
