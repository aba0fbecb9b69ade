package simnet

import (
	"context"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/shim"
	wire "ouroboros/internal/wire/ethmgmt"
)

// known is how long an answer is used.
const known = time.Minute

// queryAt are the times at which a query is sent, queryEnd is when nobody has
// the name: those of Ethernet layers.
var queryAt = [...]time.Duration{
	0, 100 * time.Millisecond, 250 * time.Millisecond, 450 * time.Millisecond,
	700 * time.Millisecond, time.Second, 1300 * time.Millisecond,
}

const queryEnd = 1600 * time.Millisecond

// find gives the address of a member that has the name. errno.NameError when
// nobody answers.
func (l *layer) find(ctx context.Context, hash []byte) (wire.MAC, error) {
	for {
		if at, ok := l.Directory.Lookup(hash); ok {
			return at, nil
		}
		if l.Down() {
			return wire.MAC{}, errno.New(errno.IPCP, "the link %q is down", l.station.seg.name)
		}
		q, first := l.Directory.Ask(hash)
		if first {
			h := append([]byte(nil), hash...)
			l.env.Go(func() { l.query(q, h) })
		}
		select {
		case <-q.Done():
			l.Directory.Leave(q)
			if err := q.Err(); err != nil {
				return wire.MAC{}, err
			}
		case <-ctx.Done():
			l.Directory.Leave(q)
			return wire.MAC{}, context.Cause(ctx)
		case <-l.env.Context.Done():
			l.Directory.Leave(q)
			return wire.MAC{}, errno.New(errno.IPCP, "the IPCP is being destroyed")
		}
	}
}

// query asks everybody until somebody answers, nobody waits any more, or it is
// clear that nobody will.
func (l *layer) query(q *shim.Question, hash []byte) {
	w := &wire.Message{Code: wire.NameQuery, Hash: hash}
	begun := time.Now()
	timer := time.NewTimer(queryEnd)
	defer timer.Stop()
	for i := range len(queryAt) + 1 {
		at := queryEnd
		if i < len(queryAt) {
			at = queryAt[i]
		}
		if wait := time.Until(begun.Add(at)); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-q.Done():
				return
			case <-l.env.Context.Done():
				return
			}
		}
		if !l.Directory.Waited(q) {
			return
		}
		if i < len(queryAt) {
			l.count.queried.Add(1)
			_ = l.message(wire.Broadcast, w) // what cannot be sent is like lost
		}
	}
	l.Directory.FailThis(q, errno.New(errno.NameError, "nobody in layer %q knows the name", l.name))
}

// answer tells who asks for a name that it is here, if it is.
func (l *layer) answer(to wire.MAC, hash []byte) {
	l.count.queries.Add(1)
	if !l.Names.Has(hash) {
		return
	}
	l.count.answered.Add(1)
	_ = l.message(to, &wire.Message{Code: wire.NameReply, Hash: hash}) // who hears nothing asks again
}
