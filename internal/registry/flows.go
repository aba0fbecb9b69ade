package registry

import (
	"cmp"
	"context"
	"slices"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// directMPL is the longest life of a packet between two processes of the node.
const directMPL = time.Millisecond

// record is a flow of the node: between two of its processes, or between one
// and a layer.
//
// Both ends know a direct flow by the same id, except when one handle holds
// both: then the client's end has an id of its own, so that Dealloc says which
// end it means. r.mu guards it.
type record struct {
	id, id2        int // id2 is the client's own, 0 when there is none
	name           string
	client, server *held // nil: on another node, or deallocated
	clientPID      int
	serverPID      int
	carrier        *ipcpEntry // nil for a direct flow
	carried        flow.Flow  // by it, as its user sees it
	spec           qos.Spec
	mpl            time.Duration
	since          time.Time
	session        *oap.Session // of the exchange with the other side; nil when there was none
}

// held is one end of a flow in the hands of a process.
type held struct {
	rec *record
	id  int
	by  *Process
	end End
}

// hold gives an end to a process. r.mu is held.
func (h *Process) hold(rec *record, id int, end End) *held {
	x := &held{rec: rec, id: id, by: h, end: end}
	h.ends[id] = x
	h.proc.nFlows++
	h.r.userFlows[h.proc.id.UID]++
	return x
}

// takeIDs gives the ids of a new flow; the second is 0 unless wanted. r.mu is
// held.
func (r *Registry) takeIDs(two bool) (id, id2 int, err error) {
	if len(r.flows) < r.cfg.Limits.Flows {
		var ok bool
		if id, ok = r.ids.take(); ok && two {
			if id2, ok = r.ids.take(); !ok {
				r.ids.free(id)
			}
		}
		if ok {
			return id, id2, nil
		}
	}
	r.count.limit++
	return 0, 0, errno.New(errno.NoBufs, "the node has %d flows, and may not have more", len(r.flows)).Next("deallocate some")
}

func (r *Registry) freeIDs(id, id2 int) {
	r.ids.free(id)
	if id2 != 0 {
		r.ids.free(id2)
	}
}

// release takes an end from its process, and gives the end of the peer when
// that is a process of this node which still holds it. The flow is gone with
// its last end. r.mu is held.
func (r *Registry) release(x *held) (peer End) {
	rec := x.rec
	delete(x.by.ends, x.id)
	x.by.proc.nFlows--
	if uid := x.by.proc.id.UID; r.userFlows[uid] > 1 {
		r.userFlows[uid]--
	} else {
		delete(r.userFlows, uid)
	}
	if rec.client == x {
		rec.client = nil
	} else {
		rec.server = nil
	}
	switch {
	case rec.client != nil:
		return rec.client.end
	case rec.server != nil:
		return rec.server.end
	}
	delete(r.flows, rec.id)
	r.freeIDs(rec.id, rec.id2)
	if rec.carrier != nil {
		delete(rec.carrier.flows, rec)
	}
	r.count.deallocated++
	if len(r.watchers) > 0 {
		r.publish(irm.Event{Kind: "flow", Action: "deallocated", Name: rec.name, PID: x.by.proc.id.PID, FlowID: rec.id, Layer: rec.layer()})
	}
	return nil
}

func (rec *record) layer() string {
	if rec.carrier == nil {
		return ""
	}
	return rec.carrier.layer.Name
}

// Dealloc says that the process is done with a flow: its end is closed, and
// the other end gets EventDealloc. ErrNotAlloc when the process does not hold
// a flow of this id.
func (h *Process) Dealloc(id int) error {
	r := h.r
	r.mu.Lock()
	x := h.ends[id]
	if x == nil {
		r.count.notOwned++
		r.mu.Unlock()
		return errno.New(errno.NotAlloc, "cannot deallocate flow %d: process %d does not hold it", id, h.pid)
	}
	peer := r.release(x)
	r.mu.Unlock()
	// The end is closed first: what it still has to pass on comes before the
	// word that nothing more will.
	x.end.Close()
	if peer != nil {
		peer.Event(flow.EventDealloc)
	}
	return nil
}

// join makes the flow between a client and the reserved accept of a server.
// again says that the server went away meanwhile and another must be found.
// What the files of the name demand holds here as over a layer.
// r.mu is held at the call and not at the return.
func (r *Registry) join(h *Process, a *Accept, n *serviceName, spec qos.Spec) (g *Grant, again bool, err error) {
	s := a.by
	id, id2, err := r.takeIDs(s == h)
	if err != nil {
		r.putBack(a, n)
		r.mu.Unlock()
		return nil, false, err
	}
	client, server := r.bothSides(n)
	r.mu.Unlock()

	var endC, endS End
	session, err := oap.Direct(&r.client, r.server, n.info.Name, client, server)
	if err == nil {
		endC, endS, err = r.cfg.Fabric.Direct(h.owner, s.owner, spec)
	}

	r.mu.Lock()
	if err == nil {
		err = h.alive()
	} else {
		endC, endS = nil, nil
	}
	if err != nil || !a.usable() {
		again = err == nil
		r.freeIDs(id, id2)
		r.putBack(a, n)
		r.mu.Unlock()
		if endC != nil {
			endC.Close()
			endS.Close()
		}
		return nil, again, err
	}
	rec := &record{
		id: id, id2: id2, name: n.info.Name, clientPID: h.pid, serverPID: s.proc.id.PID,
		spec: spec, mpl: directMPL, since: time.Now(), session: session,
	}
	idC := id
	if id2 != 0 {
		idC = id2
	}
	rec.client, rec.server = h.hold(rec, idC, endC), s.hold(rec, id, endS)
	r.flows[id] = rec
	r.count.direct++
	r.allocated(rec)
	a.finish()
	served := rec.grant(rec.server)
	g = rec.grant(rec.client)
	r.mu.Unlock()
	a.deliver(served, nil)
	return g, false, nil
}

// allocated counts and tells a flow that came to be. r.mu is held.
func (r *Registry) allocated(rec *record) {
	r.count.allocated++
	if len(r.watchers) > 0 {
		pid := rec.clientPID
		if pid == 0 {
			pid = rec.serverPID
		}
		r.publish(irm.Event{Kind: "flow", Action: "allocated", Name: rec.name, PID: pid, FlowID: rec.id, Layer: rec.layer()})
	}
}

// grant describes the flow to the holder of an end.
func (rec *record) grant(x *held) *Grant {
	g := &Grant{ID: x.id, Name: rec.name, QoS: rec.spec, MPL: rec.mpl, MTU: DirectMTU, End: x.end, Remote: rec.carrier != nil}
	if x == rec.client {
		g.Peer = rec.serverPID
	} else {
		g.Peer = rec.clientPID
	}
	if s, ok := x.end.(Sized); ok {
		g.MTU = s.MTU()
	}
	return g
}

// carry gives a process the flow that an IPCP carries for it: as the client
// when a is nil, else as the server whose accept is reserved. session is what
// the two nodes have agreed upon, nil when nothing had to be; its key is the
// flow's from here on. On an error f has been deallocated, and the accept is
// still reserved.
func (r *Registry) carry(h *Process, a *Accept, e *ipcpEntry, n string, f flow.Flow, spec qos.Spec, mpl time.Duration, session *oap.Session) (*Grant, error) {
	if session != nil {
		defer session.Key.Wipe()
	}
	r.mu.Lock()
	id, _, err := r.takeIDs(false)
	r.mu.Unlock()
	if err != nil {
		f.Dealloc()
		return nil, err
	}
	if f, err = r.guard(f, spec, mpl, session); err != nil {
		r.mu.Lock()
		r.freeIDs(id, 0)
		r.mu.Unlock()
		f.Dealloc()
		return nil, err
	}
	var end End
	if _, ok := h.owner.(FlowOwner); ok {
		end = newCarriedEnd(f)
	} else {
		end, err = r.cfg.Fabric.Attach(h.owner, f, spec)
	}
	r.mu.Lock()
	if err == nil && a == nil {
		err = h.alive()
	} else if err == nil && !a.usable() {
		// Attached once, the flow cannot be given to another server.
		err = errno.New(errno.Pipe, "process %d has left the node", h.pid)
	}
	if err == nil && e.state != stateUp {
		err = errno.New(errno.FlowDown, "the IPCP %q has ended", e.name)
	}
	if user := h.proc.ipcp; err == nil && user != nil && e.standsOn(user) {
		err = errno.New(errno.IPCP, "the layer %q runs over the IPCP %q itself", e.layer.Name, user.name)
	}
	if err != nil {
		r.freeIDs(id, 0)
		r.mu.Unlock()
		if end != nil {
			end.Close()
		} else {
			f.Dealloc()
		}
		return nil, err
	}
	rec := &record{id: id, name: n, carrier: e, carried: f, spec: spec, mpl: mpl, since: time.Now(), session: session}
	x := h.hold(rec, id, end)
	if a == nil {
		rec.client, rec.clientPID = x, h.pid
		r.count.outgoing++
	} else {
		rec.server, rec.serverPID = x, h.pid
		r.count.incoming++
	}
	r.flows[id] = rec
	e.flows[rec] = struct{}{}
	r.allocated(rec)
	g := rec.grant(x)
	if _, ok := end.(Sized); !ok {
		g.MTU = f.MTU()
	}
	if a != nil {
		a.finish()
	}
	r.mu.Unlock()
	if a != nil {
		a.deliver(g, nil)
	}
	return g, nil
}

// guard puts round a flow what it needs, and makes sure that a flow for which a
// key was agreed on is never used without. On an error it gives the flow as it
// was.
func (r *Registry) guard(f flow.Flow, spec qos.Spec, mpl time.Duration, session *oap.Session) (flow.Flow, error) {
	if flow.IsLossless(f) {
		return f, nil
	}
	n := Needs{QoS: spec, MPL: mpl}
	if session != nil {
		n.Cipher, n.Key = session.Cipher, session.Key
	}
	if (n.Cipher != 0) != (n.Key != nil) || n.Key != nil && r.cfg.Guard == nil {
		return f, errno.New(errno.Crypt, "the flow was to be encrypted with %v and cannot be", n.Cipher)
	}
	if r.cfg.Guard == nil {
		return f, nil
	}
	guarded, err := r.cfg.Guard(f, n)
	if err != nil {
		return f, errno.New(errno.Crypt, "the flow was to be encrypted with %v: %v", n.Cipher, err).
			Next("name a cipher that this node may use: irm cert encrypt NAME cipher CIPHER replace")
	}
	return guarded, nil
}

// ListFlows lists the flows by id.
func (r *Registry) ListFlows(context.Context) ([]irm.FlowInfo, error) {
	r.mu.Lock()
	infos := make([]irm.FlowInfo, 0, len(r.flows))
	carried := make(map[int]flow.Flow)
	for _, rec := range r.flows {
		info := irm.FlowInfo{
			ID: rec.id, State: "allocated", Name: rec.name, ClientPID: rec.clientPID, ServerPID: rec.serverPID,
			Layer: rec.layer(), QoS: rec.spec, MPL: rec.mpl, MTU: DirectMTU, Since: rec.since,
			Protection: rec.protection(),
		}
		if rec.carrier != nil {
			info.IPCP = rec.carrier.name
			carried[rec.id] = rec.carried
		} else if rec.client == nil || rec.server == nil {
			info.State = "deallocating"
		}
		infos = append(infos, info)
	}
	r.mu.Unlock()
	for i := range infos { // an IPCP is asked without a lock
		if f := carried[infos[i].ID]; f != nil {
			infos[i].MTU = f.MTU()
		}
	}
	slices.SortFunc(infos, func(a, b irm.FlowInfo) int { return cmp.Compare(a.ID, b.ID) })
	return infos, nil
}
