package registry

import (
	"os"
	"path/filepath"

	"ouroboros/internal/cert"
	"ouroboros/internal/oap"
	"ouroboros/irm"
)

// examine adds to names what is wrong with their security files. Most names
// have none, and cost nothing.
func (r *Registry) examine(infos []irm.NameInfo) {
	r.mu.Lock()
	demands := r.cfg.Demands
	r.mu.Unlock()
	has := map[cert.Side]map[string]bool{cert.Server: r.withFiles(cert.Server), cert.Client: r.withFiles(cert.Client)}
	for i := range infos {
		n := &infos[i]
		server := r.security(string(cert.Server), n.Name, n.Server, n.ServerDemand.Or(demands.Server))
		server.Allow = n.Allow
		client := r.security(string(cert.Client), n.Name, n.Client, n.ClientDemand.Or(demands.Client))
		for _, s := range []struct {
			side  cert.Side
			sec   oap.Security
			files irm.SecPaths
		}{{cert.Server, server, n.Server}, {cert.Client, client, n.Client}} {
			if s.files != (irm.SecPaths{}) || has[s.side][n.Name] || s.sec.RequireAuth || s.sec.RequireEncryption || len(s.sec.Allow) > 0 {
				n.Problems = append(n.Problems, cert.Examine(s.side, n.Name, s.sec, r.trust)...)
			}
		}
	}
}

// withFiles gives the names that have a directory of their own.
func (r *Registry) withFiles(side cert.Side) map[string]bool {
	has := make(map[string]bool)
	if r.cfg.SecurityDir == "" {
		return has
	}
	// A directory that cannot be read has nothing that could be used, and each
	// flow says so.
	entries, _ := os.ReadDir(filepath.Join(r.cfg.SecurityDir, string(side)))
	for _, e := range entries {
		has[e.Name()] = true
	}
	return has
}
