package registry

import (
	"context"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// ipcpOwner owns the ends of an IPCP's flows.
type ipcpOwner struct{ id ipcp.Identity }

func (o ipcpOwner) OwnerName() string   { return o.id.Name }
func (o ipcpOwner) IPCP() ipcp.Identity { return o.id }

// host is what an IPCP may ask of the node.
type host struct {
	e     *ipcpEntry
	ready chan struct{} // closed when the IPCP is a process of the node
}

var (
	_ ipcp.Host = (*host)(nil)
	_ Failure   = (*host)(nil)
	_ FlowOwner = ipcpOwner{}
)

// handle waits until the IPCP has been announced.
func (t *host) handle(ctx context.Context) (*Process, error) {
	select {
	case <-t.ready:
		return t.e.handle, nil
	case <-ctx.Done():
		return nil, ended(ctx, "the IPCP has not started yet")
	case <-t.e.r.ctx.Done():
		return nil, errClosed()
	}
}

// Alloc implements ipcp.Host.
func (t *host) Alloc(ctx context.Context, dst string, spec qos.Spec) (flow.Flow, error) {
	h, err := t.handle(ctx)
	if err != nil {
		return nil, err
	}
	g, err := h.Alloc(ctx, dst, spec)
	if err != nil {
		return nil, err
	}
	return h.lend(g), nil
}

// Accept implements ipcp.Host.
func (t *host) Accept(ctx context.Context) (flow.Flow, qos.Spec, error) {
	h, err := t.handle(ctx)
	if err != nil {
		return nil, qos.Spec{}, err
	}
	g, err := h.Accept(ctx)
	if err != nil {
		return nil, qos.Spec{}, err
	}
	return h.lend(g), g.QoS, nil
}

// Failed implements Failure. Whoever guards the IPCP has brought its flows
// down.
func (t *host) Failed(err error) {
	r := t.e.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.e.state != stateUp {
		return
	}
	t.e.state = stateFailed
	r.count.ipcpFailed++
	for n := range t.e.regs {
		delete(n.regs, t.e) // e.regs stays, for the next start of the node
	}
	r.publish(irm.Event{Kind: "ipcp", Action: "failed", Name: t.e.name, PID: t.e.pid, Layer: t.e.layer.Name, Detail: err.Error()})
}

// Arrive implements ipcp.Host: it checks a request that came from the layer,
// finds a server for it, waiting as an allocation of this node does, and
// reserves its accept. A request that is not to be served takes no accept.
//
//	refused with  because
//	1007 ENAME    no name here has the hash, or not in this layer
//	1009 EAUTH    the request is not of now, or came before, or its client is
//	              not trusted
//	1008 ECRYPT   the two sides do not agree on encryption
//	1003 EIPCP    no process that is bound to the name accepts
//	110           ctx has ended
//	1002, 1004    the node or the IPCP has ended
//	105           a limit of the node is reached
func (t *host) Arrive(ctx context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	arrived := time.Now()
	r, e := t.e.r, t.e
	if _, err := t.handle(ctx); err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.cfg.AllocTimeout)
		defer cancel()
	}
	n, err := t.wanted(req)
	if err != nil {
		return nil, err
	}
	accepted, err := r.server.Check(n.info.Name, r.serverSecurity(n), req.Data, arrived)
	if err != nil {
		r.mu.Lock()
		r.count.denied++
		t.refuse(n, err)
		r.mu.Unlock()
		r.sayDenied(n, e, err)
		return nil, err
	}
	r.mu.Lock()
	not := e.shuns()
	a, err := r.reserve(ctx, &request{n: n, not: not}, e.handle.ctx.Done())
	if err == nil && a == nil {
		err = errno.New(errno.IPCP, "no process is bound to %q", n.info.Name)
	}
	if err != nil {
		t.refuse(n, err)
		r.mu.Unlock()
		accepted.Abandon()
		return nil, err
	}
	r.mu.Unlock()
	data, session, err := accepted.Respond()
	if err != nil {
		r.mu.Lock()
		r.putBack(a, n)
		t.refuse(n, err)
		r.mu.Unlock()
		return nil, err
	}
	return &offer{r: r, e: e, n: n, not: not, a: a, data: data, session: session, spec: req.QoS, mpl: req.MPL}, nil
}

// wanted finds the name of an arrived request.
func (t *host) wanted(req *ipcp.Request) (*serviceName, error) {
	r, e := t.e.r, t.e
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.arrived++
	if r.closed {
		return nil, errClosed()
	}
	if e.state != stateUp {
		return nil, errno.New(errno.IPCPState, "the IPCP %q has ended", e.name)
	}
	n := r.nameOfHash(e.algo(), req.Hash)
	if n == nil {
		r.count.unknownHash++
		return nil, errno.New(errno.NameError, "no name of this node has the hash %x", req.Hash)
	}
	if !n.in(e) {
		r.count.unknownHash++
		return nil, errno.New(errno.NameError, "the name %q is not registered in layer %q", n.info.Name, e.layer.Name)
	}
	return n, nil
}

// refuse counts and tells an arrived request that is not served. r.mu is held.
func (t *host) refuse(n *serviceName, err error) {
	t.e.r.count.refused++
	t.e.r.publish(irm.Event{Kind: "flow", Action: "refused", Name: n.info.Name, PID: t.e.pid, Layer: t.e.layer.Name, Detail: err.Error()})
}

// algo is the algorithm of the layer: while the IPCP is still being
// bootstrapped, that of its kind. r.mu is held.
func (e *ipcpEntry) algo() irm.HashAlgo {
	if e.joined {
		return e.layer.Hash
	}
	return algoOf(e.kind, irm.SHA3_256)
}

// offer is an arrived request with the accept that is reserved for it.
type offer struct {
	r *Registry
	e *ipcpEntry
	n *serviceName
	a *Accept

	not     shunned
	data    []byte       // the response
	session *oap.Session // that it completes
	spec    qos.Spec
	mpl     time.Duration
}

// Data implements ipcp.Offer.
func (o *offer) Data() []byte { return o.data }

// Complete implements ipcp.Offer. If the process has left meanwhile the flow
// goes to another that accepts, or is deallocated.
func (o *offer) Complete(f flow.Flow) {
	r := o.r
	r.mu.Lock()
	if !o.a.usable() {
		o.a = o.n.take(o.not)
	}
	a := o.a
	r.mu.Unlock()
	if a == nil {
		o.session.Key.Wipe()
		f.Dealloc()
		return
	}
	if _, err := r.carry(a.by, a, o.e, o.n.info.Name, f, o.spec, o.mpl, o.session); err != nil {
		r.log.Warn("an arrived flow could not be handed to its process", "name", o.n.info.Name, "pid", a.by.PID(), "err", err)
		r.mu.Lock()
		r.putBack(a, o.n)
		r.mu.Unlock()
	}
}

// Fail implements ipcp.Offer.
func (o *offer) Fail(err error) {
	o.session.Key.Wipe()
	r := o.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.refused++
	r.putBack(o.a, o.n)
	r.publish(irm.Event{Kind: "flow", Action: "refused", Name: o.n.info.Name, PID: o.e.pid, Layer: o.e.layer.Name, Detail: err.Error()})
}
