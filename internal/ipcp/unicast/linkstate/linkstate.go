package linkstate

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/ipcp/unicast/linkstate/graph"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

// Config is what a LinkState needs.
type Config struct {
	Own    wire.Addr
	Policy irm.Routing

	Recalc  time.Duration // longest time between a change and its routes; 0 = 4 s
	Update  time.Duration // between two updates of a link; 0 = 15 s
	Timeout time.Duration // after which a link that is not repeated is removed; 0 = 60 s

	// Install is called with each new result, never two at a time, on a
	// goroutine that holds no lock.
	Install func(*Routes)

	// Conflict is called at most once, on a goroutine of its own, when another
	// member is found to use the address of this one before this one has
	// announced a link. nil = nobody is told.
	Conflict func()

	Log       *slog.Logger                                // nil = none
	Go        func(f func())                              // starts a goroutine
	AfterFunc func(d time.Duration, f func()) *time.Timer // starts a timer
}

// Routes are the ways to all members that are reached. They never change.
type Routes struct{ To map[wire.Addr]Hops }

// Hops is the way to one member.
type Hops = graph.Hops

// The defaults of Config.
const (
	defaultRecalc  = 4 * time.Second
	defaultUpdate  = 15 * time.Second
	defaultTimeout = 60 * time.Second
)

// idle is how long the worker sleeps at most.
const idle = time.Hour

// LinkState is the routing of one member. Its methods may be called from any
// goroutine.
type LinkState struct {
	cfg    Config
	log    *slog.Logger
	routes atomic.Pointer[Routes]
	wake   chan struct{} // one token: something is due
	done   chan struct{} // closed when the worker has ended
	synced chan struct{} // closed when a neighbour has told what it knows

	solver graph.Solver // of the worker
	edges  []graph.Edge // of the worker

	mu      sync.Mutex
	closed  bool
	working bool      // the worker has begun
	awake   bool      // the worker is in tick: what is due it sees
	wakeAt  time.Time // when the worker wakes up
	count   counters
	said    map[string]bool

	db       database
	own      map[wire.Addr]*ownLink
	counter  uint32 // of the last update of any own link
	phantoms int    // own links that never were, of others and of nudges
	answers  pace   // to phantoms
	nudges   pace
	recall   recall

	peers   map[wire.Addr]*peer
	conns   map[carrier]*conn
	ready   []*peer // with something to send
	fillers []*conn // to be sent
	order   schedule
	joiner  joiner
}

// New makes the routing of a member that has no neighbours yet.
func New(cfg Config) *LinkState {
	orDefault(&cfg.Recalc, defaultRecalc)
	orDefault(&cfg.Update, defaultUpdate)
	orDefault(&cfg.Timeout, defaultTimeout)
	// An update that comes when the last one has timed out keeps nothing alive.
	if cfg.Update+cfg.Update/jitterPart >= cfg.Timeout {
		cfg.Update = cfg.Timeout / 2
	}
	l := &LinkState{
		cfg: cfg, log: cfg.Log,
		wake: make(chan struct{}, 1), done: make(chan struct{}), synced: make(chan struct{}),
		said: make(map[string]bool),
		own:  make(map[wire.Addr]*ownLink), peers: make(map[wire.Addr]*peer), conns: make(map[carrier]*conn),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.db.init()
	l.order.hold = firstHold
	l.routes.Store(&Routes{To: map[wire.Addr]Hops{}})
	return l
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Start begins to work: until then nothing is sent and no routes are computed.
func (l *LinkState) Start() { l.cfg.Go(l.work) }

// Close withdraws the own links and ends: nothing is sent or installed any more.
func (l *LinkState) Close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	working := l.working
	if !l.joiner.synced { // nobody waits for a data base any more
		l.joiner.synced = true
		close(l.synced)
	}
	l.mu.Unlock()
	l.kick()
	if working {
		<-l.done
	}
	if !first {
		return
	}
	l.mu.Lock()
	now := time.Now()
	for _, o := range l.own {
		if o.up {
			o.up = false
			l.emit(o, now)
		}
	}
	l.mu.Unlock()
	l.flush()
	l.mu.Lock()
	clear(l.peers)
	clear(l.conns)
	l.ready, l.fillers = nil, nil
	l.mu.Unlock()
}

// work is the worker.
func (l *LinkState) work() {
	l.mu.Lock()
	if l.closed || l.working {
		l.mu.Unlock()
		return
	}
	l.working = true
	l.mu.Unlock()
	defer close(l.done)
	timer := l.cfg.AfterFunc(idle, l.kick)
	defer timer.Stop()
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return
		}
		now := time.Now()
		l.awake, l.wakeAt = true, now.Add(idle)
		l.tick(now)
		solve := l.order.take(now, l.cfg.Recalc)
		if solve {
			l.edges = l.db.edges(l.edges[:0])
		} else if l.order.dirty {
			l.due(l.order.when(now))
		}
		l.awake = false
		next := l.wakeAt
		l.mu.Unlock()
		l.flush()
		if solve {
			l.solve()
			continue
		}
		timer.Reset(time.Until(next))
		<-l.wake
	}
}

// tick does what is due and notes what will be. The lock is held.
func (l *LinkState) tick(now time.Time) {
	l.age(now)
	for _, o := range l.own {
		l.tickOwn(o, now)
	}
	for _, p := range l.peers {
		l.tickPeer(p, now)
	}
	l.tickNudge(now)
	l.tickRecall(now)
	l.tickJoiner(now)
}

// age removes the links that were not repeated.
func (l *LinkState) age(now time.Time) {
	for e := l.db.oldest; e != nil; e = l.db.oldest {
		end := e.stamp.Add(l.cfg.Timeout)
		if now.Before(end) {
			l.due(end)
			return
		}
		if e.usable() {
			l.changed(now)
			l.lost(now, 0)
		}
		l.db.remove(e)
		l.count.aged++
	}
}

// due has the worker awake at a time. The lock is held.
func (l *LinkState) due(at time.Time) {
	if at.Before(l.wakeAt) {
		l.wakeAt = at
		if !l.awake {
			l.kick()
		}
	}
}

// kick wakes the worker.
func (l *LinkState) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// once logs what others do wrong the first time. The lock is held.
func (l *LinkState) once(what string, args ...any) {
	if !l.said[what] {
		l.said[what] = true
		l.log.Warn(what+"; this is said once, see the counters", args...)
	}
}

// Members are the members that are reached, by address; this one is not among
// them.
func (l *LinkState) Members() []wire.Addr {
	to := l.routes.Load().To
	all := make([]wire.Addr, 0, len(to))
	for a := range to {
		all = append(all, a)
	}
	slices.Sort(all)
	return all
}
