package serve

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"ouroboros"
)

const (
	// burst is how many messages of one flow are handled before the turn of
	// the others.
	burst = 64
	// lastMessages is how many messages are read of a flow whose other side
	// is gone: more than a queue holds, and an end to one that only says so.
	lastMessages = 1 << 18
)

// shard serves a part of the flows.
type shard[S any] struct {
	*Server[S]
	set *ouroboros.FlowSet

	mu    sync.Mutex // held while a Handler works
	flows map[*ouroboros.Flow]*Flow[S]
	more  []*Flow[S] // not yet found empty
	spare []*Flow[S]
	round uint64
	buf   []byte
}

func newShard[S any](s *Server[S]) *shard[S] {
	return &shard[S]{
		Server: s,
		set:    ouroboros.NewFlowSet(),
		flows:  make(map[*ouroboros.Flow]*Flow[S]),
		buf:    make([]byte, s.Buffer),
	}
}

// add begins to serve a flow.
func (h *shard[S]) add(flow *ouroboros.Flow) {
	flow.SetFlags(ouroboros.ReadWrite | ouroboros.NonBlocking | ouroboros.NoPartialRead | ouroboros.NoPartialWrite)
	f := &Flow[S]{Flow: flow, FD: h.fds.take(), shard: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flows[flow] = f
	h.Handler.Open(f, h.Clock.Now())
	// Events count from here on. What is there already makes one.
	if err := h.set.Add(flow); err != nil {
		h.end(f, Down)
	}
}

// run handles events until ctx ends.
func (h *shard[S]) run(ctx context.Context) {
	expired, cancel := context.WithDeadline(ctx, Past)
	defer cancel()
	var events []ouroboros.FlowEvent
	for ctx.Err() == nil {
		wait := ctx
		if h.Poll || len(h.more) > 0 {
			wait = expired
		}
		var err error
		events, err = h.set.Wait(wait, events[:0])
		switch {
		case err == nil, len(h.more) > 0:
			h.handle(events)
		case !errors.Is(err, ouroboros.ErrTimeout):
			return // ctx has ended
		default:
			runtime.Gosched()
		}
	}
}

// handle works through what is there.
func (h *shard[S]) handle(events []ouroboros.FlowEvent) {
	h.mu.Lock()
	h.round++
	now := h.Clock.Now()
	more := h.more
	h.more = h.spare[:0]
	for _, f := range more {
		f.waiting = false
		h.drain(f, now)
	}
	clear(more)
	h.spare = more[:0]
	for _, e := range events {
		f := h.flows[e.Flow]
		if f == nil {
			continue // ended after the event
		}
		switch e.Type {
		case ouroboros.FlowPacket:
			h.drain(f, now)
		case ouroboros.FlowDealloc:
			h.leave(f, Dealloc, now)
		case ouroboros.FlowDown:
			if !f.Remote() { // else it may come up again, and else it is silent too long
				h.leave(f, Down, now)
			}
		case ouroboros.FlowPeer:
			h.leave(f, Peer, now)
		}
	}
	idle := len(h.more) == 0
	h.mu.Unlock()
	if idle {
		h.Handler.Idle()
	}
}

// drain handles the messages of a flow: all, or as many as its turn allows.
// A message has an event each, so that in one round most events find the flow
// emptied already.
func (h *shard[S]) drain(f *Flow[S], now time.Duration) {
	if f.gone || f.waiting || f.drained == h.round {
		return
	}
	for range burst {
		n, err := f.Read(h.buf)
		keep := true
		switch {
		case err == nil && n > 0:
			keep = h.Handler.Message(f, h.buf[:n], now)
		case err == nil:
		case err == ouroboros.ErrWouldBlock || errors.Is(err, ouroboros.ErrWouldBlock):
			f.drained = h.round
			if f.leaving != "" {
				h.end(f, f.leaving)
			}
			return
		case errors.Is(err, ouroboros.ErrMsgSize):
			keep = h.Handler.TooLong(f, now)
		case f.leaving != "":
			h.end(f, f.leaving)
			return
		case errors.Is(err, ouroboros.ErrFlowDown), errors.Is(err, ouroboros.ErrFlowPeer):
			// The read does not tell a deallocation from a crash. The event
			// that follows does.
			f.drained = h.round
			return
		default:
			h.end(f, Down)
			return
		}
		if !keep {
			h.end(f, Finished)
			return
		}
	}
	if f.leaving != "" {
		if f.budget -= burst; f.budget <= 0 {
			h.end(f, f.leaving)
			return
		}
	}
	f.waiting = true
	h.more = append(h.more, f)
}

// leave ends a flow whose other side is gone when all is read.
func (h *shard[S]) leave(f *Flow[S], why Reason, now time.Duration) {
	if f.leaving == "" {
		f.leaving, f.budget = why, lastMessages
	}
	f.drained = 0
	h.drain(f, now)
}

// end ends a flow.
func (h *shard[S]) end(f *Flow[S], why Reason) {
	if f.gone {
		return
	}
	f.gone = true
	delete(h.flows, f.Flow)
	h.set.Remove(f.Flow)
	h.Handler.Close(f, why, h.Clock.Now())
	// A reliable flow may wait for its last acknowledgements.
	h.ending.Go(func() {
		f.Flow.Close()
		h.fds.give(f.FD)
	})
}

// tick is the shard's clockwork.
func (h *shard[S]) tick(ctx context.Context) {
	t := time.NewTicker(h.Server.Tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		h.mu.Lock()
		now := h.Clock.Now()
		for _, f := range h.flows {
			if !h.Handler.Tick(f, now) {
				h.end(f, Finished)
			}
		}
		h.mu.Unlock()
		h.Handler.Idle()
	}
}

// close ends all flows; run and tick have returned.
func (h *shard[S]) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.flows {
		h.end(f, Stopped)
	}
	h.set.Close()
}
