// Package seal encrypts the packets of one flow under a key that both ends have
// agreed on, and changes that key as they go. A Sealer is one end.
//
// # Packets
//
//	0         IV                      n      n + tag
//	├─────────┼───────────────────────┼───────┤
//	│   IV    │      ciphertext       │  tag  │
//	└─────────┴───────────────────────┴───────┘
//	 ▲ bit 7 of the first byte: the phase
//
//	cipher               IV   tag   key      packets longer by
//	aes-{128,192,256}-gcm 12    16   16,24,32       28
//	chacha20-poly1305     12    16   32             28
//	aes-{128,192,256}-ctr 16     0   16,24,32       16
//
// The key of a flow is always 32 bytes, of which a cipher takes the first as
// many as it needs. There is no associated data and no packet number, and both
// directions use the same key: the format says that one of the two ends wrote a
// packet, and not when, nor which. What we add is below. An empty packet is a
// keep-alive and travels as it is. With CTR a packet that was changed, or sealed
// under another key, opens to other bytes and nobody notices.
//
// Sealing and opening happen in the head and tail room of the buffer, or in a
// buffer that takes its place: nothing is copied, nothing allocated.
//
// # Keys
//
//	K(0) = the flow's key      salt = SHA-256(K(0))
//	K(n+1) = HKDF-SHA256(K(n), salt, "o7s-key-rotation", 32 bytes)
//
// An epoch is the life of one of these keys: about 2^20 packets, sent and received.
// Nothing on the wire says which epoch a packet is of. The phase bit hints at
// it, no more: the C implementation takes it from its count of packets and not
// from its key.
//
// With an AEAD the tag tells, so that ends which have counted differently,
// since packets were lost, find each other again:
//
//	send      key e, phase e mod 2
//	receive   key e, e-1, e+1, e+2, beginning with the one that opened the last
//	          packet of this phase; e+1 or e+2 moves e there
//	count     packets sent, and those received under key e; at 3/2 x 2^20 e moves
//	          on
//
// Half an epoch more than the C implementation takes is there for it. When it
// sends too it moves on at 2^20 by itself and we follow; were we to count to the
// same number, it would now and then move because of our phase and at once again
// because of its own count, and refuse what is on the way. When it only receives it
// moves on for our phase, but not before 3/4 x 2^20 packets have reached it: so half
// of them may be lost. In simulations of both, a receiver of the C implementation
// refuses nothing that arrives in order up to a loss of 45 %, nor after a quarter of
// an epoch lost in a row, where with 2^20 it refuses some from 25 % on and flows die
// of gaps.
//
// Repetitions of packets of a peer whose repetitions are not noticed, see below,
// therefore move an end by one epoch at most: what opens under e-1 is not counted. Keys e+1 and
// e+2 are made before they are needed, and e-1 is kept until the next move. A
// forged packet costs at most four failed authentications and changes nothing.
// When many in a row are refused, the peer may be far ahead, since its packets
// were lost for long: then it is looked for, see search.
//
// With CTR nothing tells, and an end that counted otherwise would read garbage:
// there the state machine of the C implementation is followed step by step, see
// counterMode. It does not survive losses near the change of a key, nor in
// two-way traffic at all; that is why those ciphers should not be chosen.
//
// # IVs
//
// An IV must never come twice under one key, whichever end draws it. An end
// draws a random start for each epoch and counts up from there: it repeats none
// within its packets of an epoch, with certainty, and collides with the other end only
// where two ranges of a space of 2^95 overlap, which happens with a probability
// below 2^-73 an epoch. Random IVs, as the C implementation draws them, would
// collide with 2^-56. (CTR: an IV is the first of the counter blocks, of which the
// longest packet takes 2^16; steps of 2^17 in a space of 2^127 keep packets
// apart, 2^-89.) Beside a C peer with random IVs it is 2^40 / 2^95 = 2^-55 that
// one of its IVs falls among ours.
//
// An IV so tells an observer what he sees anyway, how many packets have passed.
//
// # Repetitions
//
// IVs that count are numbers of packets, too, and the tag guards them. So with an
// AEAD an end of ours remembers which of the latest 16384 packets of an epoch it
// has opened, and opens none a second time; and it knows its own IVs, so a packet
// that is sent back to it is dropped. Nobody has to say that he counts: IVs that
// are drawn at random are never near each other. From a peer that draws them, as
// the C implementation, a repeated packet is opened again; on a flow that is in
// order its number there gives it away.
//
// # Secrets
//
// What derives further keys is wiped when it is no longer needed and when the
// Sealer is closed. The key schedules inside the ciphers of the standard library
// cannot be wiped; they are dropped, and nothing refers to them.
package seal
