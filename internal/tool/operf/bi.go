package operf

import (
	"context"
	"errors"

	"ouroboros"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/pace"
	"ouroboros/internal/tool/serve"
)

// bi sends, and counts what comes back.
func (c *client) bi(ctx context.Context) {
	c.pending = newPending()
	c.flow.SetFlags(ouroboros.ReadWrite | ouroboros.NoPartialRead | ouroboros.NoPartialWrite)
	wait := lastReply
	if !c.Flood {
		wait += pace.New(c.Size, c.Rate).Gap()
	}
	c.flow.SetReadTimeout(wait)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var end string
	done := make(chan struct{})
	go func() {
		defer close(done)
		end = c.send(ctx)
		c.finished.Store(true)
		// The reader may have read the last already, or the last may be on
		// its way: then the reader sees that it is.
		if c.received.Load() == c.tally.sent {
			c.flow.SetReadDeadline(serve.Past)
		}
	}()
	failed := c.receive(ctx)
	stop()
	<-done
	c.tally.received = c.received.Load()
	if c.tally.end = end; failed != "" {
		c.tally.end = failed
	}
}

// receive reads until all is back, or none comes; it says what failed.
func (c *client) receive(ctx context.Context) (failed string) {
	message := make([]byte, c.Size)
	for !c.allBack() {
		n, err := serve.Read(ctx, c.flow, message)
		switch {
		case err == nil:
			c.accept(message[:n])
		case c.allBack(), ctx.Err() != nil:
			return ""
		case errors.Is(err, ouroboros.ErrTimeout):
			c.complain("Server timed out.\n")
			return endTimeout
		case errors.Is(err, ouroboros.ErrMsgSize):
			c.reject()
		default:
			c.complain("Failed to read packet.\n  %v\n", err)
			return endFlow
		}
	}
	return ""
}

// allBack reports whether nothing more is to come.
func (c *client) allBack() bool {
	return c.finished.Load() && c.received.Load() >= c.pending.sent.Load()
}

// accept takes a message that came back.
func (c *client) accept(message []byte) {
	id, ok := idOf(message)
	if !ok || len(message) != c.Size {
		c.reject()
		return
	}
	switch at, fate := c.pending.receive(id); fate {
	case unknown:
		c.reject()
	case repeated:
		c.tally.duplicates++
	case returned:
		c.tally.rtt.Record(c.clock.Now() - at)
		c.received.Add(1)
	case forgotten:
		c.received.Add(1)
	}
}

func (c *client) reject() {
	c.tally.invalid++
	c.complain("Invalid message on fd %d.\n", console.FirstFD)
}
