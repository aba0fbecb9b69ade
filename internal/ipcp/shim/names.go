package shim

import "sync"

// Names is the set of hashes registered at an IPCP. The zero value is empty.
type Names struct {
	mu  sync.RWMutex
	set map[string]struct{}
}

// Add and Remove may be repeated. They report whether they changed something.
func (n *Names) Add(hash []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.set[string(hash)]; ok {
		return false
	}
	if n.set == nil {
		n.set = make(map[string]struct{})
	}
	n.set[string(hash)] = struct{}{}
	return true
}

func (n *Names) Remove(hash []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.set[string(hash)]
	delete(n.set, string(hash))
	return ok
}

// Has reports whether a hash is registered.
func (n *Names) Has(hash []byte) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.set[string(hash)]
	return ok
}

// Len is their number.
func (n *Names) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.set)
}
