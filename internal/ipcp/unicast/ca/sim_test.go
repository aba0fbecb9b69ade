package ca

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// A simulated bottleneck: sources send packets of one size over links of their
// own into one queue, which marks them with its length, as data transfer does,
// and drops them when it is full. Marks reach the receiver, and its reports the
// sender, a round trip after the packet has left the queue.
//
//	source ─ link ─┐
//	source ─ link ─┼─ queue ─ bottleneck ─ receivers
//	source ─ link ─┘                          │
//	   ▲──────────── reports ─────────────────┘
const (
	simPacket = 1500                 // bytes
	simQueue  = 1023                 // packets
	simLink   = 1.25                 // bytes in a ns: 10 Gbit/s
	simLate   = 1 * time.Millisecond // the most that a timer fires late
)

// source is a sender in the simulation, greedy or with a rate of its own.
type source struct {
	ours *Sender
	law  *Law
	rtt  int64
	from int64 // when it begins

	app   float64 // bytes in a ns that the application has; 0 = any number
	given float64 // that it has had until now
	burst int64   // application writes this often, ns; 0 = evenly

	next    int64 // when it acts
	free    int64 // when its link is free
	held    bool  // the law has counted a packet that waits
	recv    Receiver
	reports []simReport
	begun   bool

	sent, lost, delivered int
	waits                 int
}

type simReport struct {
	at    int64
	level uint16
}

// bottleneck is what they share.
type bottleneck struct {
	serve float64 // ns for a packet
	busy  float64 // until when the queue is served
	r     *rand.Rand

	merged  time.Duration // reports of what arrives within this are one
	mislaid float64       // share of reports that get lost
	seed    uint64

	queueMost int
	queueSum  float64
	idle      float64
	arrived   int
}

func (q *bottleneck) length(now int64) int {
	if q.busy <= float64(now) {
		return 0
	}
	return int(math.Ceil((q.busy - float64(now)) / q.serve))
}

// arrive queues a packet, and sends the report that it causes.
func (q *bottleneck) arrive(s *source, now int64) {
	n := q.length(now)
	s.sent++
	q.arrived++
	q.queueMost = max(q.queueMost, n)
	q.queueSum += float64(n)
	if n >= simQueue {
		s.lost++
		return
	}
	if q.busy < float64(now) {
		q.idle += float64(now) - q.busy
		q.busy = float64(now)
	}
	q.busy += q.serve
	s.delivered++
	if !s.recv.Packet(uint8(min(n>>4, 63))) {
		return
	}
	report := simReport{int64(q.busy) + s.rtt, s.recv.Level()}
	if last := len(s.reports) - 1; last >= 0 && s.reports[last].at+int64(q.merged) > report.at {
		s.reports[last].level = report.level
	} else if q.r.Float64() >= q.mislaid {
		s.reports = append(s.reports, report)
	}
}

// act lets a source do what it does at a moment, and sets the next.
func (s *source) act(q *bottleneck, now int64) {
	if !s.begun {
		s.begun = true
		if s.ours != nil {
			s.ours.Init(now)
		} else {
			s.law = NewLaw(now)
		}
	}
	for len(s.reports) > 0 && s.reports[0].at <= now {
		if s.ours != nil {
			s.ours.Report(s.reports[0].at, s.reports[0].level)
		} else {
			s.law.Report(s.reports[0].level)
		}
		s.reports = s.reports[1:]
	}
	if now < s.free {
		s.next = s.free
		return
	}
	if s.app > 0 && !s.held {
		t := now - s.from
		if s.burst > 0 {
			t -= t % s.burst
		}
		if float64(t)*s.app < s.given+simPacket {
			if s.burst > 0 {
				s.next = s.from + (t/s.burst+1)*s.burst
			} else {
				s.next = now + int64((s.given+simPacket-float64(t)*s.app)/s.app) + 1
			}
			return
		}
	}
	late := func() int64 { return q.r.Int64N(int64(simLate)) }
	switch {
	case s.ours != nil:
		if wait := s.ours.Admit(now, simPacket); wait > 0 {
			s.waits++
			s.next = now + int64(wait) + late()
			return
		}
	case s.held:
		s.held = false
	default:
		if wait := s.law.Send(now, simPacket); wait > 0 {
			s.waits++
			s.held = true
			s.next = now + int64(wait) + 50_000
			return
		}
	}
	s.given += simPacket
	q.arrive(s, now)
	s.free = now + int64(simPacket/simLink)
	s.next = s.free
}

// outcome is what came out of a run, after it had time to settle.
type outcome struct {
	use      float64 // of the bottleneck
	fairness float64
	shares   []float64 // bit/s
	queue    float64   // mean length that packets met
	most     int
	loss     float64
}

func (o outcome) String() string {
	s := ""
	for _, r := range o.shares {
		s += fmt.Sprintf(" %.4g", r/1e6)
	}
	return fmt.Sprintf("use %.3f fair %.3f queue %.0f most %d loss %.4f Mbit/s%s", o.use, o.fairness, o.queue, o.most, o.loss, s)
}

// run simulates from 0 to end and measures from a moment on.
func run(bits float64, end, from time.Duration, sources ...*source) outcome {
	return new(bottleneck).run(bits, end, from, sources...)
}

func (q *bottleneck) run(bits float64, end, from time.Duration, sources ...*source) outcome {
	q.serve, q.r = simPacket*8/bits*1e9, rand.New(rand.NewPCG(7, q.seed))
	for _, s := range sources {
		s.next = s.from
	}
	var before []int
	idle, sent, lost := 0.0, 0, 0
	for {
		s := sources[0]
		for _, o := range sources[1:] {
			if o.next < s.next {
				s = o
			}
		}
		now := s.next
		if before == nil && now >= int64(from) {
			idle = q.idle
			q.queueMost, q.queueSum, q.arrived = 0, 0, 0
			for _, s := range sources {
				before = append(before, s.delivered)
				sent += s.sent
				lost += s.lost
			}
		}
		if now >= int64(end) {
			break
		}
		s.act(q, now)
	}
	o := outcome{use: 1 - (q.idle-idle)/float64(end-from), queue: q.queueSum / float64(max(q.arrived, 1)), most: q.queueMost}
	sum, squares := 0.0, 0.0
	for i, s := range sources {
		x := float64(s.delivered-before[i]) * simPacket * 8 / (end - from).Seconds()
		o.shares = append(o.shares, x)
		sum += x
		squares += x * x
		sent -= s.sent
		lost -= s.lost
	}
	o.fairness = sum * sum / float64(len(sources)) / squares
	o.loss = float64(lost) / float64(sent)
	return o
}

func ours(n int, rtt, stagger time.Duration) (l []*source) {
	for i := range n {
		l = append(l, &source{ours: new(Sender), rtt: int64(rtt), from: int64(i) * int64(stagger)})
	}
	return l
}

func laws(n int, rtt, stagger time.Duration) (l []*source) {
	for i := range n {
		l = append(l, &source{law: new(Law), rtt: int64(rtt), from: int64(i) * int64(stagger)})
	}
	return l
}
