// Package ipcp is the contract between the stack and an IPC process: what a
// layer of any kind can be asked, and what it may ask of its host.
//
//	       registry (names, processes, flows)
//	AllocFlow, Reg ... │        ▲ Arrive, Alloc, Accept
//	              ┌────▼────────┴────┐
//	              │      IPCP        │
//	              └────┬────────▲────┘
//	       flow.Flow.Send       Receive
//
// An IPCP is an object in the daemon. It runs behind a Guard: a panic in it
// ends that IPCP alone. Operations that a kind does not have answer
// errno.NotSup in every state, and operations that need a layer answer
// errno.IPCPState before the IPCP is operational, in this order of checks. The
// Guard makes them, and checks the length of hashes, so that a kind is left
// with what it does: it embeds Unsupported for the operations that it lacks
// and has no state machine of its own.
//
// A kind is made by its Constructor from an Env: who it is, whom it may ask,
// and Go and AfterFunc for all its goroutines and timers.
package ipcp

import (
	"context"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/irm"
	"ouroboros/qos"
)

// State is the life of an IPCP. The numbers are those of the C implementation.
type State int

// The states. Boot is left for Operational by a bootstrap or an enrolment that
// succeeded, and Operational only for Shutdown. Failed is ours: the IPCP
// panicked and can only be closed.
const (
	Null        State = 0
	Init        State = 1
	Boot        State = 2
	Operational State = 5
	Shutdown    State = 6
	Failed      State = 7
)

func (s State) String() string {
	switch s {
	case Null:
		return "null"
	case Init:
		return "init"
	case Boot:
		return "boot"
	case Operational:
		return "operational"
	case Shutdown:
		return "shutdown"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// IPCP is one IPC process. Methods may be called at the same time from any
// goroutine. Those with a context return soon after it ends, and undo what
// they had begun: an allocation whose context ended leaves nothing behind and
// ignores a late answer.
type IPCP interface {
	// Bootstrap makes the IPCP the first member of a new layer. On failure it
	// stays in Boot and can be tried again.
	Bootstrap(ctx context.Context, cfg *irm.Config) (irm.LayerInfo, error)

	// Enroll joins the layer of the member that is reached under dst, an IPCP
	// name or any name that is bound to a member.
	Enroll(ctx context.Context, dst string) (irm.LayerInfo, error)

	// Connect and Disconnect make and end a connection of a component
	// (irm.Management, irm.DataTransfer) to the neighbour dst.
	Connect(ctx context.Context, component, dst string, spec qos.Spec) error
	Disconnect(ctx context.Context, component, dst string) error

	// Reg and Unreg add and remove a name, as its hash, in the directory of
	// the layer. Both may be repeated.
	Reg(ctx context.Context, hash []byte) error
	Unreg(ctx context.Context, hash []byte) error

	// Query succeeds when the name can be reached in the layer, and fails with
	// errno.NameError when it is known that it cannot.
	Query(ctx context.Context, hash []byte) error

	// AllocFlow allocates a flow to the name. It returns when the peer has
	// answered. A refusal is the peer's number as an error: errno.Of. It may
	// fail with errno.Again when nobody has answered in a while and a second
	// request, with other Data, could be more lucky: it is then called again,
	// as long as ctx lasts.
	AllocFlow(ctx context.Context, req *Request) (*Reply, error)

	// Join makes the caller a member of a broadcast layer, named by the hash
	// of the layer's name.
	Join(ctx context.Context, hash []byte) (flow.Flow, error)

	// Show describes the components for people and programs: JSON-ready
	// values, keyed by component.
	Show() map[string]any

	// Close ends the IPCP: every flow over it gets EventDealloc. It returns
	// when all goroutines of the IPCP have ended.
	Close() error
}

// Request is a flow allocation request, leaving or arriving.
type Request struct {
	Hash []byte   // of the destination name, with the layer's algorithm
	QoS  qos.Spec //
	Data []byte   // opaque to the IPCP: the OAP request
	MPL  time.Duration
}

// Reply is an allocation that the peer accepted.
type Reply struct {
	Flow flow.Flow     // this end
	Data []byte        // opaque to the IPCP: the OAP response
	MPL  time.Duration // longest life of a packet in the layer
}

// Offer is an arrived request that the host accepts, or will, if the reply can
// be sent. Exactly one of Complete and Fail is called.
type Offer interface {
	// Data is the OAP response that travels in the IPCP's reply.
	Data() []byte
	// Complete hands the flow over after the reply has left. Packets that came
	// before are kept by the flow until the host attaches itself.
	Complete(f flow.Flow)
	// Fail says that the reply could not be sent.
	Fail(err error)
}

// Host is what an IPCP may ask of the system it runs in.
type Host interface {
	// Arrive presents a request that came from the layer and returns when the
	// host has decided. An error is the refusal: errno.Number gives what
	// travels in the negative reply. Several requests may be pending at once;
	// none waits for another.
	Arrive(ctx context.Context, req *Request) (Offer, error)

	// Alloc allocates a flow to a name in a lower layer, as the process that
	// this IPCP is.
	Alloc(ctx context.Context, dst string, spec qos.Spec) (flow.Flow, error)

	// Accept waits for the next flow to a name that this IPCP is bound to.
	Accept(ctx context.Context) (flow.Flow, qos.Spec, error)
}

// Identity is what an IPCP is told about itself at creation.
type Identity struct {
	PID  int    // above 4194304: no process of the kernel has it
	Name string // of the IPCP
}
