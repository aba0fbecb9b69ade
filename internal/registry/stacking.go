package registry

import (
	"slices"
	"sync"
)

// Layers stand on layers, and none on itself: a packet of an IPCP that ran over
// its own layer would go round until it has grown too long for it.
//
//	may be          may not be
//
//	 u2 ─► u1        u2 ◄─► u1
//	  │     │
//	  ▼     ▼
//	 e1    e1
//
// So an IPCP is not offered a flow that is carried by itself, or by one that
// runs over it, neither as the client nor as the server. Only what the flows
// of the moment say counts: there is no rank to configure.

// below gives the IPCPs over which e runs, e included: those that carry its
// flows, and those that carry theirs. r.mu is held.
func (e *ipcpEntry) below() map[*ipcpEntry]struct{} {
	all := map[*ipcpEntry]struct{}{e: {}}
	for next := []*ipcpEntry{e}; len(next) > 0; {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		for _, x := range at.handle.ends {
			c := x.rec.carrier
			if c == nil {
				continue
			}
			if _, ok := all[c]; !ok {
				all[c] = struct{}{}
				next = append(next, c)
			}
		}
	}
	return all
}

// standsOn reports whether e runs over o, or is it. r.mu is held.
func (e *ipcpEntry) standsOn(o *ipcpEntry) bool {
	_, ok := e.below()[o]
	return ok
}

// shunned are the processes that a request does not go to.
type shunned map[*proc]struct{}

func (s shunned) has(p *proc) bool {
	_, ok := s[p]
	return ok
}

// shuns gives the IPCPs that cannot be the server of a flow that e carries.
// r.mu is held.
func (e *ipcpEntry) shuns() shunned {
	s := make(shunned)
	for o := range e.below() {
		s[o.proc] = struct{}{}
	}
	return s
}

// endIPCPs ends IPCPs, each after those that run over it: what a member says when
// it leaves its layer then has something to leave by.
func (r *Registry) endIPCPs(all []*ipcpEntry) {
	for len(all) > 0 {
		under := make(map[*ipcpEntry]bool)
		r.mu.Lock()
		for _, e := range all {
			for o := range e.below() {
				under[o] = under[o] || o != e
			}
		}
		r.mu.Unlock()
		// There is no circle; but if there were one, the node would end.
		circle := !slices.ContainsFunc(all, func(e *ipcpEntry) bool { return !under[e] })
		var each sync.WaitGroup
		var rest []*ipcpEntry
		for _, e := range all {
			if under[e] && !circle {
				rest = append(rest, e)
			} else {
				each.Go(func() { r.endIPCP(e) })
			}
		}
		each.Wait()
		all = rest
	}
}
