package unicast

import (
	"context"
	"errors"

	"ouroboros/internal/errno"
)

// maxMoves bounds how often an IPCP takes another address in its life. Addresses
// are random: who says of so many in a row that they are taken is not believed.
const maxMoves = 8

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
		switch err := u.move(m); {
		case errors.Is(err, errKept):
			return nil
		case err != nil: // none, when it has moved meanwhile
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

// conflict is told by routing that somebody else has the address of this member,
// which has announced no link.
func (u *IPCP) conflict() {
	u.env.Go(func() {
		if m, err := u.now(); err == nil {
			u.move(m)
		}
	})
}

// errKept is why a member keeps its address.
var errKept = errno.New(errno.Exist, "the member keeps its address")

// move makes this IPCP a member under another address, in place of m, of which
// nobody has used the old one: it has announced no link.
func (u *IPCP) move(m *member) error {
	u.begin.Lock()
	defer u.begin.Unlock()
	now, err := u.now()
	switch {
	case err != nil || now != m: // somebody else has done it
		return err
	case u.moves >= maxMoves || m.routing.Announced():
		return errKept
	}
	u.moves++
	next := u.newMember(m.cfg, m.raw, m.peer, u.draw())
	u.env.Log.Warn("the address is taken by another member; this one draws another", "layer", m.cfg.Layer, "taken", m.own, "address", next.own)
	if u.moves == maxMoves {
		u.env.Log.Warn("the next that say so are not believed: see who it is with irm layer graph", "layer", m.cfg.Layer, "addresses", maxMoves)
	}
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
