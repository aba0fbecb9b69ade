// Package ca is the congestion avoidance of the flows of a unicast layer, policy
// mb-ecn: members mark packets with the length of their queues, the receiver of
// a flow reports how much its packets are marked, and the sender paces them.
//
//	Sender ──► packets ──► members: ECN |= queue/16 ──► Receiver
//	   ▲                                                   │ mark
//	   └──────────── UPDATE: level, 0 to 2016 ◄────────────┘
//
// Receiver and the scale of the level, 32 times the mean mark, are those of the
// C implementation. How a sender reacts is its own affair. Law is how those of
// the C implementation do, and Sender how ours do. A sender does no harm to a
// flow that never meets congestion: it notes bytes, and the time once a batch.
//
// # Sender
//
// As with Law there are slots, a slow start that doubles the rate from slot to
// slot as long as more is wanted, and then an increase while packets pass
// unmarked and a decrease, the stronger the higher the level. Rates are per
// time, so that they mean the same whatever a slot is:
//
//	share   of the slot's packets that were sent while the level was 0, times 8,
//	        at most 1
//	up      rate · 0.5/s · max(1, (250 Mbit/s / rate)^½) · share
//	down    rate · 1/s · (level/256)^½ · (rate / 100 Mbit/s)^⅕ · (1 - share)
//
// An increase whose share of the rate falls with the rate, beside a decrease
// whose share grows, makes flows that see the same marks equal.
//
// What differs from Law, and why:
//
//   - A slot is 16.8 ms, or longer until it has 8 packets, but not longer than
//     134 ms. With Law a flow that is held back sends little, so its slots grow,
//     so that it reacts later: greedy flows come to a standstill with slots of
//     seconds, and the slots of fast ones are so short that they fall to nothing
//     within a round trip time.
//   - A report holds for 250 ms and 32 packets, not for 32 packets only. Who
//     floods a bottleneck sends hundreds of packets from one report to the next
//     and, with Law, hears of congestion for a tenth of the time.
//   - Marks count that last for the whole slot. Programs that are woken by
//     timers send what was due in bursts, which at 10 Gbit/s fill a queue with
//     hundreds of packets that are gone a moment later.
//   - While the level falls, the queue drains already: nothing more is taken off.
//   - Reports come every 8 packets, so they tell how fast packets arrive. The
//     rate is not taken below 0.7 of that, however long an old queue takes to
//     drain.
//   - A packet over the limit does not wait for the next slot but for its own
//     time, and the flow's other packets with it and nobody else's. Credit of 4
//     ms makes up for timers that fire late.
//   - A rate that is not used falls slowly, and not at once to what is used: a
//     pause of a program is no news of the network. After 5 s without marks there
//     may be more room than before, and slow start begins again.
//
// In a simulation with 4 greedy flows over bottlenecks of 8 Mbit/s to 10 Gbit/s
// and round trip times of 1 to 100 ms, over 90 % of the bottleneck is used and
// Jain's index is over 0.95. Beside flows that follow Law there is no such
// figure, since they do not share with one another: four of them use 4 % of 1
// Gbit/s, or flood 8 Mbit/s and leave nothing to two of them. Beside ours they
// get on average what they get among themselves, and one that wants 3 % of the
// bottleneck gets it.
package ca
