package spantree

import (
	"time"

	"ouroboros/internal/wire/tree"
)

// Port is one connection to another member.
type Port struct {
	m       *Machine
	peer    uint64
	removed bool
	down    bool // carries nothing at this side
	silent  bool

	// What the neighbour said last.
	heard    bool
	heardAt  time.Time
	serial   uint32
	root     uint64
	seq      uint64
	hops     uint16
	epoch    uint32
	attached bool
	child    bool   // this member is its parent
	joined   uint32 // as of which epoch
	peerDown bool   // carries nothing at its side

	// What it was told.
	told   tree.Message  // without Ack
	acked  bool          // it has told
	due    time.Time     // of the next message
	repeat time.Duration // until then, when it is not acknowledged

	// Requests.
	wanted  bool // news of askRoot are
	askRoot uint64
	askSeq  uint64
	askAt   time.Time
	passed  [4]passed // the last that came here and went on

	// Root changes that came from here.
	flaps    int
	flapsEnd time.Time
	doubt    time.Duration // the last
	doubtEnd time.Time
}

// passed is a request that went on.
type passed struct {
	root, seq uint64
	at        time.Time
}

// Peer is the id of the neighbour.
func (p *Port) Peer() uint64 { return p.peer }

// Forwards reports whether packets are taken from the port, and sent to it.
func (p *Port) Forwards() bool {
	return p.isParent() || p.isChild()
}

// Role says for people what the port is: "parent", "child", "spare" (a way that
// is not needed now), "down", or "new".
func (p *Port) Role() string {
	switch {
	case !p.heard:
		return "new"
	case !p.up():
		return "down"
	case p.isParent():
		return "parent"
	case p.isChild():
		return "child"
	}
	return "spare"
}

// Settled reports whether both sides know of each other what they decided.
func (p *Port) Settled() bool {
	return p.heard && p.acked && p.root == p.m.root && !p.child == !p.isChild()
}

func (p *Port) up() bool {
	return p.heard && !p.removed && !p.down && !p.peerDown && !p.silent
}

// isParent: the child forwards as soon as it has chosen.
func (p *Port) isParent() bool { return p.up() && p == p.m.parent && p.root == p.m.root }

// isChild: the parent forwards when the child has heard of its present root.
func (p *Port) isChild() bool {
	return p.up() && p.child && p.root == p.m.root && p.joined == p.m.epoch
}

// doubted: the neighbour has changed the root too often.
func (p *Port) doubted(now time.Time) bool { return now.Before(p.doubtEnd) }

// hear takes a State; false when it is an old one.
func (p *Port) hear(now time.Time, msg tree.Message) bool {
	if p.heard && int32(msg.Serial-p.serial) < 0 {
		return false
	}
	p.heardAt, p.silent = now, false
	if !p.heard || msg.Serial != p.serial {
		p.due = now // the acknowledgement
	}
	p.heard, p.serial = true, msg.Serial
	p.root, p.seq, p.hops, p.epoch = msg.Root, msg.Seq, msg.Hops, msg.Epoch
	p.attached = msg.Flags&tree.Attached != 0
	p.child = msg.Flags&tree.Parent != 0
	p.peerDown = msg.Flags&tree.Down != 0
	p.joined = msg.Joined
	if msg.Ack == p.told.Serial && p.told.Serial != 0 && !p.acked {
		p.acked = true
		if p.due.After(now) {
			p.due = now.Add(Hello)
		}
	}
	return true
}

// refresh notes what the neighbour must be told anew.
func (p *Port) refresh(now time.Time) {
	m := p.m
	s := tree.Message{
		Kind: tree.State, Serial: p.told.Serial, Epoch: m.epoch,
		Hops: m.hops, Sender: m.own, Root: m.root, Seq: m.seq,
	}
	if m.attached {
		s.Flags |= tree.Attached
	}
	if p == m.parent {
		s.Flags |= tree.Parent
		s.Joined = p.epoch
	}
	if p.down {
		s.Flags |= tree.Down
	}
	if s == p.told {
		return
	}
	s.Serial++
	if s.Serial == 0 { // means none
		s.Serial = 1
	}
	p.told, p.acked, p.due, p.repeat = s, false, now, firstRepeat
}

// message is the State to be sent now, and sets when it is sent again.
func (p *Port) message(now time.Time) tree.Message {
	next := Hello
	if !p.acked {
		next = p.repeat
		p.repeat = min(2*p.repeat, Hello)
	}
	p.due = now.Add(next)
	s := p.told
	s.Ack = p.serial
	return s
}
