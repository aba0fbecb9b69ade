package udp

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"ouroboros/internal/errno"
)

// Times of registration with a DNS server.
const (
	recordTTL   = 10 * time.Minute // of a record; it is refreshed in half of it
	updateWait  = 4 * time.Second  // longest that an update may take
	retryFirst  = 5 * time.Second  // after an update that failed, doubled
	retryMost   = 5 * time.Minute
	goodbyeWait = 2 * time.Second // for all updates when the IPCP ends
)

// nameServer is a DNS server that takes updates: a dyndns.Client.
type nameServer interface {
	Register(ctx context.Context, name string, addr netip.Addr) error
	Unregister(ctx context.Context, name string, addr netip.Addr) error
	Lookup(ctx context.Context, name string, v6 bool) (addrs []netip.Addr, ttl time.Duration, err error)
}

// registrar keeps the names of an IPCP registered with a DNS server: it
// refreshes what is there and tries again what failed.
type registrar struct {
	l      *layer
	server nameServer
	where  string // the server, for texts

	mu     sync.Mutex
	names  map[string]*record // by hash
	timer  *time.Timer
	closed bool
}

// record is a name as the server knows it, or should.
type record struct {
	name   string
	due    time.Time // of the next update
	failed int       // updates in a row
	err    error     // of the last one
	busy   bool      // an update is running
	gone   bool      // it was unregistered meanwhile
}

func newRegistrar(l *layer, server nameServer, where string) *registrar {
	return &registrar{l: l, server: server, where: where, names: make(map[string]*record)}
}

// register registers a name. What the server refuses is an error; when it
// cannot be reached, the name is registered as soon as it can.
func (r *registrar) register(ctx context.Context, hash []byte) error {
	r.mu.Lock()
	rec := r.names[string(hash)]
	if rec == nil {
		rec = &record{name: dnsName(hash)}
		r.names[string(hash)] = rec
	}
	if rec.busy || r.closed {
		r.mu.Unlock()
		return nil
	}
	rec.busy = true
	r.mu.Unlock()
	err := r.update(ctx, rec)
	if err == nil || passing(err) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[string(hash)] == rec {
		delete(r.names, string(hash))
	}
	return err
}

// update registers a record and notes when it is due again. The record is
// busy.
func (r *registrar) update(ctx context.Context, rec *record) error {
	limited, cancel := context.WithTimeout(ctx, updateWait)
	err := r.server.Register(limited, rec.name, r.l.local.Addr())
	cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.busy = false
	first := err != nil && (rec.err == nil || rec.err.Error() != err.Error())
	rec.err = err
	wait := recordTTL / 2
	if err != nil {
		wait = min(retryFirst<<min(rec.failed, 10), retryMost)
		rec.failed++
	} else {
		rec.failed = 0
	}
	rec.due = time.Now().Add(wait)
	if first && passing(err) {
		r.l.i.log.Warn("a name is not registered with the DNS server yet; it is tried again", "error", err)
	}
	if rec.gone {
		r.l.i.env.Go(func() { r.withdraw(r.l.i.env.Context, rec.name) })
	} else {
		r.arm()
	}
	return err
}

// passing reports whether an error may be gone next time, unlike a refusal.
func passing(err error) bool {
	for _, no := range []error{errno.Perm, errno.AuthFailed, errno.NoEntry, errno.NotSup, errno.Invalid} {
		if errors.Is(err, no) {
			return false
		}
	}
	return err != nil
}

// arm sets the timer to the record that is due first. The lock is held.
func (r *registrar) arm() {
	var next time.Time
	for _, rec := range r.names {
		if !rec.busy && (next.IsZero() || rec.due.Before(next)) {
			next = rec.due
		}
	}
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if !next.IsZero() && !r.closed {
		r.timer = r.l.i.env.AfterFunc(max(time.Until(next), 0), r.refresh)
	}
}

// refresh updates what is due, one after the other.
func (r *registrar) refresh() {
	for {
		r.mu.Lock()
		var rec *record
		for _, at := range r.names {
			if !at.busy && !time.Now().Before(at.due) {
				rec = at
				break
			}
		}
		if rec == nil || r.closed {
			r.arm()
			r.mu.Unlock()
			return
		}
		rec.busy = true
		r.mu.Unlock()
		_ = r.update(r.l.i.env.Context, rec) // kept in the record
	}
}

// unregister takes a name back. When the server cannot be reached, the record
// stays there.
func (r *registrar) unregister(ctx context.Context, hash []byte) {
	r.mu.Lock()
	rec := r.names[string(hash)]
	delete(r.names, string(hash))
	running := false
	if rec != nil {
		rec.gone = true
		running = rec.busy // who updates it takes it back
	}
	r.mu.Unlock()
	if rec != nil && !running {
		limited, cancel := context.WithTimeout(ctx, updateWait)
		defer cancel()
		r.withdraw(limited, rec.name)
	}
}

func (r *registrar) withdraw(ctx context.Context, name string) {
	if err := r.server.Unregister(ctx, name, r.l.local.Addr()); err != nil {
		r.l.i.log.Warn("a name is left with the DNS server", "error", err)
	}
}

// close takes all names back, as far as there is time.
func (r *registrar) close() {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	var names []string
	for _, rec := range r.names {
		names = append(names, rec.name)
	}
	clear(r.names)
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeWait)
	defer cancel()
	for _, n := range names {
		if ctx.Err() != nil {
			r.l.i.log.Warn("names are left with the DNS server", "server", r.where)
			return
		}
		r.withdraw(ctx, n)
	}
}

// show describes the registrations.
func (r *registrar) show() map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	shown := map[string]any{"address": r.where, "names": len(r.names)}
	failing := 0
	for _, rec := range r.names {
		if rec.err != nil {
			failing++
			shown["error"] = rec.err.Error()
		}
	}
	shown["failing"] = failing
	return shown
}

// Find implements Finder.
func (r *registrar) Find(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	return r.server.Lookup(ctx, name, r.l.local.Addr().Is6())
}

func (r *registrar) String() string { return "the DNS server " + r.where }
