package registry

import (
	"slices"

	"ouroboros/internal/flow"
	"ouroboros/internal/oap"
	"ouroboros/irm"
)

// Demands are what the node demands of the other side of its flows where the
// name leaves it to the node.
type Demands struct {
	Server irm.Demand // of the clients of its servers
	Client irm.Demand // of the servers of its clients
}

// SetDemands changes what the node demands; the flows to come go by it.
func (r *Registry) SetDemands(d Demands) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.Demands = d
}

// clientSecurity is what this node does when it allocates a flow to dst, a
// name that it need not know. r.mu is not held.
func (r *Registry) clientSecurity(dst string) oap.Security {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clientSide(dst, r.names[dst])
}

// clientSide is the same. n is the name, nil when this node does not know it.
// r.mu is held.
func (r *Registry) clientSide(dst string, n *serviceName) oap.Security {
	if n == nil {
		return r.security(oap.ClientSide, dst, irm.SecPaths{}, r.cfg.Demands.Client)
	}
	return r.security(oap.ClientSide, dst, n.info.Client, n.info.ClientDemand.Or(r.cfg.Demands.Client))
}

// serverSecurity is what this node does when a flow to the name arrives. r.mu
// is not held.
func (r *Registry) serverSecurity(n *serviceName) oap.Security {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.serverSide(n)
}

// serverSide is the same. r.mu is held.
func (r *Registry) serverSide(n *serviceName) oap.Security {
	s := r.security(oap.ServerSide, n.info.Name, n.info.Server, n.info.ServerDemand.Or(r.cfg.Demands.Server))
	s.Allow = slices.Clone(n.info.Allow)
	return s
}

// bothSides are those of a flow between two processes of this node. r.mu is
// held.
func (r *Registry) bothSides(n *serviceName) (client, server oap.Security) {
	return r.clientSide(n.info.Name, n), r.serverSide(n)
}

// bare reports whether nothing is to be read and nothing computed for a flow
// between two processes of this node. r.mu is not held.
func (r *Registry) bare(dst string) bool {
	r.mu.Lock()
	n := r.names[dst]
	if n == nil {
		r.mu.Unlock()
		return true
	}
	client, server := r.bothSides(n)
	r.mu.Unlock()
	return client.Bare() && server.Bare()
}

// security puts settings together.
func (r *Registry) security(side, name string, paths irm.SecPaths, demand irm.Demand) oap.Security {
	return oap.Security{
		Dir:        oap.DefaultDir(r.cfg.SecurityDir, side, name),
		Encryption: paths.Enc, Certificate: paths.Cert, Key: paths.Key,
		RequireAuth: demand.Auth(), RequireEncryption: demand.Encryption(),
	}
}

// protection is how the flow is protected, as an administrator sees it. r.mu
// is held.
func (rec *record) protection() irm.Protection {
	p := irm.Protection{Cipher: "none"}
	if rec.carrier == nil || flow.IsLossless(rec.carried) {
		p.Cipher = "local"
	}
	s := rec.session
	if s == nil {
		return p
	}
	if s.Cipher != 0 && p.Cipher != "local" {
		p.Cipher, p.Exchange, p.KDF = s.Cipher.String(), s.Exchange, s.KDF.String()
	}
	if rec.carrier == nil || rec.serverPID == 0 { // the session is the client's
		p.Client, p.Server = s.Self, s.Peer
	} else {
		p.Client, p.Server = s.Peer, s.Self
	}
	return p
}
