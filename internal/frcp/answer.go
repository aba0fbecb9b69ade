package frcp

import (
	"time"

	"ouroboros/internal/packet"
	"ouroboros/internal/wire/frcp"
)

// How long an acknowledgement waits for data that carries it, and for more to
// acknowledge: longer when the user sends data too.
const (
	ackDelay       = 10 * time.Millisecond
	ackDelayOneWay = 2 * time.Millisecond
	oneWay         = 100 * time.Millisecond // without data of ours
)

// mostRow is the most packets that one hint speaks of, beyond the one it names.
const mostRow = 255

// Packets that are acknowledged at once: few at a slow pace, where the sender
// waits for each of them, more at a fast one.
const (
	leastQuota = 2
	mostQuota  = 32
	fastPace   = int64(200 * time.Microsecond) // for a quota
)

// promise decides whether what came is acknowledged, or the window announced,
// now or later.
func (f *Flow) promise(now int64) {
	r := &f.rcv
	if !r.run || r.ackNow {
		return
	}
	gain := f.openWindow(false)
	left := r.edge.Since(r.next)
	if gain >= f.cfg.Window/4 || left < f.cfg.Window/8 && gain >= max(1, f.cfg.Window/16) {
		r.ackNow = true
		return
	}
	if !f.reliable {
		step := windowStep
		if r.first {
			step = windowStep / 2 // as many may be lost of the first that are sent
		}
		if gain > 0 && r.next.Since(r.base) >= step {
			r.ackNow = true
		}
		return
	}
	if r.unacked == 0 {
		return
	}
	r.quota = max(r.quota, leastQuota)
	if r.unacked >= r.quota {
		r.ackNow = true
		if now-r.since < fastPace*int64(r.unacked)/int64(r.quota) {
			r.quota = min(2*r.quota, mostQuota)
		}
		return
	}
	if r.ackAt == 0 {
		delay := ackDelay
		if !f.snd.started || now-f.snd.spoke > int64(oneWay) {
			delay = ackDelayOneWay
		}
		r.ackAt = now + int64(delay)
	}
}

// answerDuplicate acknowledges at once what had come before: the peer must
// have missed the acknowledgement. One for a batch is enough.
func (f *Flow) answerDuplicate(n frcp.Seq) {
	r := &f.rcv
	if !r.answered {
		r.answered = true
		r.answers = append(r.answers, n)
	}
}

// carried notes that data has carried acknowledgement and window.
func (f *Flow) carried(now int64) {
	if f.rcv.fresh(now, f.inactivity) {
		f.told()
	}
}

// told notes that the peer is being told of next and edge.
func (f *Flow) told() {
	r := &f.rcv
	r.acked, r.base = r.next, r.next
	r.unacked, r.ackAt, r.ackNow, r.first = 0, 0, r.ackNow && r.rdvs, false
}

// acknowledge makes a packet without data that says what has come and what may
// come: ACK and FC, or FC alone without retransmission. A rendez-vous is answered
// by both too, though a C peer says FC alone: who asks has mostly missed an
// acknowledgement, and one more packet to say so may be lost as well.
func (f *Flow) acknowledge(now int64) *packet.Buffer {
	r := &f.rcv
	if r.unacked > 0 && r.unacked < r.quota && r.kept == 0 {
		r.quota = max(r.quota/2, leastQuota) // a slow pace
	}
	h := frcp.Header{Flags: frcp.FC}
	if f.reliable {
		h.Flags |= frcp.ACK
		h.Ack = r.next
		f.count.AcksSent.Add(1)
	} else {
		f.count.WindowsSent.Add(1)
	}
	f.openWindow(true)
	r.rdvs = false
	f.told()
	h.Window = uint32(r.edge)
	return f.control(h, now)
}

// answer makes the acknowledgement of a packet that came beyond a gap or
// twice, with the hint of its number and of how many have come in a row before
// it, in place of the window. What a lost hint said is in the next one. Without
// a row the window is the one of the last acknowledgement, so that a peer that
// counts repeated ones sees one.
func (f *Flow) answer(now int64) *packet.Buffer {
	r := &f.rcv
	n := r.answers[0]
	r.answers = r.answers[:copy(r.answers, r.answers[1:])]
	r.acked, r.unacked, r.ackAt = r.next, 0, 0
	f.count.AcksSent.Add(1)
	h := frcp.Header{Flags: frcp.ACK | frcp.FC, Window: uint32(r.edge), Ack: r.next, Seq: n}
	if row := r.row(n); row > 0 {
		h.Flags, h.Window = frcp.ACK, row
	}
	return f.control(h, now)
}

// row is the number of packets in a row before n that are kept, up to mostRow.
func (r *receiver) row(n frcp.Seq) (count uint32) {
	if !n.After(r.next) || r.kept == 0 {
		return 0
	}
	mask := uint32(len(r.ring) - 1)
	for p := n - 1; p.After(r.next) && count < mostRow && r.ring[uint32(p)&mask] != nil; p-- {
		count++
	}
	return count
}

// control makes a packet without data. As long as the peer may not have the
// beginning of our run, it says where that is.
func (f *Flow) control(h frcp.Header, now int64) *packet.Buffer {
	s, r := &f.snd, &f.rcv
	if !s.started && (r.knownAt == 0 || now-r.knownAt > int64(maxAckDelay)) {
		h.Flags |= frcp.DRF
		h.Seq = s.nxt
		if !h.Flags.Has(frcp.FC) {
			h.Window = 0 // of a hint, which this is no more
		}
	}
	b := packet.Get(frcp.HeaderLen)
	h.Put(b.Bytes())
	return b
}
