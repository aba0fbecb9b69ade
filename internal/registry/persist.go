package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"ouroboros/internal/errno"
)

// The pauses between two attempts at something that cannot be done yet. They
// double, and some chance keeps nodes that started together apart.
const (
	leastPause = time.Second
	mostPause  = 30 * time.Second
)

// persistent marks the contexts of attempts by Persist.
type persistent struct{}

// Persist calls try until it works. try does for the IPCP pid what the word
// says, as in `enroll with "n1"`; the neighbour that it takes may start later
// than this node, or stand behind a layer that comes up at the same time. So
// after a failure there is a pause, which ends early when an IPCP of the node
// has entered a layer or was connected. The first failure is logged, and the
// success after it.
//
// It gives the error of try when that can never work (a word of a
// configuration is wrong, the kind of IPCP cannot do it), and errno.IPCP when
// the IPCP has ended. An administrator's own attempt goes before that of
// Persist.
func (r *Registry) Persist(ctx context.Context, pid int, what string, try func(context.Context) error) error {
	e, err := r.lookupIPCP(pid)
	if err != nil {
		return because(err, "cannot %s", what)
	}
	return r.persist(ctx, e, what, try)
}

func (r *Registry) persist(ctx context.Context, e *ipcpEntry, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithCancel(context.WithValue(ctx, persistent{}, true))
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	begin := time.Now()
	for attempt, pause := 1, leastPause; ; attempt, pause = attempt+1, min(2*pause, mostPause) {
		news := r.newsSoFar()
		err := try(ctx)
		switch {
		case err == nil:
			if attempt > 1 {
				r.log.Info("done at last", "ipcp", e.name, "what", what, "attempts", attempt, "after", time.Since(begin).Round(time.Millisecond))
			}
			return nil
		case r.ctx.Err() != nil:
			return errClosed()
		case !r.lives(e):
			return errno.New(errno.IPCP, "cannot %s: the IPCP %q has ended", what, e.name)
		case ctx.Err() != nil:
			return ended(ctx, "cannot %s: it has not worked yet", what)
		case forGood(err):
			return err
		case attempt == 1:
			r.log.Warn("this cannot be done yet; it is tried again until it works", "ipcp", e.name, "what", what, "err", err)
		default:
			r.log.Debug("this cannot be done yet", "ipcp", e.name, "what", what, "attempts", attempt, "err", err)
		}
		t := time.NewTimer(pause + rand.N(pause/4))
		select {
		case <-t.C:
		case <-news:
		case <-e.ended:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

func (r *Registry) lives(e *ipcpEntry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.state == stateUp
}

// forGood reports whether an attempt that failed so fails always. What a peer
// says is not for good: it may be configured anew.
func forGood(err error) bool {
	for _, e := range []error{errno.Invalid, errno.NotSup, errno.IPCPType} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isPersistent reports whether ctx is that of an attempt by Persist.
func isPersistent(ctx context.Context) bool { return ctx.Value(persistent{}) != nil }

// newsSoFar gives a channel that is closed at the next change which may let
// something work that did not.
func (r *Registry) newsSoFar() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news
}

// stir tells those who wait for such a change. r.mu is held.
func (r *Registry) stir() {
	close(r.news)
	r.news = make(chan struct{})
}
