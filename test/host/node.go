package host

import (
	"os"
	"testing"
)

// Node is a host of a network: a Daemon of ours or a Reference. Both have the
// commands irm, oping, oecho, ocbr and operf.
type Node interface {
	// Run runs a command to its end.
	Run(t testing.TB, name string, args ...string) Result
	// OK runs a command that must succeed and gives its standard output.
	OK(t testing.TB, name string, args ...string) string
	// Go runs a command in the background until the end of the test.
	Go(t testing.TB, env []string, name string, args ...string) *Process
	// Bind binds a background process to a name as soon as that is possible.
	Bind(t testing.TB, p *Process, name string)
	// Kill ends the host as a power cut does.
	Kill()
	// Log is what the daemon printed.
	Log() *Output
}

var (
	_ Node = (*Daemon)(nil)
	_ Node = (*Reference)(nil)
)

// ReferenceVariable names the installation of the C implementation that tests
// run as a peer: the directory with its bin, lib and sbin.
const ReferenceVariable = "OUROBOROS_REFERENCE"

// HasReference says whether there is one.
func HasReference() bool { return os.Getenv(ReferenceVariable) != "" }
