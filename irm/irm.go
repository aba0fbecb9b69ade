// Package irm manages a node of an Ouroboros network: its IPC processes, the
// names of its services, and what is bound to them.
//
//	c, err := irm.Dial()                       // the daemon of this user, or the system's
//	pid, err := c.CreateIPCP(ctx, "l1", irm.Local)
//	_, err = c.BootstrapIPCP(ctx, pid, irm.NewConfig(irm.Local, "home"))
//	err = c.CreateName(ctx, irm.NameInfo{Name: "oping"})
//	err = c.RegName(ctx, "oping", pid)
//
// Service is the whole of it as an interface. A Client speaks to a daemon; a
// stack.Node offers the same inside a program.
//
// Errors wrap the sentinels of package ouroboros; their text says what could
// not be done, why, and what to do next.
package irm

import (
	"context"
	"time"

	"ouroboros/qos"
)

// Service is the management of one node. Every method may be called from any
// goroutine, and returns when the work is done or ctx ends.
type Service interface {
	// CreateIPCP makes an IPCP that is not yet in a layer, and gives its pid:
	// a number that stands for it in all other calls. ErrExist when the name
	// is taken, ErrIPCPType for a kind that this build does not have.
	CreateIPCP(ctx context.Context, name string, t IPCPType) (pid int, err error)
	// DestroyIPCP ends an IPCP; flows over it go down. ErrIPCP when pid is
	// not an IPCP's.
	DestroyIPCP(ctx context.Context, pid int) error
	// BootstrapIPCP makes the IPCP the first member of a new layer.
	// ErrIPCPState when it is in one already; a failed call can be repeated.
	BootstrapIPCP(ctx context.Context, pid int, cfg *Config) (LayerInfo, error)
	// EnrollIPCP joins the layer of the member that is reached under dst.
	EnrollIPCP(ctx context.Context, pid int, dst string) (LayerInfo, error)
	// ConnectIPCP and DisconnectIPCP make and end the connection of a
	// component (DataTransfer or Management) to a neighbour.
	ConnectIPCP(ctx context.Context, pid int, component, dst string, spec qos.Spec) error
	DisconnectIPCP(ctx context.Context, pid int, component, dst string) error
	// ListIPCPs lists by type, then pid.
	ListIPCPs(ctx context.Context) ([]IPCPInfo, error)

	// CreateName makes a name known. An existing one is kept as it is.
	CreateName(ctx context.Context, info NameInfo) error
	// SetName changes the settings of a name; the flows to come go by them.
	// ErrName when there is none.
	SetName(ctx context.Context, name string, change NameChange) error
	// DestroyName removes a name with its bindings and registrations; running
	// flows go on. ErrName when there is none.
	DestroyName(ctx context.Context, name string) error
	// ListNames lists in the order of the C implementation, which is not sorted.
	ListNames(ctx context.Context) ([]NameInfo, error)
	// RegName makes a name reachable in the layer of the IPCP pid. ErrName for
	// an unknown name, ErrIPCP for an unknown IPCP. May be repeated.
	RegName(ctx context.Context, name string, pid int) error
	// UnregName undoes RegName. May be repeated.
	UnregName(ctx context.Context, name string, pid int) error

	// BindProgram binds every process that runs the program to the name, and
	// creates the name (spill) if needed. With Auto the program is started
	// when a flow arrives and nobody serves the name. ErrExist when bound.
	BindProgram(ctx context.Context, b ProgramBinding) error
	// UnbindProgram undoes BindProgram. prog is the path or the base name; an
	// empty name means all names.
	UnbindProgram(ctx context.Context, prog, name string) error
	// BindProcess binds a process that uses Ouroboros, or an IPCP, to the
	// name, and creates the name (spill) if needed.
	BindProcess(ctx context.Context, pid int, name string) error
	// UnbindProcess undoes BindProcess; an empty name means all names.
	UnbindProcess(ctx context.Context, pid int, name string) error

	// ListPrograms, ListProcesses and ListFlows show what the node knows.
	ListPrograms(ctx context.Context) ([]ProgramInfo, error)
	ListProcesses(ctx context.Context) ([]ProcessInfo, error)
	ListFlows(ctx context.Context) ([]FlowInfo, error)

	// ShowIPCP gives the state of an IPCP's components as JSON-ready values.
	ShowIPCP(ctx context.Context, pid int) (map[string]any, error)

	// Status describes the node itself.
	Status(ctx context.Context) (Status, error)

	// Watch calls f for every change from now on, in order, until ctx ends or
	// f fails. A watcher too slow to follow gets one Event of kind Lost.
	Watch(ctx context.Context, f func(Event) error) error
}

// IPCPType is a kind of IPC process.
type IPCPType int

// The kinds.
const (
	Local     IPCPType = 0
	Unicast   IPCPType = 1
	Broadcast IPCPType = 2
	EthLLC    IPCPType = 3
	EthDIX    IPCPType = 4
	UDP4      IPCPType = 5
	UDP6      IPCPType = 6
)

// typeWords is in the order in which abbreviations are tried.
var typeWords = []struct {
	word string
	t    IPCPType
}{
	{"unicast", Unicast}, {"broadcast", Broadcast}, {"udp4", UDP4}, {"udp6", UDP6},
	{"eth-dix", EthDIX}, {"eth-llc", EthLLC}, {"local", Local},
}

func (t IPCPType) String() string {
	for _, w := range typeWords {
		if w.t == t {
			return w.word
		}
	}
	return "UNKNOWN"
}

// TypeWords lists the words for the kinds, in the order in which the command
// line tries abbreviations.
func TypeWords() []string {
	words := make([]string, len(typeWords))
	for i, w := range typeWords {
		words[i] = w.word
	}
	return words
}

// ParseType gives the kind that a whole word names.
func ParseType(word string) (IPCPType, bool) {
	for _, w := range typeWords {
		if w.word == word {
			return w.t, true
		}
	}
	return 0, false
}

// Components of an IPCP that can be connected.
const (
	DataTransfer = "Data Transfer"
	Management   = "Management"
)

// NotEnrolled stands for the layer of an IPCP that is in none.
const NotEnrolled = "Not enrolled."

// HashAlgo is the algorithm of a layer's directory.
type HashAlgo int

// The algorithms. CRC32 and MD5 cannot be chosen; UDP layers always use MD5.
const (
	SHA3_224 HashAlgo = 0
	SHA3_256 HashAlgo = 1
	SHA3_384 HashAlgo = 2
	SHA3_512 HashAlgo = 3
	CRC32    HashAlgo = 4
	MD5      HashAlgo = 5
)

var hashWords = []string{"SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512", "CRC32", "MD5"}

func (h HashAlgo) String() string {
	if h >= 0 && int(h) < len(hashWords) {
		return hashWords[h]
	}
	return "UNKNOWN"
}

// ParseHash gives the algorithm of a word such as SHA3_256. Only those that
// can be chosen are understood.
func ParseHash(word string) (HashAlgo, bool) {
	for i, w := range hashWords[:4] {
		if w == word {
			return HashAlgo(i), true
		}
	}
	return 0, false
}

// LayerInfo is what an IPCP learned of its layer.
type LayerInfo struct {
	Name string
	Hash HashAlgo
}

// Balance says which process gets the next flow to a name.
type Balance int

// RoundRobin takes turns; Spill stays with the process that accepted last and
// goes to another only while that one is not accepting.
const (
	RoundRobin Balance = 0
	Spill      Balance = 1
)

func (b Balance) String() string {
	switch b {
	case RoundRobin:
		return "round-robin"
	case Spill:
		return "spillover"
	}
	return "UNKNOWN"
}

// ParseBalance understands round-robin, spillover and spill.
func ParseBalance(word string) (Balance, bool) {
	switch word {
	case "round-robin":
		return RoundRobin, true
	case "spillover", "spill":
		return Spill, true
	}
	return 0, false
}

// NameInfo is a name and, in lists, what is known of it.
type NameInfo struct {
	Name    string
	Balance Balance
	Server  SecPaths
	Client  SecPaths

	ServerDemand Demand   // of clients
	ClientDemand Demand   // of the server
	Allow        []string // names in the certificates of clients that may; none = all

	// Only in lists:
	Registrations []Registration   // where the name can be reached
	Programs      []ProgramBinding // newest first
	Processes     []int            // bound pids, newest first
	Accepting     int              // pending accepts
	Problems      []string         // with the security files, for people
}

// Registration is a name in the directory of a layer.
type Registration struct {
	PID   int    // of the IPCP
	IPCP  string // its name
	Layer string
	Hash  []byte
}

// ProgramBinding binds a program to a name.
type ProgramBinding struct {
	Program string   // absolute path of the executable or script
	Args    []string // without argv[0]; used by Auto
	Name    string
	Auto    bool // start on demand
}

// ProgramInfo is a bound program.
type ProgramInfo struct {
	Program string
	Names   []string
}

// ProcessInfo is a process that uses the node, or one of its IPCPs.
type ProcessInfo struct {
	PID     int
	UID     uint32
	Program string
	Names   []string
	Flows   int
	Accepts int  // pending
	IPCP    bool // an IPC process of the node
	Auto    bool // started on demand
	Since   time.Time
}

// FlowInfo is a flow.
type FlowInfo struct {
	ID        int
	State     string // "allocating", "allocated", "deallocating"
	Name      string // that was asked for
	ClientPID int    // 0 when the other end is on another node
	ServerPID int    // 0 when the other end is on another node
	IPCP      string // that carries it; empty for a flow between two processes of this node
	Layer     string
	QoS       qos.Spec
	MPL       time.Duration
	MTU       int // longest message in bytes at this moment
	Since     time.Time

	Protection Protection
}

// IPCPInfo is an IPC process.
type IPCPInfo struct {
	PID   int
	Name  string
	Type  IPCPType
	Layer string // NotEnrolled until it is in one
	Hash  HashAlgo
	State string // "boot", "operational", "shutdown", "failed"
}

// Status describes the node.
type Status struct {
	Version  string
	PID      int
	UID      uint32
	Since    time.Time
	Dir      string            // runtime directory
	State    string            // "keep" or "forget"
	Counters map[string]uint64 // events since the start, by name
}

// Event is a change of the node. Kind and Action are words: "ipcp" created,
// destroyed, bootstrapped, enrolled, connected, disconnected, failed; "name"
// created, changed, destroyed, registered, unregistered, bound, unbound; "process"
// announced, exited, started; "flow" allocated, deallocated, refused, down;
// "lost" when some were missed. The connections are those that were made by
// ConnectIPCP; Detail says of which component and with whom.
type Event struct {
	Time   time.Time
	Kind   string
	Action string
	Name   string // of the IPCP, name, program, or the destination of the flow
	PID    int
	FlowID int
	Layer  string
	Detail string // for people
}
