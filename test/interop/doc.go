// Package interop holds the tests of several hosts: network namespaces with
// cables between them, and a daemon in each.
//
// With two hosts, a test runs once for every layer that goes over a network and
// once a pair of peers. With more, there is a layer of layers over the cables
// (network), and a test runs once an arrangement of peers. Those of daemons of
// ours alone always run; those with the C implementation run when
// OUROBOROS_REFERENCE names the directory that it is installed in, and those of
// post-quantum algorithms when it was built with a library that has them. All of it
// needs root, for the namespaces. OUROBOROS_CAPTURE names a directory for what
// passes the cables of a network.
//
// The C implementation has known faults that are no matter of the wire. It
// loses a few of a hundred answers to flow requests, so an allocation towards
// it is tried again; a packet for a process that has ended can break it, so
// every test has new hosts and the sender ends first; with several messages
// outstanding and losses a reliable flow of its comes to a stand, so those
// tests send one at a time; its allocators and IPCPs can come to a stand for
// good, so a test of a network has a few tries (tried), each with new hosts.
package interop
