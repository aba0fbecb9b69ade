// Package ring is the data path of a flow between two owners: a segment of
// memory with two single-producer single-consumer rings, and a link with the
// doorbells of all flows between the same two.
//
//	  owner A (side 0)            segment                 owner B (side 1)
//	┌──────────────────┐   ┌───────────────────┐        ┌──────────────────┐
//	│ End.Write ───────┼──►│ ring 0 ──────────►│────────┼──► End.Read      │
//	│ End.Read  ◄──────┼───│◄────────── ring 1 │◄───────┼─── End.Write     │
//	└────────▲─────────┘   │ control page      │        └────────▲─────────┘
//	         │             └───────────────────┘                 │
//	      poller ◄──── link: bitmap + idle word + eventfd ───► poller
//
// # Segment
//
// A segment is one control page and two rings. Between processes it is a
// sealed memfd that only the two ends can map; inside one program it is
// anonymous memory. Rings are sparse: memory is used as far as messages got.
//
//	offset       size  control page
//	d*1024       8     tail of ring d: position/8 << 32 | messages written; by the producer
//	d*1024+128   8     head of ring d: position/8 << 32 | messages read; by the consumer
//	d*1024+256   4     data armed: 1 = the consumer sleeps, ring for data
//	d*1024+384   4     room armed: n+1 = the producer sleeps, ring when n units of 8 bytes or fewer are used
//	2048+s*128   8     state of side s, see state
//	2056+s*128   4     longest message in bytes that side s passes on; 0 = as the ring
//	4096         size  ring 0, from side 0 to side 1
//	4096+size    size  ring 1, from side 1 to side 0
//
// Positions count bytes since the beginning and never go back; the offset in
// the ring is the position modulo its size. One store publishes a position
// together with the message count. A record is 8-aligned and may wrap:
//
//	0  4  length of the payload in bytes, at least 1; of a skip: bytes to pass over
//	4  4  kind: 0 message, 1 skip
//	8  n  payload, padded to 8
//
// The producer uses as little of the ring as it can: when everything was read
// it skips back to offset 0 as soon as a page is full, and under load it
// cycles through twice its window. Small footprint, warm caches.
//
// The flows in the lowest slots of a link between processes live in the memory
// of the link itself (LinkSegments). It is mapped once, so a flow that comes
// and goes costs no descriptor, no mapping and no page fault; the maker of the
// link clears the control page before a slot is used again, and the last end
// gives back what a flow has filled. That both ends of the last flow can still
// write there changes nothing: they are the ends of the next one as well.
//
// # Doorbells
//
// A side that found nothing spins for a bounded while, then arms its word,
// looks again, and sleeps. The other side looks at the armed word after
// publishing; it clears it and rings only then. All these are sequentially
// consistent, so one of both always sees the other. Ringing sets the flow's
// bit in the link, and writes the eventfd only when the poller of the other
// side said that it sleeps.
//
// # Trust
//
// The other side may write anything anywhere in the shared memory at any time.
// Own positions are kept in private memory. Words of the other side are read
// once and checked against them; payloads are copied out before anybody looks.
// An end that sees an impossible word is poisoned: it answers errno.FlowDown
// from then on, its link counts it, and no other flow is touched. Bits of a
// link can only wake flows of that very link, once too often.
package ring
