// Package serve is the machine under the servers of the tools: it accepts
// flows, gives each the lowest free descriptor, reads their messages without
// ever waiting for one of them, and forgets a flow as soon as its other side
// is gone.
//
//	Accept ──► shard ──► Handler.Message ...
//	           one goroutine and one FlowSet each; a flow stays in its shard
//
// There is no table that can be full: the number of flows is bounded by the
// node alone.
package serve

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/clock"
)

// Reason is why a flow ended.
type Reason string

// The reasons.
const (
	Dealloc  Reason = "deallocated" // the other side deallocated
	Down     Reason = "down"        // the other side is gone
	Peer     Reason = "peer timeout"
	Finished Reason = "finished" // a method of the Handler said so
	Stopped  Reason = "stopped"  // the server ends
)

// Flow is a flow that is served. S is what the Handler keeps for it.
//
// Reads and writes do not wait.
type Flow[S any] struct {
	*ouroboros.Flow
	FD    int
	State S

	shard   *shard[S]
	waiting bool   // in shard.more
	drained uint64 // the round in which it was found empty
	leaving Reason // set when its other side is gone; what is queued is read yet
	budget  int    // messages that are read of it after that
	gone    bool
}

// Handler is a server's work. The calls for one flow do not overlap; those for
// different flows may.
type Handler[S any] interface {
	// Open takes a new flow.
	Open(f *Flow[S], now time.Duration)
	// Message takes a message of at least a byte; p is used again after the
	// return. The flow ends when it returns false.
	Message(f *Flow[S], p []byte, now time.Duration) bool
	// TooLong says that a message was longer than Server.Buffer and lost. The
	// flow ends when it returns false.
	TooLong(f *Flow[S], now time.Duration) bool
	// Tick is called every Server.Tick. The flow ends when it returns false.
	Tick(f *Flow[S], now time.Duration) bool
	// Close is the last call for a flow.
	Close(f *Flow[S], why Reason, now time.Duration)
	// Idle is called when all messages that were there have been handled.
	Idle()
	// AcceptFailed says that one accept failed; the next follows.
	AcceptFailed(err error)
}

// Server says how to serve.
type Server[S any] struct {
	Node    *ouroboros.Client
	Handler Handler[S]
	Clock   clock.Clock
	Buffer  int           // longest message that is read, in bytes
	Tick    time.Duration // between calls of Handler.Tick
	Poll    bool          // never sleep when nothing is there
	Shards  int           // goroutines that read; 0 means one a processor

	fds    descriptors
	shards []*shard[S]
	ending sync.WaitGroup // deallocations
}

// retryAfter is the pause after an accept that failed.
const retryAfter = 100 * time.Millisecond

// Run serves until ctx ends, and returns nil then; or until the node is gone,
// which is the error. No goroutine is left behind.
func (s *Server[S]) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if s.Shards == 0 {
		s.Shards = runtime.GOMAXPROCS(0)
	}
	var work sync.WaitGroup
	for range s.Shards {
		h := newShard(s)
		s.shards = append(s.shards, h)
		work.Go(func() { h.run(ctx) })
		work.Go(func() { h.tick(ctx) })
	}
	next := 0
	err := accept(ctx, s.Node, s.Handler.AcceptFailed, func(flow *ouroboros.Flow) {
		s.shards[next].add(flow)
		next = (next + 1) % len(s.shards)
	})
	stop()
	work.Wait()
	for _, h := range s.shards {
		h.close()
	}
	s.ending.Wait()
	return err
}

// accept hands flows over until ctx ends, or the node is gone, which is the
// error.
func accept(ctx context.Context, node *ouroboros.Client, failed func(error), take func(*ouroboros.Flow)) error {
	for {
		flow, err := node.Accept(ctx)
		switch {
		case err == nil:
			take(flow)
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ouroboros.ErrIRMd), errors.Is(err, ouroboros.ErrNotAlloc):
			return err
		}
		failed(err)
		if errors.Is(err, ouroboros.ErrCrypt) || errors.Is(err, ouroboros.ErrAuth) {
			continue // the client's fault
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}
