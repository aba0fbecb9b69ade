// Package registry is the heart of a node: names, programs, processes, IPCPs
// and flows, and who gets which flow. Registry implements irm.Service.
//
//	process ── bound to ──► name ◄── bound to ── program
//	   │ accepts               │ registered in
//	   ▼                       ▼
//	 flow ◄─── carried by ─── IPCP ──► layer
package registry

import (
	"context"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/qos"
)

// Owner is who holds the ends of flows for a process: a client's session, a
// client in the same program, or an IPCP. The registry does not look inside;
// Fabric does.
type Owner interface {
	// OwnerName is for logs.
	OwnerName() string
}

// End is one end of a flow in the hands of its owner.
type End interface {
	// Event tells the owner what the node saw: EventDown when the other side
	// is gone without a word, EventDealloc when it deallocated. It must not
	// block, may come before the owner was given the Grant, and does nothing
	// after Close.
	Event(e flow.Event)
	// Close releases what the node holds for the end: descriptors, memory,
	// the slot of its doorbell. The process keeps what it has mapped. The end
	// of an attached flow passes on what the process had written, and
	// deallocates the flow.
	Close()
}

// Sized is an End that knows the longest message that it carries, in bytes.
// Without it that of the attached flow is taken, or DirectMTU.
type Sized interface{ MTU() int }

// DirectMTU is the longest message of a flow between two processes of the
// node whose ends do not say better.
const DirectMTU = 1 << 20

// FlowOwner is the Owner of an IPCP: it wants the packets themselves and not
// rings. The end that Fabric.Direct gives it must be a FlowEnd. Fabric.Attach
// is never called for it, because the attached flow is already what it wants.
type FlowOwner interface {
	Owner
	IPCP() ipcp.Identity
}

// FlowEnd is the end of a flow in the hands of an IPCP. Deallocating the flow
// is the owner's word that it is done: the registry closes the End then.
type FlowEnd interface {
	End
	Flow() flow.Flow
}

// Fabric makes the data path of flows.
type Fabric interface {
	// Direct joins two processes of this node: a is the client's owner, b the
	// server's. They may be the same. Either may be a FlowOwner.
	Direct(a, b Owner, spec qos.Spec) (endA, endB End, err error)
	// Attach joins a process to a flow that an IPCP carries. After it
	// returned, packets flow, and the flow belongs to the End; when it failed,
	// the flow still belongs to the caller.
	Attach(o Owner, f flow.Flow, spec qos.Spec) (End, error)
}

// Identity is a process as the kernel describes it: from the credentials of
// its socket and /proc, never from its own words.
type Identity struct {
	PID   int
	UID   uint32
	GID   uint32
	Group int      // pid of the leader of its process group; 0 = not known
	Exe   string   // absolute path of the executable
	Args  []string // argv
	Dir   string   // working directory, for relative script names
	IPCP  bool     // an IPCP of this node
}

// Grant is a flow that was allocated for a process. The caller hands it to
// the process, or calls Process.Dealloc when it cannot.
type Grant struct {
	ID     int
	Name   string // that was asked for
	QoS    qos.Spec
	MPL    time.Duration
	MTU    int
	Remote bool // the other end is on another node
	Peer   int  // pid at the other end; 0 when Remote
	End    End
}

// Starter starts a bound program when a flow arrives and nobody serves the
// name. The default is OSStarter.
type Starter interface {
	// Start runs argv, and calls exited once when the process has ended and
	// was reaped; the error tells a failure or a signal from status 0. uid and
	// gid are those of whoever bound the program. When ctx ends the process is
	// asked to end, and killed when it does not.
	Start(ctx context.Context, argv []string, uid, gid uint32, exited func(err error)) (pid int, err error)
}

// Failure is what the Host of an IPCP offers besides ipcp.Host: whoever
// guards the IPCP reports that it panicked or can no longer work. The IPCP is
// then listed as "failed", its flows go down, and it can only be destroyed.
type Failure interface{ Failed(err error) }
