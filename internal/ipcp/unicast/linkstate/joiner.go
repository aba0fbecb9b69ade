package linkstate

import (
	"context"
	"time"

	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
)

// When a joiner has heard of the layer.
const (
	syncQuiet = 20 * time.Millisecond
	syncWait  = 150 * time.Millisecond
)

// joiner finds out whether another member has the address of this one. Addresses
// are drawn at random from 32 bits; the chance that two of 2,000 members have the
// same is one in two thousand. While this member has announced no link of its
// own, none can be announced from or to its address by others, but for one
// case: a neighbour announces the link to this member a moment before this
// member is told of it.
type joiner struct {
	announced bool      // it has a link, or had one
	asked     bool      // AwaitSync was called: it joins a layer and begins no new one
	askedAt   time.Time // when
	first     time.Time // when the first Management connection came
	last      time.Time // when the last update came
	synced    bool

	taken bool                    // a link from this address
	to    map[wire.Addr]wire.Addr // who has announced a link to this address, and who has sent that on
	told  bool                    // Conflict was called
}

// maxClaims bounds joiner.to.
const maxClaims = 64

// AwaitSync returns when the first neighbour has told what it knows: its first
// updates have come and nothing since 20 ms, or 150 ms have passed since there is
// a Management connection, or since the call when there is none. Then Taken says
// whether the address of this member is its own. It returns ctx's error when
// that ends first.
func (l *LinkState) AwaitSync(ctx context.Context) error {
	l.mu.Lock()
	j := &l.joiner
	if !j.asked {
		j.asked, j.askedAt = true, time.Now()
		l.due(j.askedAt)
	}
	l.mu.Unlock()
	select {
	case <-l.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Taken reports whether another member has used the address of this one before
// this one has announced a link.
func (l *LinkState) Taken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.joiner.announced && (l.joiner.taken || len(l.joiner.to) > 0)
}

// Announced reports whether this one has announced a link at any time: then
// others send to its address.
func (l *LinkState) Announced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joiner.announced
}

// firstConn is told that there is a Management connection. The lock is held, here
// and below.
func (l *LinkState) firstConn(now time.Time) {
	if l.joiner.first.IsZero() {
		l.joiner.first = now
		l.due(now.Add(syncWait))
	}
}

// heardFrom is told that an update came.
func (l *LinkState) heardFrom(now time.Time) {
	j := &l.joiner
	if j.synced {
		return
	}
	if j.last.IsZero() {
		l.due(now.Add(syncQuiet))
	}
	j.last = now
}

// announced is told that a link of this member is up.
func (l *LinkState) announced(nb wire.Addr) {
	l.joiner.announced = true
	l.joiner.to = nil
}

// claimed is told of a link from or to the address of this member.
func (l *LinkState) claimed(from *peer, u lsa.Update) {
	j := &l.joiner
	switch {
	case j.announced:
		return
	case u.Src == l.cfg.Own:
		j.taken = true
		l.tell()
		l.conflict(u.Dst, from.addr)
	case withdrawal(u): // it says that there is no such link
	case len(j.to) < maxClaims:
		if j.to == nil {
			j.to = make(map[wire.Addr]wire.Addr)
		}
		j.to[u.Src] = from.addr
	}
}

// conflict counts a link of another member that has this address. The lock is
// held.
func (l *LinkState) conflict(end, from wire.Addr) {
	l.count.conflicts++
	l.once("another member uses the address of this one", "address", l.cfg.Own, "linked_with", end, "from", from)
}

// tell calls Conflict, once.
func (l *LinkState) tell() {
	if l.joiner.told {
		return
	}
	l.joiner.told = true
	if l.cfg.Conflict != nil {
		l.cfg.Go(l.cfg.Conflict)
	}
}

// tickJoiner does what is due.
func (l *LinkState) tickJoiner(now time.Time) {
	j := &l.joiner
	if j.synced {
		return
	}
	var end time.Time
	switch {
	case !j.first.IsZero():
		end = j.first.Add(syncWait)
	case j.asked:
		end = j.askedAt.Add(syncWait)
	default:
		return
	}
	if !j.last.IsZero() {
		if quiet := j.last.Add(syncQuiet); quiet.Before(end) {
			end = quiet
		}
	}
	if now.Before(end) {
		l.due(end)
		return
	}
	j.synced = true
	close(l.synced)
	if j.asked && !j.announced && len(j.to) > 0 {
		l.count.conflicts++
		l.once("another member uses the address of this one", "address", l.cfg.Own, "links", len(j.to))
		j.taken = true
		for end, from := range j.to {
			l.conflict(end, from)
		}
		l.tell()
	}
}
