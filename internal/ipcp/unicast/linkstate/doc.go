// Package linkstate is the routing of a unicast layer. Every member tells all
// others which neighbours it reaches, keeps what it hears, and computes from it
// over which neighbour each member is reached.
//
//	 Up, Down (data transfer flows)               Install (next hops)
//	        ▼                                             ▲
//	┌───────────────────────── LinkState ─────────────────┴────────┐
//	│ own links ──► data base ──► graph: SIMPLE, LFA, ECMP         │
//	│                 │     ▲                                      │
//	│           flood ▼     │ accept                               │
//	│ peers: a queue each, bounded by the number of links          │
//	└──────────┬───────────────────────────────▲───────────────────┘
//	           ▼                               │
//	     Management connections, one update a packet (package wire/lsa)
//
// Which links exist follows from the flows of data transfer; updates travel on
// the Management connections. The two are independent.
//
// # An update
//
// One update says that one directed link exists, or with the numbers of our kind
// that it does not. A link can be used when both of its ends announce it.
//
//	of a link that is not known    kept, sent on
//	newer than what is held        kept, sent on
//	the same                       dropped: that ends the flooding
//	older                          what is held is sent back, so that parts of
//	                               a layer that were apart become one
//	of a link of this member       never kept: it is answered with a number
//	                               above, as the link is, or withdrawn
//
// Nothing is acknowledged, and flows lose packets. So each member repeats its
// links every update time, and a link of which nothing was heard for the
// time-out is removed. A new link is repeated after a second, a withdrawal after
// 100 ms and after a second. A withdrawn link is remembered for the time-out,
// so that what is older does not bring it back.
//
// # Members of the C implementation
//
// They read one packet an event and lose step when updates come in the first
// moments of a Management connection: nothing is sent on one for 50 ms. Then
// comes the data base, without links whose source is that neighbour: getting its
// own link back it would not compute a route over it. A neighbour of our kind, as
// its numbers show, gets these too, and withdraws what it could not while it was
// apart. Until a neighbour is known to be of our kind it gets fillers, packets of
// one byte that are no update, before keep-alives are due; and when it has
// announced a link with numbers of the other kind, a nudge for each new data
// transfer connection, the withdrawal of a link that never was, which makes it
// compute its routes. Such a withdrawal also follows when a link has aged out in a
// layer of both kinds, since they keep their routes over it. Members of the C
// implementation take a withdrawal for a refresh and never send one.
//
// # Who forges
//
// Updates are not authenticated. What a member that forges them can do is
// bounded: tables have limits, a link of another is put right by its originator
// as soon as the forged update reaches it, answers are paced, and no number can
// keep the originator from being heard longer than the time-out.
//
// # Threads
//
// One worker goroutine computes, calls Install and works off what is timed. The
// lock guards the data base and the queues; it is never held while something is
// sent, computed or called back.
package linkstate
