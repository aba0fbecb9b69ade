package linkstate

import (
	"math/rand/v2"
	"time"

	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
)

// When updates of own links are sent.
const (
	jitterPart = 10 // of the update time, in either direction

	againAfter    = time.Second // a new link is repeated: its first update may be lost
	withdrawAfter = 100 * time.Millisecond
	withdrawLast  = time.Second

	// A link whose numbers are used up, because others have forged the last ones,
	// is not refreshed: so it times out everywhere, and begins again.
	saturatedRest = 2 * time.Second

	// A link that flaps, or that others forge, has an update each updatePace, in
	// bursts of updateBurst.
	updatePace  = 100 * time.Millisecond
	updateBurst = 5
)

// What is answered to updates of own links that are not there.
const (
	maxPhantoms = 256 // links that never were
	maxAnswers  = 3   // to one link, in one time-out
	answerPace  = 100 * time.Millisecond
	answerBurst = 32
)

// pace says when something may be done that others can provoke.
type pace struct{ next time.Time }

// take is 0 and counts, or it is how long to wait: one each every, burst at a
// time.
func (p *pace) take(now time.Time, every time.Duration, burst int) (wait time.Duration) {
	if p.next.Before(now) {
		p.next = now
	}
	if wait = p.next.Sub(now) - time.Duration(burst-1)*every; wait > 0 {
		return wait
	}
	p.next = p.next.Add(every)
	return 0
}

// ownLink is the link to a neighbour: there, or withdrawn and not yet forgotten.
type ownLink struct {
	nb      wire.Addr
	e       *entry
	up      bool
	mtu     int
	counter uint32 // of the last update, or of a higher one that others have sent
	phantom bool   // it was never there: others have announced it

	at     time.Time // of the next update; zero = none
	again  bool      // the next repetition comes soon
	repeat int       // withdrawals sent
	since  time.Time // of the withdrawal
	ends   time.Time // when it is forgotten
	pace   pace

	answers    int // to updates of others while it was not there
	answersEnd time.Time

	saturated time.Time // since when the counter is at its end; zero = it is not
	nudgeAt   time.Time // when the neighbour is nudged, if it must be; zero = never
}

// Up says that there is a live data transfer flow to a neighbour, and the
// longest packet that it carries, header included, in bytes; 0 = not known.
func (l *LinkState) Up(nb wire.Addr, mtu int) {
	if !nb.Valid() || nb == l.cfg.Own {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	now := time.Now()
	o := l.own[nb]
	switch {
	case o == nil:
		o = l.newOwn(nb)
	case o.up && o.mtu == mtu:
		return
	case o.phantom:
		o.phantom = false
		l.phantoms--
	}
	if !o.up {
		o.up, o.again = true, true
		l.db.begin(o.e)
		o.e.down = false
	}
	o.mtu, o.e.mtu = mtu, max(mtu, 0)
	l.announced(nb)
	l.update(o, now)
	if o.e.usable() {
		l.changed(now)
	}
}

// Down says that there is none any more.
func (l *LinkState) Down(nb wire.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.own[nb]
	if l.closed || o == nil || !o.up {
		return
	}
	now := time.Now()
	if o.e.usable() {
		l.urgent(now)
		l.lost(now, l.cfg.Timeout)
	}
	o.up, o.again, o.repeat = false, false, 0
	o.e.down = true
	o.since, o.ends = now, now.Add(l.cfg.Timeout)
	l.update(o, now)
	l.due(o.ends)
}

// newOwn enters a link that is not up.
func (l *LinkState) newOwn(nb wire.Addr) *ownLink {
	o := &ownLink{nb: nb, e: l.db.add(link{l.cfg.Own, nb}, true)}
	l.own[nb] = o
	return o
}

// update sends an update now, or when its pace allows. The lock is held; the
// worker sends.
func (l *LinkState) update(o *ownLink, now time.Time) {
	if wait := o.pace.take(now, updatePace, updateBurst); wait > 0 {
		o.at = now.Add(wait)
		l.due(o.at)
		return
	}
	l.emit(o, now)
	switch {
	case o.up && o.again:
		o.again = false
		o.at = now.Add(againAfter)
	case o.up && !o.saturated.IsZero():
		o.at = o.saturated.Add(l.cfg.Timeout + saturatedRest)
	case o.up:
		o.at = now.Add(l.interval())
	case o.repeat == 1:
		o.at = o.since.Add(withdrawAfter)
	case o.repeat == 2:
		o.at = o.since.Add(withdrawLast)
	default:
		o.at = time.Time{}
	}
	if !o.at.IsZero() {
		l.due(o.at)
	}
	if len(l.ready) > 0 && !l.awake {
		l.kick()
	}
}

// emit numbers an update and queues it for all peers.
func (l *LinkState) emit(o *ownLink, now time.Time) {
	if l.counter < lsa.LastCounter {
		l.counter++
	}
	if !o.saturated.IsZero() && now.Sub(o.saturated) >= l.cfg.Timeout+saturatedRest {
		o.saturated, o.counter = time.Time{}, 0
	}
	// Only own updates move the counter of all, so that who forges a high number
	// for one link uses up that of no other.
	next := max(uint64(l.counter), uint64(o.counter)+1)
	if next >= uint64(lsa.LastCounter) {
		if !o.up { // nobody believes a withdrawal with it: the link ages out
			o.repeat++
			return
		}
		if o.saturated.IsZero() {
			o.saturated, o.again = now, true
		}
		o.counter = lsa.LastCounter
		o.e.seq = lsa.Max
	} else {
		o.counter = uint32(next)
		o.e.seq = lsa.Make(o.counter, o.mtu, !o.up)
	}
	if !o.up {
		o.repeat++
		l.count.withdrawals++
	} else {
		l.count.updates++
	}
	l.db.touch(o.e, now)
	l.flood(o.e, nil)
}

// interval is the time to the next update, on average that of the configuration.
func (l *LinkState) interval() time.Duration {
	j := int64(l.cfg.Update / jitterPart)
	return l.cfg.Update + time.Duration(rand.Int64N(2*j+1)-j)
}

// tickOwn does what is due for a link.
func (l *LinkState) tickOwn(o *ownLink, now time.Time) {
	if !o.up && !now.Before(o.ends) {
		if o.phantom {
			l.phantoms--
		}
		l.db.remove(o.e)
		delete(l.own, o.nb)
		return
	}
	if !o.up {
		l.due(o.ends)
	}
	if o.at.IsZero() {
		return
	}
	if now.Before(o.at) {
		l.due(o.at)
		return
	}
	l.update(o, now)
}

// heard is an update of a link of this member that came from a peer: an echo,
// something old, or a forgery. It is never kept.
func (l *LinkState) heard(from *peer, u lsa.Update, now time.Time) {
	o := l.own[u.Dst]
	if o == nil {
		l.heardOfNone(from, u, now)
		return
	}
	if u.Seq == o.e.seq {
		l.count.duplicates++
		return
	}
	above := u.Seq.Newer(o.e.seq)
	if !above && u.Seq <= lsa.Max {
		l.count.old++
		l.later(from, o.e, now)
		return
	}
	// A number that no member counts to is below ours, but members that know the
	// link from it alone believe it.
	l.count.forged++
	l.once("another member has sent updates of links of this one", "link to", u.Dst, "from", from.addr)
	if above {
		o.counter = max(o.counter, u.Seq.Counter())
	}
	if o.up {
		l.count.jumps++
		l.update(o, now)
		return
	}
	l.answer(o, u, now)
}

// heardOfNone is an update of a link that this member does not have and has not
// had for a while.
func (l *LinkState) heardOfNone(from *peer, u lsa.Update, now time.Time) {
	if !l.joiner.announced {
		l.claimed(from, u)
		return
	}
	if u.Seq.Structured() && u.Seq.Counter() <= l.counter {
		l.count.old++ // of a link of this one, long ago
	} else {
		l.count.forged++
		l.count.conflicts++
		l.once("another member announces links of this one: it may have the same address",
			"address", l.cfg.Own, "link to", u.Dst, "from", from.addr)
	}
	if withdrawal(u) {
		return // it is dead already
	}
	if l.phantoms >= maxPhantoms || l.answers.take(now, answerPace, answerBurst) > 0 {
		l.count.unanswered++
		return
	}
	o := l.newOwn(u.Dst)
	o.phantom, o.repeat, o.ends = true, 2, now.Add(l.cfg.Timeout)
	l.phantoms++
	if u.Seq.Structured() {
		o.counter = u.Seq.Counter()
	}
	l.answer(o, u, now)
}

// answer withdraws, once more, a link that is not there.
func (l *LinkState) answer(o *ownLink, u lsa.Update, now time.Time) {
	if withdrawal(u) {
		return
	}
	if !now.Before(o.answersEnd) {
		o.answers, o.answersEnd = 0, now.Add(l.cfg.Timeout)
	}
	if o.answers++; o.answers > maxAnswers {
		l.count.unanswered++
		return
	}
	o.repeat = max(o.repeat, 2)
	o.ends = now.Add(l.cfg.Timeout)
	l.due(o.ends)
	l.update(o, now)
}

// withdrawal reports whether the update of a link that is not known says that
// there is none.
func withdrawal(u lsa.Update) bool { return u.Seq.Speaks(0) && u.Seq.Withdrawn() }
