// Package local is the IPCP of a layer inside one node: it joins two owners of
// flows, be they processes or IPCPs, without a network.
//
//	client ── AllocFlow ──► local IPCP ── Arrive ──► host ──► server
//	client ◄──── one end of a flow.Pipe ... the other end ────► server
//
// A directory is not needed: a name is reachable if it is registered here. A
// refusal of the server is the result of the allocation, at once. Nothing is
// lost, damaged or reordered, and a slow receiver makes its own sender wait
// and nobody else. Deallocating one end tells the other after the last packet.
package local

import (
	"context"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
)

// MPL is the longest life of a packet that a local layer promises.
const MPL = 100 * time.Millisecond

// IPCP is a local IPCP.
type IPCP struct {
	ipcp.Unsupported
	env ipcp.Env

	mu    sync.Mutex
	names map[string]struct{} // hashes registered here
	flows map[*flow.Pipe]struct{}
	info  irm.LayerInfo
	done  bool
}

// New is the ipcp.Constructor of local IPCPs.
func New(env ipcp.Env) (ipcp.IPCP, error) {
	return &IPCP{env: env, names: make(map[string]struct{}), flows: make(map[*flow.Pipe]struct{})}, nil
}

// Bootstrap implements ipcp.IPCP. The hash algorithm is that of the
// configuration.
func (l *IPCP) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	if hash.Size(cfg.Hash) == 0 {
		return irm.LayerInfo{}, errno.New(errno.Invalid, "cannot make layer %q: no directory hash has number %d", cfg.Layer, cfg.Hash).
			Next("choose one of SHA3_224, SHA3_256, SHA3_384 and SHA3_512")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.info = irm.LayerInfo{Name: cfg.Layer, Hash: cfg.Hash}
	return l.info, nil
}

// Reg implements ipcp.IPCP.
func (l *IPCP) Reg(_ context.Context, hash []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[string(hash)] = struct{}{}
	return nil
}

// Unreg implements ipcp.IPCP.
func (l *IPCP) Unreg(_ context.Context, hash []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.names, string(hash))
	return nil
}

// Query implements ipcp.IPCP.
func (l *IPCP) Query(_ context.Context, hash []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.names[string(hash)]; !ok {
		return errno.New(errno.NameError, "layer %q does not know the name", l.info.Name)
	}
	return nil
}

// AllocFlow implements ipcp.IPCP.
func (l *IPCP) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	if err := l.Query(ctx, req.Hash); err != nil {
		return nil, err
	}
	offer, err := l.env.Host.Arrive(ctx, &ipcp.Request{Hash: req.Hash, QoS: req.QoS, Data: req.Data, MPL: MPL})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // the client has given up: nobody would answer the server
		offer.Fail(err)
		return nil, err
	}
	client, server, err := l.join(req)
	if err != nil {
		offer.Fail(err)
		return nil, err
	}
	data := offer.Data()
	offer.Complete(server)
	return &ipcp.Reply{Flow: client, Data: data, MPL: MPL}, nil
}

// join makes the two ends of a flow.
func (l *IPCP) join(req *ipcp.Request) (client, server *flow.Pipe, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return nil, nil, errno.New(errno.IPCP, "layer %q is gone", l.info.Name)
	}
	client, server = flow.NewPipe(flow.PipeOptions{
		QoS:   req.QoS,
		Spawn: l.env.Go,
		Done: func() {
			l.mu.Lock()
			delete(l.flows, client)
			l.mu.Unlock()
		},
	})
	l.flows[client] = struct{}{}
	return client, server, nil
}

// Show implements ipcp.IPCP.
func (l *IPCP) Show() map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[string]any{
		"directory": map[string]any{"names": len(l.names)},
		"flows":     map[string]any{"open": len(l.flows)},
	}
}

// Close implements ipcp.IPCP. Both ends of every flow get EventDealloc.
func (l *IPCP) Close() error {
	l.mu.Lock()
	l.done = true
	flows := l.flows
	l.flows = make(map[*flow.Pipe]struct{})
	l.mu.Unlock()
	for f := range flows {
		f.End(flow.EventDealloc)
	}
	return nil
}
