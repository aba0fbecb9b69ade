// Package connmgr connects components of an IPCP to those of other members of
// its layer. One flow of a layer below carries one connection; it begins with
// one message of each side (package wire/cep) and then belongs to the component.
//
//	        Connect, Dial                        components
//	             ▼                        Added ▲   ▲ Removed   │ Lost
//	┌────────────────────────── Switchboard ────┴───┴───────────▼──┐
//	│ links: asked for, dialled again       connections, accepted  │
//	│                                       and dialled            │
//	└─────────────┬─────────────────────────────────▲──────────────┘
//	              ▼ Host.Alloc                      │ Host.Accept
//
//	dialler                              acceptor
//	   │── own message ──────────────────► │ looks for the component
//	   │ ◄──────────── own message, or ────│
//	   │               the refusal         │
//	   │ component, protocol, version,     │ protocol, version,
//	   │ syntax as here?                   │ syntax as here?
//	   │◄═════ packets of the component ══►│
//
// Each side waits one second for the other's message. Flows of connections lose
// packets, so a dialler whose message or answer was lost tries again with a new
// flow, as long as its context lasts; the acceptor has closed the old one by
// then, or the component notices its end.
//
// What was asked for with Connect persists: when the component says that it is
// lost it is dialled again, with growing pauses, until Disconnect.
package connmgr

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/wire/cep"
)

// answerWait is how long either side waits for the message of the other. It is
// that of the C implementation.
const answerWait = time.Second

// Component is a part of an IPCP that is connected to its like in other members.
type Component interface {
	// Info is the message that is sent, as request and as reply. Its Component
	// is the name of the component and never changes.
	Info() cep.Message

	// Added takes a connection over: the exchange is done, and the peer agrees
	// in protocol, version and syntax. The component calls c.HandOver at some
	// time, and what came early is delivered then, or uses c.Recv and c.Send.
	// An error refuses: the flow is deallocated. Runs on a goroutine of its own
	// or of who called Connect, and must return soon.
	Added(c *Conn) error

	// Removed says that the connection ends, because of a Disconnect or of the
	// end of the IPCP. The flow is deallocated after it returns. It comes after
	// Added has returned nil, once, and not when the component has called
	// c.Lost or c.Close.
	Removed(c *Conn)
}

// Options are what a kind of IPCP chooses. The zero value is fine.
type Options struct {
	// Silence is the peer time-out of flows that are dialled with the preset
	// one (qos.DefaultTimeout), so that a silent neighbour is noticed earlier.
	// It travels in the request, and both ends keep to it. 0 = leave it.
	Silence time.Duration

	// Limit is the most accepted connections of one component; more are refused.
	// 0 = 4096.
	Limit int

	// Waiting is the most accepted flows whose message has not come yet; the
	// oldest of more is closed. 0 = 64.
	Waiting int
}

// Defaults of Options.
const (
	defaultLimit   = 4096
	defaultWaiting = 64
)

// Switchboard holds the connections of one IPCP. Its methods may be called from
// any goroutine.
type Switchboard struct {
	env    ipcp.Env
	log    *slog.Logger
	opts   Options
	ctx    context.Context // ends with the IPCP or with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines
	count  counters

	mu         sync.Mutex
	components map[string]Component
	conns      map[int]*Conn  // that a component has, by ID
	accepted   map[string]int // of those, accepted, by component
	links      []*link        // in the order of their Connect
	waiting    []*caller      // accepted, no message yet; oldest first
	lastID     int
	said       map[string]bool // what was logged
	closed     bool
	ended      chan struct{} // closed at the end of Close
}

// New makes a Switchboard without components.
func New(env ipcp.Env, opts Options) *Switchboard {
	if opts.Limit <= 0 {
		opts.Limit = defaultLimit
	}
	if opts.Waiting <= 0 {
		opts.Waiting = defaultWaiting
	}
	s := &Switchboard{
		env: env, log: env.Log, opts: opts,
		components: make(map[string]Component), conns: make(map[int]*Conn),
		accepted: make(map[string]int), said: make(map[string]bool), ended: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(env.Context)
	return s
}

// Register adds a component. It panics when its message cannot be sent or
// another one has its name.
func (s *Switchboard) Register(c Component) {
	info := c.Info()
	if info.Component == "" || info.Size() > cep.MaxSize {
		panic("connmgr: a component cannot be called " + info.Component)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.components[info.Component] != nil {
		panic("connmgr: there are two components " + info.Component)
	}
	s.components[info.Component] = c
}

// Start accepts connections from now on. Dial and Connect work before it, too.
func (s *Switchboard) Start() { s.spawn(s.accept) }

// component finds a component by its name.
func (s *Switchboard) component(name string) (Component, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.components[name]; c != nil {
		return c, nil
	}
	names := make([]string, 0, len(s.components))
	for n := range s.components {
		names = append(names, n)
	}
	slices.Sort(names)
	return nil, errno.New(errno.NotSup, "there is no component %q", name).Next("there are %q", names)
}

// spawn runs f on a goroutine that Close waits for; false when it is too late.
func (s *Switchboard) spawn(f func()) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.work.Add(1)
	s.mu.Unlock()
	s.env.Go(func() {
		defer s.work.Done()
		f()
	})
	return true
}

// within gives a context that ends with ctx, and with the Switchboard.
func (s *Switchboard) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// once logs what peers do wrong the first time.
func (s *Switchboard) once(what string, args ...any) {
	s.mu.Lock()
	said := s.said[what]
	s.said[what] = true
	s.mu.Unlock()
	if !said {
		s.log.Warn(what+"; this is said once, see the counters", args...)
	}
}

// errGone is why nothing is connected any more.
func errGone() error { return errno.New(errno.IPCP, "the IPCP is being destroyed") }

// Close ends everything: the components get Removed for their connections, the
// flows are deallocated, nothing is dialled or accepted any more. It returns
// when all goroutines have ended.
func (s *Switchboard) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.ended
		return
	}
	s.closed = true
	for _, l := range s.links {
		l.ended = true
	}
	s.links = nil
	var all []*Conn
	for _, c := range s.conns {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Conn) int { return a.id - b.id })
	s.mu.Unlock()
	s.cancel()
	for _, c := range all {
		c.remove()
	}
	for _, c := range all {
		<-c.done
	}
	s.work.Wait()
	close(s.ended)
}
