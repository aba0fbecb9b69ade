package session

import "ouroboros/internal/ring"

// linkKey names a link as this process holds it. A process that talks to
// itself holds both sides of one.
type linkKey struct {
	id   uint64
	side int
}

// linked is a link that this process holds, for all its flows with one other
// process. It is closed when the daemon says that no more flows will come, or
// is gone, and its last flow was deallocated.
type linked struct {
	key     linkKey
	ring    *ring.Link
	flows   int
	retired bool
}

// leave takes a flow off its link, and gives the link when it is to be closed.
// c.mu is held.
func (c *Conn) leave(l *linked) (idle *linked) {
	l.flows--
	return c.reap(l)
}

// reap forgets a link that is not needed any more. c.mu is held.
func (c *Conn) reap(l *linked) (idle *linked) {
	if !l.retired || l.flows > 0 {
		return nil
	}
	if c.links[l.key] == l {
		delete(c.links, l.key)
	}
	return l
}

// retire handles the daemon's word that a link is not used for new flows.
func (c *Conn) retire(key linkKey) {
	c.mu.Lock()
	var idle *linked
	if l := c.links[key]; l != nil {
		l.retired = true
		delete(c.links, key)
		idle = c.reap(l)
	}
	c.mu.Unlock()
	if idle != nil {
		idle.ring.Close()
	}
}

// retireAll gives the links that can be closed now that the session has
// ended; the others follow with their last flow. c.mu is held.
func (c *Conn) retireAll() (idle []*linked) {
	for key, l := range c.links {
		l.retired = true
		delete(c.links, key)
		if l.flows == 0 {
			idle = append(idle, l)
		}
	}
	return idle
}

// sweep closes the links that were opened while the session ended.
func (c *Conn) sweep() {
	c.mu.Lock()
	idle := c.retireAll()
	c.mu.Unlock()
	for _, l := range idle {
		l.ring.Close()
	}
}
