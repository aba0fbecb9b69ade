package registry

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	"ouroboros/internal/oap"
	"ouroboros/irm"
)

// Registry is the state of one node. Its methods may be called from any
// goroutine.
//
// One mutex guards everything below it in the struct and everything reachable
// from there. It is never held while an Owner, an End, the Fabric, an IPCP or
// the Starter is called: whatever needs one of them first takes what it wants
// out of the state (a reserved accept, a flow id), works without the mutex,
// and then looks again whether both sides are still there.
type Registry struct {
	cfg   Config
	log   *slog.Logger
	since time.Time

	ctx  context.Context // ends at Close
	stop context.CancelFunc
	work sync.WaitGroup // everything that runs on behalf of the registry

	trust  *crypt.Store // whom this node trusts
	client oap.Client   // of the exchange in allocations over a layer
	server *oap.Server  // the same, for those that arrive

	saver   saver
	denials denials

	mu       sync.Mutex
	closed   bool
	clock    uint64 // orders accepts, requests and bindings
	names    map[string]*serviceName
	order    []*serviceName // as listed
	hashes   map[irm.HashAlgo]map[string]*serviceName
	programs programTable
	procs    map[int]*proc
	awaited  map[int]chan struct{} // closed when the pid announces itself
	started  map[int]*startup      // that have not ended, by pid
	flows    map[int]*record       // by the first id

	userFlows map[uint32]int // ends that the processes of a user hold
	ids       idSet
	ipcps     ipcpTable
	watchers  map[*watcher]struct{}
	news      chan struct{} // closed when an IPCP has entered a layer or was connected
	count     counters
}

var _ irm.Service = (*Registry)(nil)

// New makes a registry and restores what its Store has kept. Of what is
// restored, failures are logged and kept for the next start; they do not make
// New fail.
func New(cfg Config) (*Registry, error) {
	if cfg.Fabric == nil {
		return nil, errno.New(errno.Invalid, "cannot make a registry without a fabric")
	}
	cfg = cfg.withDefaults()
	trust := crypt.NewStore(cfg.Trust, cfg.Log)
	r := &Registry{
		cfg:      cfg,
		log:      cfg.Log,
		since:    time.Now(),
		names:    make(map[string]*serviceName),
		hashes:   make(map[irm.HashAlgo]map[string]*serviceName),
		programs: newProgramTable(),
		procs:    make(map[int]*proc),
		awaited:  make(map[int]chan struct{}),
		started:  make(map[int]*startup),
		flows:    make(map[int]*record),

		userFlows: make(map[uint32]int),
		ids:       newIDSet(2 * cfg.Limits.Flows),
		ipcps:     newIPCPTable(),
		trust:     trust,
		client:    oap.Client{Store: trust, Log: cfg.Log},
		server:    oap.NewServer(oap.ServerConfig{Slack: cfg.ClockSlack, Store: trust, Log: cfg.Log}),
		watchers:  make(map[*watcher]struct{}),
		news:      make(chan struct{}),
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	if cfg.Store != nil {
		r.restore()
		r.startSaver()
		// A restored node differs from the snapshot where something failed.
		r.mu.Lock()
		r.dirty()
		r.mu.Unlock()
	}
	return r, nil
}

// Close ends the node: waiting calls fail with ErrIRMd, every flow gets
// EventDown, IPCPs are closed, and programs that were started on demand are
// asked to end and then killed. It returns when nothing is left, or with ctx's
// error when that takes too long; the ending goes on behind it then.
func (r *Registry) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	// What goes away from here on is not the administrator's wish.
	var last *Snapshot
	if r.saver.changed != nil {
		last = r.snapshot()
		r.saver.changed = nil
	}
	r.closed = true
	for _, n := range r.order {
		r.kick(n)
	}
	var handles []*Process
	for _, p := range r.procs {
		for h := range p.handles {
			handles = append(handles, h)
		}
	}
	ipcps := r.ipcps.list()
	r.mu.Unlock()
	if last != nil {
		r.stopSaver(last)
	}

	for _, h := range handles {
		if h.proc.ipcp == nil {
			h.shut(errClosed())
		}
	}
	r.stop()

	done := make(chan struct{})
	go func() {
		defer close(done)
		if r.cfg.Linger != nil {
			r.cfg.Linger(ctx)
		}
		r.endIPCPs(ipcps)
		r.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errno.New(ctx.Err(), "the node has not ended in time: an IPCP or a started program still runs")
	}
}

// errClosed is for calls that the end of the node cut short.
func errClosed() error {
	return errno.New(errno.IRMd, "the IRM daemon is stopping")
}

// tick gives the next moment of the registry's own clock. r.mu is held.
func (r *Registry) tick() uint64 {
	r.clock++
	return r.clock
}

// Status describes the node.
func (r *Registry) Status(context.Context) (irm.Status, error) {
	state := "forget"
	if r.cfg.Store != nil {
		state = "keep"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	counters := r.count.show(r)
	if r.cfg.Counters != nil {
		maps.Copy(counters, r.cfg.Counters())
	}
	return irm.Status{
		Version: r.cfg.Version, PID: os.Getpid(), UID: uint32(os.Getuid()), Since: r.since,
		Dir: r.cfg.Dir, State: state, Counters: counters,
	}, nil
}
