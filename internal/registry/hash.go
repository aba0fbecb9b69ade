package registry

import (
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
)

// algoOf is the algorithm that a kind of layer uses when cfg asks for algo.
func algoOf(t irm.IPCPType, algo irm.HashAlgo) irm.HashAlgo {
	switch t {
	case irm.UDP4, irm.UDP6:
		return irm.MD5
	case irm.Broadcast:
		return irm.SHA3_256
	}
	return algo
}

// nameOfHash finds the name that an arrived request is for. The index of an
// algorithm is made when the first request asks for it and kept with every
// name that comes or goes. r.mu is held.
func (r *Registry) nameOfHash(algo irm.HashAlgo, sum []byte) *serviceName {
	index, ok := r.hashes[algo]
	if !ok {
		if hash.Size(algo) == 0 {
			return nil
		}
		index = make(map[string]*serviceName, len(r.names))
		for _, n := range r.order {
			index[string(hash.Sum(algo, n.info.Name))] = n
		}
		r.hashes[algo] = index
	}
	return index[string(sum)]
}

// indexName and unindexName keep the hash indexes. r.mu is held.
func (r *Registry) indexName(n *serviceName) {
	for algo, index := range r.hashes {
		index[string(hash.Sum(algo, n.info.Name))] = n
	}
}

func (r *Registry) unindexName(n *serviceName) {
	for algo, index := range r.hashes {
		key := string(hash.Sum(algo, n.info.Name))
		if index[key] == n {
			delete(index, key)
		}
	}
}
