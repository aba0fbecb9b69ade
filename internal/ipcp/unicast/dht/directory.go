package dht

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/packet"
	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// Network carries packets between the members of the layer. Its methods may be
// called from any goroutine and do not block.
type Network interface {
	// Own is the address of this member.
	Own() wire.Addr
	// Send passes payloads to an endpoint of dst and says how many it took. What
	// is taken may still be lost.
	Send(dst wire.Addr, cube uint8, eid uint64, batch []*packet.Buffer) (taken int)
	// HasRoute reports whether packets to dst can leave.
	HasRoute(dst wire.Addr) bool
	// Register sets who receives for an endpoint, headers in front.
	Register(eid uint64, receive func(batch []*packet.Buffer))
}

// Config is what a Directory is made from.
type Config struct {
	Net     Network
	HashLen int // bytes: 28, 32, 48 or 64

	Alpha, K int // requests at a time, members that hold a value; 0 = 3 and 8

	// Life of a registration, time after which a part of the table is refreshed,
	// and after which registrations are stored again. 0 = 24 h, 15 min, 15 min.
	Expire, Refresh, Replicate time.Duration

	Peer    wire.Addr          // who enrolled this member; 0: nobody
	Members func() []wire.Addr // that the routing can reach; nil: it is not known

	Log       *slog.Logger
	Go        func(f func())
	AfterFunc func(d time.Duration, f func()) *time.Timer
}

// Defaults and the most that can be configured.
const (
	defaultAlpha, maxAlpha = 3, 10
	defaultK, maxK         = 8, 20
	defaultExpire          = 24 * time.Hour
	defaultRefresh         = 15 * time.Minute
	defaultReplicate       = 15 * time.Minute

	queueLen = 1024 // packets that have arrived
)

// Directory is the directory of one member. Reg, Unreg, Query, Failed and Show
// wait until it has been started.
type Directory struct {
	net                        Network
	own                        wire.Addr
	id                         key
	src                        codec.Contact
	alpha, k                   int
	expire, refresh, replicate time.Duration
	enroller                   wire.Addr
	listMembers                func() []wire.Addr
	log                        *slog.Logger
	spawn                      func(func())
	afterFunc                  func(time.Duration, func()) *time.Timer

	life  atomic.Int32 // made, running, ended
	in    chan *packet.Buffer
	calls chan func()
	wake  chan struct{} // the time of the next alarm has come
	moved chan struct{} // routes have changed
	done  chan struct{} // closed by Close
	ended chan struct{} // closed when the goroutine has ended
	full  atomic.Uint64 // packets dropped because in was full

	// The rest belongs to the goroutine.
	now     time.Time
	started time.Time
	agenda  agenda
	timer   *time.Timer
	timerAt time.Time
	one     [1]*packet.Buffer
	message codec.Message
	warned  map[string]struct{}
	count   counters

	peers    map[wire.Addr]*peer
	table    *table
	members  map[wire.Addr]struct{} // other members that the routing knows
	requests map[uint64]*request
	rtt      time.Duration // smoothed, of all
	pings    pace

	lonely      int
	explored    time.Time
	helloAlarm  *alarm
	routesAlarm *alarm

	lookups map[what]*lookup
	results map[key]*results
	failed  map[registration]time.Time

	strangers pace
	helps     pace
	helping   int               // lookups that others wait for
	rests     map[key]time.Time // keys that were not found for others

	names      map[key]*name
	values     *values
	spreads    pace
	outbox     outbox
	publishing map[registration]struct{}
	toPublish  []registration
	publishers int
}

// New makes a Directory. Its id is drawn now.
func New(cfg Config) *Directory {
	d := &Directory{
		net: cfg.Net, own: cfg.Net.Own(), id: randomKey(cfg.HashLen),
		alpha: within(cfg.Alpha, defaultAlpha, maxAlpha), k: within(cfg.K, defaultK, maxK),
		expire: or(cfg.Expire, defaultExpire), refresh: or(cfg.Refresh, defaultRefresh), replicate: or(cfg.Replicate, defaultReplicate),
		enroller: cfg.Peer, listMembers: cfg.Members, log: cfg.Log, spawn: cfg.Go, afterFunc: cfg.AfterFunc,

		in: make(chan *packet.Buffer, queueLen), calls: make(chan func()),
		wake: make(chan struct{}, 1), moved: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}),

		warned: make(map[string]struct{}), peers: make(map[wire.Addr]*peer), requests: make(map[uint64]*request),
		lookups: make(map[what]*lookup), results: make(map[key]*results), failed: make(map[registration]time.Time),
		rests: make(map[key]time.Time), names: make(map[key]*name), values: newValues(), publishing: make(map[registration]struct{}),
	}
	d.src = codec.Contact{ID: []byte(d.id), Addr: d.own}
	d.table = newTable(d.id, d.k)
	d.outbox.queued = make(map[delivery]struct{})
	if d.enroller == d.own || !d.enroller.Valid() {
		d.enroller = 0
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.spawn == nil {
		d.spawn = func(f func()) { go f() }
	}
	if d.afterFunc == nil {
		d.afterFunc = time.AfterFunc
	}
	return d
}

func within(n, other, most int) int {
	if n <= 0 {
		return other
	}
	return min(n, most)
}

func or(t, other time.Duration) time.Duration {
	if t <= 0 {
		return other
	}
	return t
}

// The lives of a Directory.
const (
	made int32 = iota
	running
	over
)

// Start registers the directory with the network and begins to look for others.
func (d *Directory) Start() {
	d.spawn(d.run)
	d.net.Register(wire.EIDDirectory, d.Receive)
}

// Close ends the directory and waits for it. Who waits for an answer gets an
// error.
func (d *Directory) Close() {
	if d.life.CompareAndSwap(made, over) { // it has not begun, and will not
		close(d.done)
		close(d.ended)
		return
	}
	if d.life.CompareAndSwap(running, over) {
		close(d.done)
	}
	<-d.ended
}

// Receive takes packets of the endpoint, with their headers. It does not block.
func (d *Directory) Receive(batch []*packet.Buffer) {
	for _, b := range batch {
		select {
		case d.in <- b:
		default:
			d.full.Add(1)
			b.Release()
		}
	}
}

// RoutesChanged says that the members that can be reached may be others now. It
// does not block and may be called often.
func (d *Directory) RoutesChanged() {
	select {
	case d.moved <- struct{}{}:
	default:
	}
}

// Reg registers a name at this member. It does not wait until others know it.
func (d *Directory) Reg(ctx context.Context, hash []byte) (err error) {
	if err := d.checkHash(hash); err != nil {
		return err
	}
	k := key(hash)
	if e := d.call(ctx, func() { err = d.register(k) }); e != nil {
		return e
	}
	return err
}

// Unreg ends a registration. Other members forget it when it is not renewed,
// within twice the time of replication and half a minute.
func (d *Directory) Unreg(ctx context.Context, hash []byte) error {
	if err := d.checkHash(hash); err != nil {
		return err
	}
	k := key(hash)
	return d.call(ctx, func() { d.unregister(k) })
}

// Query gives the other members where a name is registered: those that can be
// reached and have not failed first, in random order. It fails with
// errno.NameError when nobody has it, errno.TimedOut when nobody answers,
// errno.NoBufs when too much is asked at a time, and with the error of ctx. It
// takes two seconds at most.
func (d *Directory) Query(ctx context.Context, hash []byte) ([]wire.Addr, error) {
	if err := d.checkHash(hash); err != nil {
		return nil, err
	}
	k := key(hash)
	q := &question{answer: make(chan result, 1)}
	if err := d.call(ctx, func() { d.query(k, q) }); err != nil {
		return nil, err
	}
	select {
	case r := <-q.answer:
		return r.addrs, r.err
	case <-ctx.Done():
		_ = d.call(context.Background(), func() { d.leave(q) }) // or all questions have ended
		return nil, ctx.Err()
	case <-d.ended:
		return nil, errClosed()
	}
}

// Failed says that nobody answered for a name at an address that Query gave. It
// is tried last for a while.
func (d *Directory) Failed(hash []byte, a wire.Addr) {
	if d.checkHash(hash) != nil {
		return
	}
	k := key(hash)
	_ = d.call(context.Background(), func() { d.failedAt(k, a) }) // nothing is lost when it has ended
}

func (d *Directory) checkHash(hash []byte) error {
	if len(hash) != len(d.id) {
		return errno.New(errno.Invalid, "a hash of %d bytes where the layer has %d", len(hash), len(d.id))
	}
	return nil
}

func errClosed() error { return errno.New(errno.IPCPState, "the directory of the layer has ended") }
