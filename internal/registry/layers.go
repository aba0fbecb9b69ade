package registry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
	"ouroboros/qos"
)

const (
	// queryTie is how long an answer to a query waits for that of an IPCP
	// which is preferred. It is paid by each allocation for which a preferred
	// layer does not know the name and is slow to say so.
	queryTie = 250 * time.Microsecond
	// queryWait is the longest that a directory may take.
	queryWait = 5 * time.Second
	// againWait is the shortest time between two requests of one allocation.
	againWait = 100 * time.Millisecond
)

// answer is what an IPCP said to a query.
type answer struct {
	e     *ipcpEntry
	hash  []byte
	rank  int  // in the registry's order
	knows bool // the name
	err   error

	silent int       // requests that nobody answered
	asked  time.Time // the last of them
}

// candidates gives the IPCPs that can be asked for the name, and the layers
// that cannot because they run over the IPCP that asks. r.mu is held.
func (r *Registry) candidates(h *Process, dst string) (asked []answer, above []string) {
	for _, e := range r.ipcps.sorted {
		switch self := h.proc.ipcp; {
		case e.state != stateUp || !e.joined || e.kind == irm.Broadcast || e == self:
		case self != nil && e.standsOn(self):
			above = append(above, e.layer.Name)
		default:
			asked = append(asked, answer{e: e, hash: hash.Sum(e.layer.Hash, dst), rank: len(asked)})
		}
	}
	return asked, above
}

// allocOut allocates through a layer: all are asked at the same time, and the
// flow is allocated in the first that knows the name; of those that answer at
// about the same moment, in the first of the registry's order. When that one
// turns out not to reach the name after all, the next is tried. A layer in
// which nobody answers the request comes round again behind the others, as
// long as ctx lasts: to know a name is not to reach it.
func (r *Registry) allocOut(ctx context.Context, h *Process, dst string, known bool, spec qos.Spec) (*Grant, error) {
	ctx, cancel := h.outward(ctx)
	defer cancel()

	r.mu.Lock()
	asked, above := r.candidates(h, dst)
	r.mu.Unlock()
	if len(asked) == 0 {
		return nil, errUnreachable(dst, known, nil, above)
	}
	if ctx.Err() != nil {
		return nil, h.endedOut(ctx, dst)
	}
	queries, stop := context.WithTimeout(ctx, queryWait)
	defer stop()
	poll, err := r.poll(queries, asked)
	if err != nil {
		return nil, err
	}
	for {
		q := poll.next(ctx)
		if ctx.Err() != nil {
			return nil, h.endedOut(ctx, dst)
		}
		if q == nil {
			return nil, errUnreachable(dst, known, poll.failed, above)
		}
		if wait := againWait - time.Since(q.asked); q.silent > 0 && wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil, h.endedOut(ctx, dst)
			}
		}
		q.asked = time.Now()
		g, err := r.request(ctx, h, q, dst, spec)
		switch {
		case err == nil:
			return g, nil
		case ctx.Err() != nil:
			return nil, h.endedOut(ctx, dst)
		case errors.Is(err, errno.Again):
			q.silent++
			poll.yes = append(poll.yes, *q)
		case elsewhere(err):
			q.err = err
			poll.failed = append(poll.failed, *q)
		default:
			return nil, err
		}
	}
}

// elsewhere reports whether an allocation that failed in one layer may succeed
// in another.
func elsewhere(err error) bool {
	for _, e := range []error{errno.NameError, errno.IPCP, errno.IPCPState, errno.MsgSize} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// poll is a question to several layers at the same time.
type poll struct {
	answers chan answer
	waiting []bool   // by rank: has not answered
	n       int      // of waiting
	yes     []answer // preferred first, once sorted
	failed  []answer
}

// poll asks whether the name is known. It is over when ctx is.
func (r *Registry) poll(ctx context.Context, asked []answer) (*poll, error) {
	p := &poll{answers: make(chan answer, len(asked)), waiting: make([]bool, len(asked)), n: len(asked)}
	for i := range p.waiting {
		p.waiting[i] = true
	}
	ask := func(q answer) {
		q.err = q.e.impl.Query(ctx, q.hash)
		q.knows = q.err == nil
		p.answers <- q
	}
	if len(asked) == 1 {
		ask(asked[0])
		return p, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosed()
	}
	for _, q := range asked {
		r.work.Go(func() { ask(q) })
	}
	return p, nil
}

// next waits for the next layer that knows the name, and then for a moment for
// a better one; nil when there is none, or when ctx has ended.
func (p *poll) next(ctx context.Context) *answer {
	var tie <-chan time.Time
	p.sort()
	for p.n > 0 && (len(p.yes) == 0 || p.yes[0].silent > 0 || slices.Contains(p.waiting[:p.yes[0].rank], true)) {
		if len(p.yes) > 0 && tie == nil {
			t := time.NewTimer(queryTie)
			defer t.Stop()
			tie = t.C
		}
		select {
		case q := <-p.answers:
			p.waiting[q.rank] = false
			p.n--
			if !q.knows {
				p.failed = append(p.failed, q)
				continue
			}
			p.yes = append(p.yes, q)
			p.sort()
			continue
		case <-tie:
		case <-ctx.Done():
			return nil
		}
		break
	}
	if len(p.yes) == 0 {
		return nil
	}
	q := p.yes[0]
	p.yes = p.yes[1:]
	return &q
}

// sort puts those first in which nobody was silent, or less often.
func (p *poll) sort() {
	slices.SortFunc(p.yes, func(a, b answer) int {
		return cmp.Or(cmp.Compare(a.silent, b.silent), cmp.Compare(a.rank, b.rank))
	})
}

// request makes one request for a flow in one layer.
func (r *Registry) request(ctx context.Context, h *Process, q *answer, dst string, spec qos.Spec) (*Grant, error) {
	attempt, err := r.client.Begin(dst, r.clientSecurity(dst))
	if err != nil {
		return nil, err
	}
	reply, err := q.e.impl.AllocFlow(ctx, &ipcp.Request{Hash: q.hash, QoS: spec, Data: attempt.Request()})
	if err != nil {
		attempt.Abandon()
		return nil, because(refusal(err, dst), "layer %q", q.e.layer.Name)
	}
	session, err := attempt.Complete(reply.Data)
	if err != nil {
		reply.Flow.Dealloc() // the server has a flow already
		r.mu.Lock()
		r.count.badResponses++
		r.mu.Unlock()
		return nil, because(err, "layer %q", q.e.layer.Name)
	}
	return r.carry(h, nil, q.e, dst, reply.Flow, spec, reply.MPL, session)
}

// endedOut is for an allocation whose ctx ended among the layers.
func (h *Process) endedOut(ctx context.Context, dst string) error {
	r := h.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := h.alive(); err != nil {
		return err
	}
	r.count.timedOut++
	return ended(ctx, "no layer answered for it in time")
}

// errUnreachable is for a name to which no layer has a way.
func errUnreachable(dst string, known bool, failed []answer, above []string) error {
	// A layer that had said yes knows most, then one that could not work; those
	// that have never heard of the name come last.
	for _, f := range failed {
		if f.knows {
			return because(f.err, "no layer reaches it")
		}
	}
	for _, f := range failed {
		if !errors.Is(f.err, errno.NameError) && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return because(f.err, "no layer reaches it")
		}
	}
	if len(above) > 0 {
		sentinel := errno.NameError
		if known {
			sentinel = errno.IPCP
		}
		return errno.New(sentinel, "no layer below knows it; not asked were those that run over this IPCP: %s", strings.Join(above, ", "))
	}
	if !known {
		return errno.New(errno.NameError, "nobody knows that name: neither this node nor a layer that it is in").
			Next("look for a typing error, or make it reachable at the server with: irm name register %s layer LAYER", dst)
	}
	return errno.New(errno.IPCP, "no process here is bound to it, and no layer knows it").
		Next("start a server that is bound to it: irm bind program PROGRAM name %s", dst)
}
