package frcp

import (
	"context"
	"log/slog"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/frcp"
)

const threeRepeats = 3

// acknowledged takes the acknowledgement and the window of a packet; pure when
// it has no data.
func (f *Flow) acknowledged(h frcp.Header, pure bool, now int64) {
	s := &f.snd
	if !f.reliable {
		// Nothing is acknowledged; a C peer says where it is with the answer to
		// a late packet, and says 0 when it is nowhere.
		if n := s.nxt.Since(h.Ack); n < 0 || n > 2*maxWindow {
			f.count.BadAck.Add(1)
		} else if h.Flags.Has(frcp.FC) {
			f.window(h)
		}
		return
	}
	if h.Ack.Before(s.una) {
		return // an old one
	}
	if h.Ack.After(s.nxt) {
		f.count.BadAck.Add(1)
		return
	}
	if !s.started {
		f.rcv.knownAt = now // it has the number that we told it
	}
	hint := pure && h.Seq != 0 && !h.Flags.Has(frcp.DRF)
	moved, answer := false, false
	if h.Flags.Has(frcp.FC) {
		// Before una moves: it is the base of the window.
		var ok bool
		if moved, ok = f.window(h); ok && pure && !hint {
			answer, s.asked, s.progress = s.asked, false, now
		}
	}
	switch {
	case h.Ack != s.una:
		f.advance(h.Ack, now)
	case hint, !pure, moved, answer, s.outstanding() == 0:
	case !s.hinted:
		f.repeated(now)
	}
	if hint && !h.Seq.Before(s.una) && h.Seq.Before(s.nxt) {
		s.hinted = true
		f.land(h.Seq, true, now)
		if !h.Flags.Has(frcp.FC) {
			for q, n := h.Seq, min(h.Window, mostRow); n > 0 && q != s.una; n-- {
				q--
				f.land(q, false, now)
			}
		}
	}
}

// advance takes the acknowledgement of all before una.
func (f *Flow) advance(una frcp.Seq, now int64) {
	s := &f.snd
	f.judge(una, now)
	was, n := s.outstanding(), una.Since(s.una)
	again := false
	for q := s.una; q != una; q++ {
		t := s.at(q)
		switch t.place {
		case flying:
			s.flight--
		case missing:
			s.lost--
		}
		if t.tries > 1 {
			again = true
			switch {
			case t.place != flying:
			case f.tooSoon(t, now):
				f.overtaken()
			default:
				s.distance = max(firstDistance, s.distance-1)
			}
		} else if t.place == flying && int32(t.order-s.arrived) > 0 {
			s.arrived = t.order
		}
		s.bytes -= t.buf.Len()
		t.buf.Release()
		t.buf = nil
	}
	if last := s.at(una - 1); !again && last.place == flying {
		f.sample(now-last.last, now)
	} else {
		f.rtt.repeated(now-last.first, now-s.at(s.una).last, s.gap)
	}
	s.una = una
	if s.scan.Before(una) {
		s.scan = una
	}
	if s.beyond.Before(una) {
		s.beyond = una
	}
	s.left = max(0, min(s.left-(n-1), s.flight))
	s.repeats, s.backoff, s.progress = 0, 0, now
	s.rtoAt, s.gap = 0, 0
	if una != s.nxt {
		s.rtoAt = now + f.rtt.timeout(0)
	}
	recovering := s.recovery
	if recovering && !una.Before(s.recover) {
		s.recovery, s.expired, s.left = false, false, 0
	}
	f.cc.acked(n, una, s.nxt, 2*was >= f.cc.window && (!recovering || s.hinted || f.cc.window < f.cc.threshold))
	if s.recovery && !s.hinted && una != s.nxt {
		// A partial acknowledgement: the next one is lost too.
		if t := s.at(una); t.place == flying && (t.tries == 1 || now-t.last > f.rtt.srtt) {
			f.miss(una, true)
		}
	}
}

// judge looks, at the first acknowledgement after a time-out, whether the
// time-out was right. It was not when the packet that was sent again is
// acknowledged before that copy can have arrived, or others that were not sent
// again are, and did not wait beyond a gap: something stood still for a while,
// and nothing was lost.
func (f *Flow) judge(una frcp.Seq, now int64) {
	s := &f.snd
	if s.calm[0] == 0 {
		return
	}
	calm := s.calm
	s.calm = [2]int{}
	first, last := s.at(s.una), s.at(una-1)
	if !(first.tries > 1 && f.tooSoon(first, now)) && !(s.hinted && last.tries == 1 && last.place == missing) {
		return
	}
	f.cc.window, f.cc.threshold = calm[0], calm[1]
	s.recovery, s.expired = false, false
	for q := s.una; q != s.nxt && s.lost > 0; q++ {
		if t := s.at(q); t.place == missing {
			t.place = flying
			s.lost--
			s.flight++
		}
	}
	f.count.Needless.Add(1)
}

func (f *Flow) sample(m, now int64) {
	f.rtt.sample(m)
	f.cc.sample(m, now)
}

// tooSoon reports whether a packet that was sent again has arrived sooner than
// it can have: it was not lost, only overtaken.
func (f *Flow) tooSoon(t *slot, now int64) bool { return now-t.last < f.cc.lowestRTT()*3/4 }

// overtaken makes us wait for more packets before one is taken for lost.
// After a time-out it says only that the time-out was too short.
func (f *Flow) overtaken() {
	if !f.snd.expired {
		f.snd.distance = min(2*f.snd.distance, mostDistance)
	}
}

// repeated takes an acknowledgement that says no more than the last one: a
// packet has arrived behind a gap, we do not know which.
func (f *Flow) repeated(now int64) {
	s := &f.snd
	s.repeats++
	s.left = min(s.left+1, s.flight)
	t := s.at(s.una)
	switch {
	case t.place != flying:
	case s.recovery:
		// What arrives a round trip after it was sent again was sent after it.
		if now-t.last > f.rtt.srtt+max(f.rtt.srtt>>2, 4*f.rtt.mdev) {
			f.miss(s.una, true)
		}
	case s.una.Before(s.recover):
	case s.repeats >= min(threeRepeats, max(1, s.outstanding()-1)):
		f.count.Recoveries.Add(1)
		s.recovery, s.recover = true, s.nxt
		f.cc.loss(1, s.outstanding())
		f.miss(s.una, true)
	}
}

// land takes the hint that packet q has arrived, just now or some time ago.
func (f *Flow) land(q frcp.Seq, just bool, now int64) {
	s := &f.snd
	t := s.at(q)
	switch t.place {
	case flying:
		s.flight--
	case missing:
		s.lost--
		f.overtaken()
	default:
		return
	}
	t.place = landed
	if q.Since(s.beyond) >= 0 {
		s.beyond = q + 1
	}
	switch {
	case t.tries == 1 && just:
		f.sample(now-t.last, now)
	case t.tries > 1 && f.tooSoon(t, now):
		f.overtaken()
		return
	}
	if int32(t.order-s.arrived) > 0 {
		s.arrived = t.order
	}
}

// seek looks for packets that were sent well before one that has arrived, when
// the peer gives hints: by three packets, or where packets overtake each other,
// or acknowledgements get lost, by more packets or a round trip time. It is
// called once for a received batch.
func (f *Flow) seek(now int64) {
	s := &f.snd
	if !s.hinted || s.arrived == s.checked || s.beyond == s.una {
		return
	}
	s.checked = s.arrived
	distance := int32(s.distance)
	if n := int32(s.outstanding()); n <= firstDistance && s.waiting() == 0 {
		distance = min(distance, max(1, n-1)) // no more will come that could tell
	}
	late := now - f.rtt.srtt - max(f.rtt.srtt>>2, 4*f.rtt.mdev)
	found := 0
	for q := s.una; q != s.beyond; q++ {
		t := s.at(q)
		if t.place != flying {
			continue
		}
		if by := int32(s.arrived - t.order); by >= distance || by >= firstDistance && t.last < late {
			f.miss(q, false)
			found++
		}
	}
	if found == 0 {
		return
	}
	if !s.recovery {
		f.count.Recoveries.Add(1)
		s.recovery, s.recover = true, s.nxt
	}
	s.urgent = max(s.urgent, 1)
	f.cc.loss(found, s.outstanding())
}

// miss takes packet q, which was on the way, for lost; urgent when it is to be
// sent again whatever the window says.
func (f *Flow) miss(q frcp.Seq, urgent bool) {
	s := &f.snd
	s.at(q).place = missing
	s.flight--
	s.left = min(s.left, s.flight)
	s.lost++
	if q == s.una {
		s.gap = 0
	}
	if q.Before(s.scan) {
		s.scan = q
	}
	if urgent {
		s.urgent++
	}
}

// mayRepeat reports whether a lost packet may be sent again now.
func (f *Flow) mayRepeat(now int64) bool {
	if f.snd.urgent > 0 {
		f.snd.urgent--
		return true
	}
	return f.snd.flight-f.snd.left < f.cc.window && f.inPace(now)
}

// repeat sends the oldest lost packet again.
func (f *Flow) repeat(now int64) *packet.Buffer {
	s := &f.snd
	for s.at(s.scan).place != missing {
		s.scan++
	}
	q := s.scan
	s.scan++
	s.lost--
	if q == s.una {
		s.rtoAt = 0 // of this transmission
	}
	return f.fly(s.at(q), f.dataHeader(q, now), now)
}

// expire is the retransmission time-out: nothing was acknowledged for long.
func (f *Flow) expire(now int64) {
	s := &f.snd
	late := now - s.rtoAt
	s.rtoAt = 0
	if s.outstanding() == 0 {
		return
	}
	if late > int64(time.Millisecond) && !s.grace {
		// This host stood still. What has come meanwhile is looked at first.
		s.grace = true
		s.rtoAt = now + int64(5*time.Millisecond)
		return
	}
	if now-max(s.at(s.una).first, s.progress) > int64(maxRetransmit) {
		f.giveUp(now)
		return
	}
	if len(f.out.rest) > 0 {
		// The flow below is full: what we have sent is still on this host.
		s.rtoAt = now + f.rtt.timeout(s.backoff)
		return
	}
	f.count.Timeouts.Add(1)
	s.grace = false
	s.calm = [2]int{}
	if s.backoff == 0 && !s.recovery {
		s.calm = [2]int{f.cc.window, f.cc.threshold}
	}
	f.cc.timeout(s.backoff)
	if s.calm[0] != 0 {
		f.cc.window = 1 // what is acknowledged besides shows whether it was right
	}
	gap := now - s.at(s.una).last
	for q := s.una; q != s.nxt; q++ {
		// Twice in a row means that hints may have lied.
		if t := s.at(q); t.place == flying || t.place == landed && s.backoff > 0 {
			if t.place == landed {
				s.flight++
			}
			f.miss(q, false)
		}
	}
	s.gap = gap
	s.left, s.repeats, s.urgent, s.pace = 0, 0, 0, 0
	s.recovery, s.expired, s.recover = true, true, s.nxt
	s.backoff++
	s.rdvs = s.rdvs || s.backoff > 2 // an answer shows that the peer lives
	s.rtoAt = now + f.rtt.timeout(s.backoff)
}

// giveUp is the end of patience: the flow is down.
func (f *Flow) giveUp(now int64) {
	f.count.GaveUp.Add(1)
	f.cfg.Log.LogAttrs(context.Background(), slog.LevelWarn, "flow is down: the peer acknowledges nothing",
		slog.Duration("for", time.Duration(now-max(f.snd.at(f.snd.una).first, f.snd.progress))),
		slog.Int("packets", f.snd.outstanding()))
	was := f.state
	f.die()
	if was == closing {
		f.finish()
		return
	}
	f.events = append(f.events, flow.EventDown)
}
