package ipcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/irm"
	"ouroboros/qos"
)

// closeWait is how long Close waits for an IPCP that does not end, failedWait
// for one that has failed and may have left its locks behind.
const (
	closeWait  = 10 * time.Second
	failedWait = time.Second
)

// Guard is the wall round one IPCP. It makes the checks of Machine, and a
// panic inside the wall fails that IPCP and nothing else: the panicking call
// answers errno.IPCP, its flows report EventDown and EventDealloc, the flows
// that it used are deallocated, and the host is told.
//
//	       host            users of its flows
//	        │ methods        │ Send      ▲ Receive
//	┌───────▼────────────────▼───────────┼──────┐
//	│ Guard            the IPCP, its goroutines │
//	│                  and timers               │
//	└───────┬────────────────┬───────────▲──────┘
//	        ▼ Host           ▼ Send      │ Receive
//	                  flows of lower layers
//
// Every line that goes in is guarded; one that goes out leaves the
// responsibility to whom it reaches, who has a Guard of his own. What cannot
// be caught are the fatal errors of the runtime (a concurrent map write, no
// memory).
type Guard struct {
	kind    irm.IPCPType
	id      Identity
	log     *slog.Logger
	machine *Machine
	inner   IPCP
	onFail  func(error)

	ctx    context.Context
	cancel context.CancelFunc
	broken atomic.Bool // failed or closed: data path calls stop at the wall
	down   chan struct{}

	mu      sync.Mutex
	cause   error // of the failure
	closing bool
	inside  int           // goroutines and calls inside the wall
	empty   chan struct{} // closed when closing and nothing is inside
	upper   map[*upperFlow]struct{}
	lower   map[*lowerFlow]struct{}

	closeOnce sync.Once
	closeErr  error
	cleaned   chan struct{} // closed when a failure has been cleaned up
}

// Start makes an IPCP behind its Guard. env gives Identity, Host and Log; the
// Guard fills in the rest. onFail is called once, on a goroutine of its own,
// if the IPCP fails; it may be nil. Close waits for it.
func Start(kind irm.IPCPType, build Constructor, env Env, onFail func(err error)) (*Guard, error) {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Context == nil {
		env.Context = context.Background()
	}
	env.Log = env.Log.With("ipcp", env.Identity.Name, "pid", env.Identity.PID)
	g := &Guard{
		kind: kind, id: env.Identity, log: env.Log, onFail: onFail,
		machine: NewMachine(kind, env.Identity.Name),
		down:    make(chan struct{}), empty: make(chan struct{}), cleaned: make(chan struct{}),
		upper: make(map[*upperFlow]struct{}), lower: make(map[*lowerFlow]struct{}),
	}
	g.ctx, g.cancel = context.WithCancel(env.Context)
	env.Context = g.ctx
	env.Host = guardedHost{g, env.Host}
	env.Go = g.start
	env.AfterFunc = g.afterFunc
	err := g.run(g.ctx, func(context.Context) (err error) {
		g.inner, err = build(env)
		return err
	})
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// State is the present state, Layer what the IPCP learned of its layer.
func (g *Guard) State() State         { return g.machine.State() }
func (g *Guard) Layer() irm.LayerInfo { return g.machine.Layer() }

// Cause is why the IPCP failed; nil if it has not.
func (g *Guard) Cause() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause
}

// enter counts a goroutine in; false when the IPCP has ended. Each success is
// followed by one leave.
func (g *Guard) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.inside++
	return true
}

func (g *Guard) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closing && g.inside == 0 {
		close(g.empty)
	}
}

// start is Env.Go.
func (g *Guard) start(f func()) {
	if !g.enter() {
		return
	}
	go func() {
		defer g.leave()
		defer g.catch(nil)
		f()
	}()
}

// afterFunc is Env.AfterFunc.
func (g *Guard) afterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if g.broken.Load() || !g.enter() {
			return
		}
		defer g.leave()
		defer g.catch(nil)
		f()
	})
}

// catch is deferred at every way into the wall. It turns a panic into a
// failure, and *err into its answer.
func (g *Guard) catch(err *error) {
	r := recover()
	if r == nil {
		return
	}
	cause := g.fail(r)
	if err != nil {
		*err = cause
	}
}

// fail ends the IPCP because of a panic. It does not wait: it may be running
// under any lock of the IPCP, and in the middle of anybody's batch.
func (g *Guard) fail(panicked any) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cause != nil {
		return g.cause
	}
	g.cause = errno.New(errno.IPCP, "IPCP %q has failed: %v", g.id.Name, panicked).
		Next("destroy it and create it again")
	g.log.Error("the IPCP has failed", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
	g.machine.Fail(g.cause)
	g.broken.Store(true)
	g.cancel()
	close(g.down)
	if !g.closing { // else Close has cleaned up, and the host knows
		go g.cleanUp(g.cause)
	}
	return g.cause
}

// cleanUp does what a failed IPCP cannot do any more. Close waits for it.
func (g *Guard) cleanUp(cause error) {
	defer close(g.cleaned)
	g.release(flow.EventDown, flow.EventDealloc)
	if g.onFail != nil {
		g.onFail(cause)
	}
}

// release ends all flows of the IPCP towards its users with the events, and
// deallocates those that it used.
func (g *Guard) release(events ...flow.Event) {
	g.mu.Lock()
	upper, lower := g.upper, g.lower
	g.upper, g.lower = nil, nil
	g.mu.Unlock()
	for f := range upper {
		f.end(events)
	}
	for f := range lower {
		f.Flow.Dealloc()
	}
}

// run calls f inside the wall and gives its error. It does not wait for f when
// the IPCP fails meanwhile: a panic may have left a lock behind that f waits
// for.
func (g *Guard) run(ctx context.Context, f func(ctx context.Context) error) error {
	if !g.enter() {
		return g.gone()
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.ctx, cancel)
	done := make(chan error, 1)
	go func() {
		defer g.leave()
		defer cancel()
		defer stop()
		var err error
		defer func() { done <- err }()
		defer g.catch(&err)
		err = f(ctx)
	}()
	select {
	case err := <-done:
		if err != nil && g.ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return g.gone()
		}
		return err
	case <-g.down:
		return g.gone()
	}
}

// gone is why nothing can be asked of the IPCP any more.
func (g *Guard) gone() error {
	if cause := g.Cause(); cause != nil {
		return cause
	}
	return errno.New(errno.IPCP, "IPCP %q is gone", g.id.Name)
}

// Bootstrap implements IPCP.
func (g *Guard) Bootstrap(ctx context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	return g.join(ctx, OpBootstrap, func(ctx context.Context) (irm.LayerInfo, error) {
		return g.inner.Bootstrap(ctx, cfg)
	})
}

// Enroll implements IPCP.
func (g *Guard) Enroll(ctx context.Context, dst string) (irm.LayerInfo, error) {
	return g.join(ctx, OpEnroll, func(ctx context.Context) (irm.LayerInfo, error) {
		return g.inner.Enroll(ctx, dst)
	})
}

func (g *Guard) join(ctx context.Context, op Op, f func(context.Context) (irm.LayerInfo, error)) (irm.LayerInfo, error) {
	if err := g.machine.Begin(op); err != nil {
		return irm.LayerInfo{}, err
	}
	err := g.run(ctx, func(ctx context.Context) error {
		info, err := f(ctx)
		g.machine.End(info, err)
		return err
	})
	if err != nil {
		g.machine.End(irm.LayerInfo{}, err)
		return irm.LayerInfo{}, err
	}
	return g.machine.Layer(), nil
}

// Connect implements IPCP.
func (g *Guard) Connect(ctx context.Context, component, dst string, spec qos.Spec) error {
	if err := g.machine.Check(OpConnect); err != nil {
		return err
	}
	return g.run(ctx, func(ctx context.Context) error { return g.inner.Connect(ctx, component, dst, spec) })
}

// Disconnect implements IPCP.
func (g *Guard) Disconnect(ctx context.Context, component, dst string) error {
	if err := g.machine.Check(OpConnect); err != nil {
		return err
	}
	return g.run(ctx, func(ctx context.Context) error { return g.inner.Disconnect(ctx, component, dst) })
}

// Reg implements IPCP.
func (g *Guard) Reg(ctx context.Context, hash []byte) error {
	return g.withHash(ctx, OpReg, hash, IPCP.Reg)
}

// Unreg implements IPCP.
func (g *Guard) Unreg(ctx context.Context, hash []byte) error {
	return g.withHash(ctx, OpReg, hash, IPCP.Unreg)
}

// Query implements IPCP.
func (g *Guard) Query(ctx context.Context, hash []byte) error {
	return g.withHash(ctx, OpQuery, hash, IPCP.Query)
}

func (g *Guard) withHash(ctx context.Context, op Op, hash []byte, f func(IPCP, context.Context, []byte) error) error {
	if err := g.machine.CheckHash(op, hash); err != nil {
		return err
	}
	return g.run(ctx, func(ctx context.Context) error { return f(g.inner, ctx, hash) })
}

// AllocFlow implements IPCP.
func (g *Guard) AllocFlow(ctx context.Context, req *Request) (*Reply, error) {
	if err := g.machine.CheckHash(OpAlloc, req.Hash); err != nil {
		return nil, err
	}
	var reply *Reply
	err := g.run(ctx, func(ctx context.Context) error {
		r, err := g.inner.AllocFlow(ctx, req)
		if err == nil {
			r.Flow, err = g.give(r.Flow)
		}
		if err == nil {
			reply = r
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// Join implements IPCP.
func (g *Guard) Join(ctx context.Context, hash []byte) (flow.Flow, error) {
	if err := g.machine.CheckHash(OpJoin, hash); err != nil {
		return nil, err
	}
	var joined flow.Flow
	err := g.run(ctx, func(ctx context.Context) error {
		f, err := g.inner.Join(ctx, hash)
		if err == nil {
			joined, err = g.give(f)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return joined, nil
}

// Show implements IPCP.
func (g *Guard) Show() map[string]any {
	var shown map[string]any
	err := g.run(g.ctx, func(context.Context) error {
		shown = g.inner.Show()
		return nil
	})
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return shown
}

// Close implements IPCP. An IPCP that does not end within ten seconds, or
// one if it has failed, is left behind with an error.
func (g *Guard) Close() error {
	g.closeOnce.Do(func() { g.closeErr = g.close() })
	return g.closeErr
}

func (g *Guard) close() error {
	g.machine.Close()
	g.cancel()
	wait := closeWait
	if g.Cause() != nil {
		wait = failedWait
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	var err error
	closed := make(chan struct{})
	if g.inner != nil && g.enter() {
		go func() {
			defer g.leave()
			defer close(closed)
			defer g.catch(&err)
			err = g.inner.Close()
		}()
		select {
		case <-closed:
		case <-late.C:
			late.Reset(0)
		}
	}
	g.broken.Store(true)
	g.release(flow.EventDealloc)

	g.mu.Lock()
	g.closing = true
	if g.inside == 0 {
		close(g.empty)
	}
	if g.cause == nil {
		close(g.cleaned) // there is nothing to clean up, and nobody to do it
	}
	g.mu.Unlock()
	for _, ended := range []chan struct{}{g.empty, g.cleaned} {
		select {
		case <-ended:
		case <-late.C:
			g.log.Error("the IPCP does not end; some of it is left behind")
			return errno.New(errno.IPCP, "IPCP %q did not end within %v", g.id.Name, wait)
		}
	}
	return err
}
