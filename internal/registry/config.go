package registry

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// Config says what a Registry works with. Fabric is required; the zero value
// of everything else is a sensible default.
type Config struct {
	Log     *slog.Logger // nil = no log
	Limits  Limits
	Fabric  Fabric
	Starter Starter // nil = an OSStarter with Log, Dir and Env

	// NewIPCP makes an IPCP that is not yet in a layer. nil, or an error that
	// wraps errno.IPCPType: this build does not have the kind.
	NewIPCP func(t irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error)

	// Guard puts what a flow on a network needs between the IPCP that carries it
	// and its user: FRCP, encryption, checksums, keep-alives. It takes the flow
	// over unless it fails, and is not called for a flow that loses nothing, whose
	// packets nobody else sees; nil = nothing is put there, and no flow is
	// encrypted.
	Guard func(f flow.Flow, n Needs) (flow.Flow, error)

	// Linger is called by Close when all processes have been shut out and
	// before the IPCPs end. It returns when the flows of the processes owe
	// nothing more, or after a short while; nil = at once.
	Linger func(ctx context.Context)

	// Counters are those of the flows' protocols, for Status; nil = none.
	Counters func() map[string]uint64

	SecurityDir string          // default places of the security files of names
	Trust       crypt.StoreDirs // whose certificates are trusted; what is empty has its place below SecurityDir
	Demands     Demands         // where a name leaves it to the node
	Store       Store           // nil = forget everything at the end

	RequestWait  time.Duration // how long a bound process has to accept, each time; default 1 s
	AllocTimeout time.Duration // of allocations whose caller set no deadline; default 20 s
	ClockSlack   time.Duration // how far the clock of a client's node may be ahead; default 100 ms
	BindWait     time.Duration // how long BindProcess waits for the process to announce itself; default 10 ms

	Version string   // for Status
	Dir     string   // runtime directory, for Status and started programs
	Env     []string // more variables for started programs, NAME=value
}

// Needs says what a flow on a network needs.
type Needs struct {
	QoS qos.Spec
	MPL time.Duration // the longest life of a packet in the layer

	Cipher wire.Cipher
	Key    *crypt.Key // copied by who needs it later; nil = in the clear
}

// Limits bound what clients can make the registry hold. 0 means the default.
type Limits struct {
	Flows             int // on the node; default 65535
	FlowsPerProcess   int // default 16384
	FlowsPerUser      int // of others than root and the node's user; default 32768
	AcceptsPerProcess int // pending; default 4096
	AllocsPerProcess  int // pending; default 4096
	Names             int // default 65536
	Programs          int // default 4096
	Processes         int // default 8192
	IPCPs             int // default 1024
	Watchers          int // default 256
}

func (l Limits) withDefaults() Limits {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&l.Flows, 65535)
	set(&l.FlowsPerProcess, 16384)
	set(&l.FlowsPerUser, 32768)
	set(&l.AcceptsPerProcess, 4096)
	set(&l.AllocsPerProcess, 4096)
	set(&l.Names, 65536)
	set(&l.Programs, 4096)
	set(&l.Processes, 8192)
	set(&l.IPCPs, 1024)
	set(&l.Watchers, 256)
	return l
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Starter == nil {
		c.Starter = &OSStarter{Log: c.Log, Dir: c.Dir, Env: c.Env}
	}
	below := crypt.StoreDirsBelow(c.SecurityDir)
	c.Trust.Authorities = cmp.Or(c.Trust.Authorities, below.Authorities)
	c.Trust.Intermediates = cmp.Or(c.Trust.Intermediates, below.Intermediates)
	c.Trust.Revoked = cmp.Or(c.Trust.Revoked, below.Revoked)
	if c.RequestWait == 0 {
		c.RequestWait = time.Second
	}
	if c.AllocTimeout == 0 {
		c.AllocTimeout = 20 * time.Second
	}
	if c.BindWait == 0 {
		c.BindWait = 10 * time.Millisecond
	}
	return c
}
