package oap

import (
	"sync"
	"time"

	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// key is a request as it is remembered.
type key struct {
	time uint64
	id   [wire.IDSize]byte
}

// recent remembers the requests that could be repeated and still be in time,
// so that none is served twice.
//
//	seen     all of them
//	buckets  the same by when they came, oldest first: a bucket is forgotten
//	         as a whole
//
// Age is by the monotonic clock: setting the wall clock forgets nothing.
type recent struct {
	keep  time.Duration // after the arrival
	limit int           // of requests

	mu      sync.Mutex
	seen    map[key]struct{}
	buckets []bucket
	most    int // requests at once since seen was made
}

type bucket struct {
	since time.Time
	keys  []key
}

// bucketsKept is into how many buckets the requests are divided.
const bucketsKept = 20

// add remembers a request; it fails when it is known, or when there is no room.
func (r *recent) add(k key, arrived time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	width := r.keep / bucketsKept
	r.forget(arrived, width)
	if _, ok := r.seen[k]; ok {
		return denied("the request was made before").Next("each allocation needs a request of its own")
	}
	if len(r.seen) >= r.limit {
		return errno.New(errno.NoBufs, "%d requests came within %v, and not more can be told from repeated ones", len(r.seen), r.keep).
			Next("try again later")
	}
	if r.seen == nil {
		r.seen = make(map[key]struct{})
	}
	r.seen[k] = struct{}{}
	if n := len(r.buckets); n == 0 || arrived.Sub(r.buckets[n-1].since) >= width {
		r.buckets = append(r.buckets, bucket{since: arrived})
	}
	last := &r.buckets[len(r.buckets)-1]
	last.keys = append(last.keys, k)
	r.most = max(r.most, len(r.seen))
	return nil
}

// forget drops the buckets whose youngest request cannot be in time any more.
// r.mu is held.
func (r *recent) forget(now time.Time, width time.Duration) {
	n := 0
	for n < len(r.buckets) && now.Sub(r.buckets[n].since) > r.keep+width {
		for _, k := range r.buckets[n].keys {
			delete(r.seen, k)
		}
		n++
	}
	if n == 0 {
		return
	}
	r.buckets = append(r.buckets[:0:0], r.buckets[n:]...)
	// A map does not shrink: after a flood it is made anew.
	if r.most > 4096 && len(r.seen) < r.most/8 {
		seen := make(map[key]struct{}, len(r.seen))
		for k := range r.seen {
			seen[k] = struct{}{}
		}
		r.seen, r.most = seen, len(seen)
	}
}
