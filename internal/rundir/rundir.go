// Package rundir knows where a daemon lives: its runtime directory and the
// sockets in it.
//
//	daemon as root   /run/ouroboros
//	other users      $XDG_RUNTIME_DIR/ouroboros, else /tmp/ouroboros-UID (0700)
//	either           $OUROBOROS_RUNTIME_DIR
package rundir

// Names of the sockets in the directory.
const (
	FlowSocket = "flow.sock" // SOCK_SEQPACKET: one connection a process, package session
	APISocket  = "irmd.sock" // HTTP: the management interface
)

// Env is the variable that overrides the place for daemon and clients alike.
const Env = "OUROBOROS_RUNTIME_DIR"
