// Package interop holds the tests of two hosts: network namespaces with a
// cable between them, a daemon in each, and every layer that goes over a
// network.
//
// Each test runs once a layer and once a pair of peers. The pair of two
// daemons of ours always runs; the pairs with the C implementation run when
// OUROBOROS_REFERENCE names the directory that it is installed in. All of it
// needs root, for the namespaces.
//
// The C implementation has known faults that are no matter of the wire. It
// loses a few of a hundred answers to flow requests, so an allocation towards
// it is tried again; a packet for a process that has ended can break it, so
// every test has new hosts and the sender ends first; with several messages
// outstanding and losses a reliable flow of its comes to a stand, so those
// tests send one at a time.
package interop
