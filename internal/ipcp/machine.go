package ipcp

import (
	"strings"
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
)

// Op is a group of operations that a kind of IPCP has or lacks.
type Op uint8

// The operations.
const (
	OpBootstrap Op = iota
	OpEnroll
	OpConnect // connect, disconnect
	OpReg     // register, unregister
	OpQuery
	OpAlloc
	OpJoin
)

var opWords = [...]string{"be bootstrapped", "be enrolled", "be connected with others", "register names",
	"be asked for names", "allocate flows", "be joined"}

// Supports says whether a kind of IPCP has an operation.
//
//	kind                 bootstrap  enroll  connect  reg, query, alloc  join
//	local, eth, udp      yes        -       -        yes                -
//	unicast              yes        yes     yes      yes                -
//	broadcast            yes        yes     yes      -                  yes
func Supports(t irm.IPCPType, op Op) bool {
	switch op {
	case OpBootstrap:
		return true
	case OpEnroll, OpConnect:
		return t == irm.Unicast || t == irm.Broadcast
	case OpReg, OpQuery, OpAlloc:
		return t != irm.Broadcast
	case OpJoin:
		return t == irm.Broadcast
	}
	return false
}

// kindsThat lists the kinds that have an operation.
func kindsThat(op Op) string {
	var kinds []string
	for t := irm.Local; t <= irm.UDP6; t++ {
		if Supports(t, op) {
			kinds = append(kinds, t.String())
		}
	}
	return strings.Join(kinds, ", ")
}

// Machine is the state of one IPCP and the order of checks before an
// operation: is it supported, is the state right, is the hash one.
//
//	          bootstrap, enrolment               close
//	Boot ───────────────────────► Operational ─────────► Shutdown
//	  │ ▲ failed                       │
//	  └─┘                              └── panic ──► Failed
type Machine struct {
	kind irm.IPCPType
	name string

	mu      sync.Mutex
	state   State
	info    irm.LayerInfo
	cause   error         // of Failed
	joining bool          // a bootstrap or enrolment is running
	ready   chan struct{} // closed when operational
}

// NewMachine starts in Boot. name is for error texts.
func NewMachine(kind irm.IPCPType, name string) *Machine {
	return &Machine{kind: kind, name: name, state: Boot, ready: make(chan struct{})}
}

// State is the present state.
func (m *Machine) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// Layer is what the IPCP learned of its layer; the zero value before it is
// operational.
func (m *Machine) Layer() irm.LayerInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info
}

// Ready is closed when the IPCP has become operational.
func (m *Machine) Ready() <-chan struct{} { return m.ready }

// Check answers errno.NotSup or errno.IPCPState when op cannot be done now.
func (m *Machine) Check(op Op) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.check(op)
}

// CheckHash is Check, and errno.Invalid when h is not a hash of the layer.
func (m *Machine) CheckHash(op Op, h []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(op); err != nil {
		return err
	}
	if err := hash.Check(m.info.Hash, h); err != nil {
		return errno.New(errno.Invalid, "layer %q: %v", m.info.Name, err)
	}
	return nil
}

func (m *Machine) check(op Op) error {
	if !Supports(m.kind, op) {
		return errno.New(errno.NotSup, "IPCP %q cannot %s: it is of type %v", m.name, opWords[op], m.kind).
			Next("these types can: %s", kindsThat(op))
	}
	joins := op == OpBootstrap || op == OpEnroll
	switch {
	case m.state == Failed:
		return m.cause
	case m.state == Shutdown:
		return errno.New(errno.IPCPState, "IPCP %q is being destroyed", m.name)
	case joins && m.state == Operational:
		return errno.New(errno.IPCPState, "IPCP %q is in layer %q already", m.name, m.info.Name).
			Next("create another IPCP for another layer")
	case joins && m.joining:
		return errno.New(errno.IPCPState, "IPCP %q is joining a layer already", m.name)
	case !joins && m.state != Operational:
		return errno.New(errno.IPCPState, "IPCP %q cannot %s: it is in no layer yet", m.name, opWords[op]).
			Next("bootstrap or enroll it first")
	}
	return nil
}

// Begin starts a bootstrap or an enrolment; End must follow when it gave nil.
func (m *Machine) Begin(op Op) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(op); err != nil {
		return err
	}
	m.joining = true
	return nil
}

// End says how it went: operational in a layer, or still in Boot.
func (m *Machine) End(info irm.LayerInfo, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joining = false
	if err == nil && m.state == Boot {
		m.state, m.info = Operational, info
		close(m.ready)
	}
}

// Close is final.
func (m *Machine) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = Shutdown
}

// Fail leaves only Close; every operation answers cause.
func (m *Machine) Fail(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != Shutdown {
		m.state, m.cause = Failed, cause
	}
}
