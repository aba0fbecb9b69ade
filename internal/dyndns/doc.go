// Package dyndns keeps the directory of the UDP layers in a DNS server: where
// a name is registered, as address records that IPCPs add and remove
// themselves with dynamic updates (RFC 2136), signed with TSIG (RFC 8945) if
// there is a key.
//
//	Register   397677694da4970d660892a7f7d461e9. A 10.9.0.2 ──update──► server
//	Lookup     397677694da4970d660892a7f7d461e9. A ?        ──query───► server
//	Unregister the same record, and no other                ──update──► server
//
// The name is the hash of a flow's destination in 32 hexadecimal digits,
// relative to a zone. Without a configured zone the server is asked which zone
// the bare name lies in; that is usually the root zone of a server that
// serves one layer, and it is where the C implementation writes its records:
// type A, time to live 86400.
//
// Several hosts may register the same name: each adds its own address and
// removes its own only.
//
// Queries go over UDP, and over TCP when the answer was cut. A question that
// stays without an answer is repeated, as long as the context allows. There
// are no goroutines and no sockets between calls.
package dyndns
