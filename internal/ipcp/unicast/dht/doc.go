// Package dht is the directory of a unicast layer: a Kademlia table that maps
// the hash of a name to the addresses of the members where it is registered.
// Every member runs one; package wire/dht has the messages.
//
//	 Reg, Unreg, Query          routing: Members, RoutesChanged
//	        ▼                              ▼
//	┌──────────────────────── Directory ─────────────────────────┐
//	│ own names ── publish ──► outbox        lookups ── requests │
//	│ values of others        contacts in buckets by distance    │
//	└────────┬───────────────────────────────────────▲───────────┘
//	         ▼ Network.Send                          │ endpoint 1
//
// One goroutine owns all of it. What arrives waits for it in a queue of bounded
// length; nothing that is sent waits for anybody.
//
// # Who is a contact
//
// A message says from whom it is, and nothing proves it: the header of data
// transfer has no source. So the sender of a message, and a contact that others
// name, is a claim. It becomes a contact when it has answered a request that
// was sent to its address, with the cookie that only this request had. An
// address has one id, the one of its latest answer. What a liar can have is
// therefore the place of his own address, and a ping now and then for others'.
// A contact that leaves two requests in a row unanswered goes, and a spare one
// takes its place; one without a route is not asked and not named.
//
// # Lookups
//
// A lookup asks the k closest members that it knows or hears of, alpha at a
// time, until they have all answered. One for a value ends a moment after the
// first value that leads to a reachable member. A layer of up to 20 known
// contacts is asked as a whole before the answer is no.
//
// # Members of the C implementation
//
// They ask three of their oldest contacts, whatever the distance, and never
// follow the contacts of an answer. What they ask for must be found at nearly
// every member. Therefore:
//
//   - In a layer of up to 20 known contacts a value is stored at all of them, in
//     a larger one at the k closest. A contact that appears gets what it should
//     have had.
//
//   - A value that one of them stored here is passed on to where it belongs.
//
//   - Who is asked for a value that it does not have looks for it and answers
//     when it has found it, or after 1.5 seconds without: it helps.
//
//   - They are named members of ours, which help, rather than of their own make:
//     whom they are named they ask later.
//
// What one of them has stored at others of its make alone, and asks only those
// for, no member of ours hears of.
//
// A member of ours needs no help, and must get none, or the requests of one
// help would be helped by all that they reach, and so on. It says so in its
// cookies: the lower 16 bits of a cookie are a sum of the upper 48, which are
// random, and the key. A cookie of another make passes for one of these once in
// 65536 times, and then the answer is that of a member of its own make. So a
// help goes one step and no further: the requests of a help bear the mark and
// are answered at once with what is there, by every member. It is also bounded
// where it begins: there is one lookup for a key at a time, which all who ask
// for the key share, a key that was not found is not looked for again within a
// second, and helps are limited in number and rate.
//
// # Values
//
// A value lives until a time that its owner chose: twice the time after which it
// is published again, and some slack, so that a name that was unregistered, or
// whose member is gone, is forgotten soon. Nothing of it can be taken back
// sooner. A member that holds a value for another passes it on only when it has
// not been given it for a while.
//
// # Bounds
//
// Everything that others can make grow has a limit: contacts and claims,
// values in all and of a key, lookups, requests, others' questions, and what
// is to be sent. When there is no room for a value, the member that has most of
// them loses one. Answers are limited in rate, for each address and for all
// addresses that never answered together, and in length, to ten times that of
// the question.
package dht
