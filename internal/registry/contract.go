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
	// block.
	Event(e flow.Event)
	// Close releases what the node holds for the end: descriptors, memory,
	// the slot of its doorbell. The process keeps what it has mapped.
	Close()
}

// Fabric makes the data path of flows.
type Fabric interface {
	// Direct joins two processes of this node: a is the client's owner, b the
	// server's. They may be the same.
	Direct(a, b Owner, spec qos.Spec) (endA, endB End, err error)
	// Attach joins a process to a flow that an IPCP carries. After it
	// returned, packets flow.
	Attach(o Owner, f flow.Flow, spec qos.Spec) (End, error)
}

// Identity is a process as the kernel describes it: from the credentials of
// its socket and /proc, never from its own words.
type Identity struct {
	PID  int
	UID  uint32
	GID  uint32
	Exe  string   // absolute path of the executable
	Args []string // argv
	Dir  string   // working directory, for relative script names
	IPCP bool     // an IPCP of this node
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
	// was reaped. uid and gid are those of whoever bound the program.
	Start(ctx context.Context, argv []string, uid, gid uint32, exited func(err error)) (pid int, err error)
}
