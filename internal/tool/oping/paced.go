package oping

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/serve"
)

// paced sends a request every interval, the first after one, whether or not
// replies arrive.
func (c *client) paced(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var sent atomic.Int64
	failed := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		if failed = !c.send(ctx, &sent); failed {
			stop()
		}
	}()
	release := context.AfterFunc(ctx, func() { c.flow.SetDeadline(serve.Past) })
	defer release()

	c.tally.end = c.receive(ctx, &sent)
	stop()
	<-done
	c.tally.sent = sent.Load()
	if failed {
		c.tally.end = endSend
	}
}

// send is the writer of a paced test. It is false when sending failed.
func (c *client) send(ctx context.Context, sent *atomic.Int64) bool {
	message := make([]byte, c.Size)
	timer := time.NewTimer(c.Interval)
	defer timer.Stop()
	next := time.Now()
	for id := int64(0); id < c.Count; id++ {
		// The time of each request is reckoned from the first, so that what
		// sending takes does not add up. After a stall the pace is taken up
		// from here.
		next = next.Add(c.Interval)
		wait := time.Until(next)
		if wait < -c.Interval {
			next = time.Now()
		}
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return true
		}
		Packet{Type: Request, ID: uint32(id), Sent: c.clock.Now()}.Encode(message)
		// The reply may be here before Write returns.
		sent.Store(id + 1)
		if _, err := serve.Write(ctx, c.flow, message); err != nil {
			sent.Store(id)
			if ctx.Err() != nil {
				return true
			}
			c.complain("Failed to send packet.\n  %v", err)
			return false
		}
	}
	return true
}

// receive is the reader of a paced test; it says why the test ended.
func (c *client) receive(ctx context.Context, sent *atomic.Int64) string {
	c.flow.SetFlags(ouroboros.ReadWrite | ouroboros.NoPartialRead | ouroboros.NoPartialWrite)
	c.flow.SetReadTimeout(c.Interval.Truncate(time.Second) + 2*time.Second)
	message := make([]byte, MaxSize)
	for c.tally.received < c.Count {
		n, err := serve.Read(ctx, c.flow, message)
		switch {
		case err == nil:
			c.accept(message[:n], sent.Load(), c.clock.Now())
		case ctx.Err() != nil:
			return endSignal
		case errors.Is(err, ouroboros.ErrTimeout):
			c.complain("Server timed out.")
			return endTimeout
		case errors.Is(err, ouroboros.ErrMsgSize):
			c.reject("Invalid message on fd %d.", console.FirstFD)
		default:
			c.complain("Failed to read packet.\n  %v", err)
			return endFlow
		}
	}
	return endCount
}
