// Package frcp is the machine of the flow and retransmission control protocol,
// which runs on every flow that is to be in order. It wraps a flow.Flow and is
// one again:
//
//	user            Send ▼                      ▲ Receive
//	       ┌─────────────┴──────────────────────┴─────────────┐
//	       │ queue ► window, pacing ► header     run ► order  │
//	       │   ▲                        │          │          │
//	       │   └── lost? ◄── copies ◄───┤          └► answers │
//	       └────────────────────────────┼──────────┬────▲─────┘
//	below                          Send ▼          ▲ Receive
//
// The header is that of internal/wire/frcp; checksums, encryption and
// keep-alives are the business of the flow below, so that a retransmission
// passes through them like the original.
//
// # Two kinds of flows
//
// On a reliable flow (loss 0) each packet is kept until the peer has it, and
// the receiver puts what comes into order. On the other kind nothing is sent
// again: the receiver passes over gaps at once and drops what comes late. It
// does not wait for a late packet, since it cannot know that there is one, and
// each loss would then delay what is there; who asks for order without
// reliability asks for the newest. Both kinds obey the peer's window.
//
// # Receiving
//
// Packets are taken in on arrival, whatever the application does. In order they
// go to the handler; what it does not take waits in an Inbox and closes the
// window, so a slow reader slows the sender, and since an acknowledgement says
// "has come" and not "was read", never makes it give up. A window that was
// small is announced when the reader has made room.
//
// An acknowledgement is sent at the end of a received batch when there is
// enough to say, at once after a gap or a duplicate, otherwise after a few
// milliseconds; data carries it along.
//
// # Runs
//
// A run is a sequence of numbers that begins with a packet with DRF. The first
// number is chosen when the flow is made and numbering goes on after silence,
// because a C peer that was refreshed by our acknowledgements would not take a
// new one. Until it is known that the peer has the beginning of our run, each
// packet without data carries DRF and our next number: a C peer that hears
// anything else first never accepts our data. A new run of the peer is accepted
// when nothing has come for the inactivity time.
//
// # Losses
//
// The header has no selective acknowledgement. But the number of a packet
// without data and without DRF has no meaning to anybody, and is 0 from a C
// peer. This machine puts there the number of the packet that it answers, and
// in place of the window, which is then not announced, how many have come in a
// row before it: a hint of what has come beyond a gap. A sender that sees hints knows what is
// missing: whatever was sent at least three packets before something that has
// arrived. Without hints it does what TCP does without selective
// acknowledgements: three repeated acknowledgements mean that the oldest packet
// is lost, and each partial acknowledgement that the next one is. Whatever is
// still not acknowledged after the time-out is sent again from the oldest on,
// with the time-out doubling; where there are hints, a single packet first, so
// that a path or a peer that stood still is not taken for one that lost all.
// From the third one in a row on a rendez-vous goes with it. A machine of this kind
// answers that by an acknowledgement too, not by a window alone as a C peer does.
// What was repeated gives no sample of the round trip time, only a bound as long
// as there is none, unless the repetition came so long after the transmission
// before that no other can be answered; all else does.
//
// How much may be on the way is said by the peer's window and by congestion,
// see there. On paths of more than two milliseconds packets are spread over
// the round trip time, so that no burst is longer than 64.
//
// # The end
//
// Dealloc returns at once. What was sent is still delivered, with linger on
// until it is acknowledged, then the last acknowledgement is sent and the flow
// below deallocated.
//
// # Locks and timers
//
// One mutex a flow, held neither during calls below nor above. One goroutine at
// a time sends and one delivers; what others bring meanwhile is carried by
// these, so order is kept. There is one timer, which is started only for a time
// earlier than that it waits for: deadlines that move away with each packet
// cost nothing, and a flow on which nothing happens has no timer.
package frcp
