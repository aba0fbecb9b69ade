package udp

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// refusals remembers which destinations cannot have trains of which segments,
// for a while: routes and devices change. Two destinations that share a place
// drive each other out, which costs a failed system call now and then.
type refusals struct {
	places [64]atomic.Pointer[refusal]
}

// refusal: segments of size bytes and more cannot form a train to the address.
type refusal struct {
	to    netip.Addr
	size  int
	until time.Time
}

const refusalLife = 30 * time.Second

func (r *refusals) place(to netip.Addr) *atomic.Pointer[refusal] {
	ip := to.As16()
	h := uint32(2166136261)
	for _, b := range ip {
		h = (h ^ uint32(b)) * 16777619
	}
	return &r.places[(h^h>>16)%uint32(len(r.places))]
}

// longest gives the longest segment in bytes that a train to an address may
// have.
func (r *refusals) longest(to netip.Addr) int {
	f := r.place(to).Load()
	if f == nil || f.to != to || time.Now().After(f.until) {
		return MaxDatagram
	}
	return f.size - 1
}

// add remembers that segments of size bytes were refused.
func (r *refusals) add(to netip.Addr, size int) {
	size = min(size, r.longest(to)+1)
	r.place(to).Store(&refusal{to: to, size: size, until: time.Now().Add(refusalLife)})
}
