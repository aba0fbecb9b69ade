package unicast

import (
	"context"
	"time"

	"ouroboros/internal/errno"
)

const (
	// maxMoves bounds how often an IPCP takes another address in its life: a
	// neighbour that says of each that it is taken is not believed for ever.
	maxMoves = 8
	// moveTime is how long after its beginning a member may still move. Later
	// it has users, and a second member of its address is for people to solve.
	moveTime = 10 * time.Second
)

// settle returns when the address of this member is its own: at once when it
// has been used, else when a neighbour has told who is in the layer.
func (u *IPCP) settle(ctx context.Context) error {
	for {
		m, err := u.now()
		if err != nil {
			return err
		}
		if m.links.any() {
			return nil
		}
		if u.moved() {
			u.management.await(ctx, m) // it is being made again
		}
		if err := m.routing.AwaitSync(ctx); err != nil {
			return err
		}
		if now, err := u.now(); err != nil || now == m && !m.routing.Taken() {
			return err
		}
		if err := u.move(m); err != nil { // nothing, when it has moved meanwhile
			return err
		}
	}
}

// moved reports whether this IPCP had another address before.
func (u *IPCP) moved() bool {
	u.begin.Lock()
	defer u.begin.Unlock()
	return u.moves > 0
}

// conflict is told by routing that somebody else has the address of this young
// member.
func (u *IPCP) conflict() {
	u.env.Go(func() {
		if m, err := u.now(); err == nil {
			u.move(m)
		}
	})
}

// move makes this IPCP a member under another address, in place of m.
func (u *IPCP) move(m *member) error {
	u.begin.Lock()
	defer u.begin.Unlock()
	now, err := u.now()
	switch {
	case err != nil || now != m: // somebody else has done it
		return err
	case u.moves >= maxMoves || time.Since(m.born) > moveTime:
		return errno.New(errno.Exist, "the address %v of this member is taken, and so were %d before it", m.own, u.moves).
			Next("see who else has it with: irm layer graph %s; then destroy this IPCP and create it again", m.cfg.Layer)
	}
	u.moves++
	next := u.newMember(m.cfg, m.raw, m.peer, u.draw())
	u.env.Log.Warn("the address is taken by another member; this one draws another", "layer", m.cfg.Layer, "taken", m.own, "address", next.own)
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		next.close()
		return errGone()
	}
	u.member = next
	names := make([][]byte, 0, len(u.names))
	for n := range u.names {
		names = append(names, []byte(n))
	}
	u.mu.Unlock()
	next.start()
	for _, n := range names {
		if err := next.dir.Reg(u.env.Context, n); err != nil {
			u.env.Log.Error("a name could not be registered again", "err", err)
		}
	}
	// Neighbours know the connections by the old address. Those that were asked
	// for here are made again.
	taken := errno.New(errno.Exist, "the address %v is taken", m.own)
	u.transfer.drop(m, taken)
	u.management.drop(m, taken)
	m.close()
	return nil
}
