package eth

import (
	"context"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/shim"
	wire "ouroboros/internal/wire/ethmgmt"
)

// known is how long an answer is used.
const known = time.Minute

// queryAt are the times at which a query is sent, queryEnd is when nobody has
// the name. Several frames in a row may be lost.
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
		if err := l.port.ready(); err != nil {
			return wire.MAC{}, err
		}
		q, first := l.Directory.Ask(hash)
		if first {
			h := append([]byte(nil), hash...)
			l.i.env.Go(func() { l.query(q, h) })
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
		case <-l.i.env.Context.Done():
			l.Directory.Leave(q)
			return wire.MAC{}, errno.New(errno.IPCP, "the IPCP is being destroyed")
		}
	}
}

// query asks everybody until somebody answers, nobody waits any more, or it is
// clear that nobody will.
//
// Another question for the name may follow this one at once, when what was
// learned turned out to be wrong; it has a query of its own.
func (l *layer) query(q *shim.Question, hash []byte) {
	w := &wire.Message{Code: wire.NameQuery, Hash: hash}
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range len(queryAt) + 1 {
		at := queryEnd
		if i < len(queryAt) {
			at = queryAt[i]
		}
		timer.Reset(time.Until(begun.Add(at)))
		select {
		case <-timer.C:
		case <-l.i.env.Context.Done():
			return
		}
		if !l.Directory.Waited(q) {
			return
		}
		if i < len(queryAt) {
			l.asked.add(hash)
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

// learn takes the answer to a query of ours. Where a name is at several
// stations all of them answer, so answers count for a while after the first.
func (l *layer) learn(from wire.MAC, hash []byte) {
	if !l.asked.has(hash) {
		l.count.unsolicited.Add(1)
		return
	}
	l.Directory.Add(hash, from, known)
}

// Bounds of what is remembered of queries: for how long after the last one
// answers count, and how many names.
const (
	askedTime = 2 * time.Second
	askedMost = 4096
)

// asked are the names that were asked for. The zero value is empty.
type asked struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (a *asked) add(hash []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.until == nil {
		a.until = make(map[string]time.Time)
	}
	if len(a.until) >= askedMost {
		for h, until := range a.until {
			if now.After(until) {
				delete(a.until, h)
			}
		}
		for h := range a.until {
			if len(a.until) < askedMost {
				break
			}
			delete(a.until, h)
		}
	}
	a.until[string(hash)] = now.Add(askedTime)
}

func (a *asked) has(hash []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.until[string(hash)]
	if ok && time.Now().After(until) {
		delete(a.until, string(hash))
		return false
	}
	return ok
}
