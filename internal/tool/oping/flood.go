package oping

import (
	"context"
	"errors"
	"runtime"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/serve"
)

const (
	// replyTime is how long a flood waits for a reply before it sends the
	// next request.
	replyTime = time.Second
	// silence is how long a flood goes on without any reply.
	silence = 5 * time.Second
)

// flood sends the next request when the reply to the last is there, or is
// given up.
func (c *client) flood(ctx context.Context) {
	flags := ouroboros.ReadWrite | ouroboros.NoPartialRead | ouroboros.NoPartialWrite
	if c.FloodBusy {
		flags |= ouroboros.NonBlockingRead
	}
	c.flow.SetFlags(flags)
	c.flow.SetReadTimeout(replyTime)

	request := make([]byte, c.Size)
	reply := make([]byte, MaxSize)
	end := c.start + c.Duration
	heard := c.start
	for id := int64(0); id < c.Count; id++ {
		now := c.clock.Now()
		switch {
		case ctx.Err() != nil:
			return
		case c.Timed && now >= end:
			c.tally.end = endDuration
			return
		case now-heard > silence:
			c.complain("Server timed out.")
			c.tally.end = endTimeout
			return
		}
		Packet{Type: Request, ID: uint32(id), Sent: now}.Encode(request)
		if _, err := serve.Write(ctx, c.flow, request); err != nil {
			if ctx.Err() == nil {
				c.complain("Failed to send packet.\n  %v", err)
				c.tally.end = endSend
			}
			return
		}
		c.tally.sent = id + 1
		at, err := c.await(ctx, id, now, reply)
		switch {
		case err == nil:
			heard = at
		case errors.Is(err, ouroboros.ErrTimeout):
		default:
			if ctx.Err() == nil {
				c.complain("Failed to read packet.\n  %v", err)
				c.tally.end = endFlow
			}
			return
		}
	}
	c.tally.end = endCount
}

// spins is how many empty reads a busy flood makes before it looks at the
// clock and the context.
const spins = 1 << 10

// await reads until the reply to id is there, and says when. Replies to
// earlier requests are counted on the way. The error is ErrTimeout when there
// was none within replyTime.
func (c *client) await(ctx context.Context, id int64, sent time.Duration, reply []byte) (at time.Duration, err error) {
	for empty := 0; ; {
		n, err := serve.Read(ctx, c.flow, reply)
		if err == nil {
			at = c.clock.Now()
			if got, ok := c.accept(reply[:n], id+1, at); ok && got == id {
				return at, nil
			}
			if at-sent > replyTime {
				return at, ouroboros.ErrTimeout
			}
			continue
		}
		switch {
		case errors.Is(err, ouroboros.ErrMsgSize):
			c.reject("Invalid message on fd %d.", console.FirstFD)
		case wouldBlock(err):
		default:
			return 0, err
		}
		if empty++; empty < spins {
			continue
		}
		empty = 0
		if ctx.Err() != nil || c.clock.Now()-sent > replyTime {
			return 0, ouroboros.ErrTimeout
		}
		runtime.Gosched()
	}
}
