package protect

import "ouroboros/internal/packet"

// sendSealed sends a batch sealed. What the flow below has no room for stays
// sealed and waits here, since a packet is sealed once for each time it is sent;
// while something waits, nothing more is taken.
func (f *Flow) sendSealed(batch []*packet.Buffer) (taken int) {
	if !f.out.ready() {
		return 0
	}
	sealed := batch[:f.sealer.Seal(batch)]
	packet.ReleaseAll(batch[len(sealed):]) // the flow was deallocated meanwhile
	if f.crc {
		addSums(sealed)
	}
	f.out.send(sealed)
	return len(batch)
}

// receiveSealed opens what was received and gives it to the user. It takes all: a
// packet that was opened cannot be given back, and what the user has no room for,
// beyond the backlog, is dropped here as it would be below.
func (f *Flow) receiveSealed(batch []*packet.Buffer) {
	run := f.opened[:0] // calls of Receive do not overlap
	for _, b := range batch {
		if b.Len() > 0 && (!f.crc || cutSumIfGood(b) || f.mayBeBare(b)) {
			run = append(run, b)
			continue
		}
		f.count(b)
		b.Release()
	}
	n := f.sealer.Open(run)
	rest := run[f.in.Put(run[:n]):n]
	f.counters.Overrun.Add(uint64(len(rest)))
	packet.ReleaseAll(rest)
	clear(run)
	f.opened = run[:0]
}

// mayBeBare reports whether a packet without a good checksum may be a control
// packet of a peer that adds none. Opening it decides.
func (f *Flow) mayBeBare(b *packet.Buffer) bool {
	if !f.ordered || !f.sealer.Authenticates() || b.Len() != headerSize+f.sealer.Overhead() {
		return false
	}
	f.counters.Bare.Add(1)
	return true
}
