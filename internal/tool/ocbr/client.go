package ocbr

import (
	"context"
	"errors"

	"ouroboros"
	"ouroboros/internal/tool/clock"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/pace"
	"ouroboros/internal/tool/serve"
)

// noFlow is the exit code of a client without a flow.
const noFlow = 255

// Why a client stopped sending, as JSON says it.
const (
	endDuration = "duration"
	endSignal   = "signal"
	endSend     = "send failed"
)

// client is one test.
type client struct {
	*Options
	flow  *ouroboros.Flow
	clock clock.Clock
}

func runClient(ctx context.Context, o *Options, env console.Env, out *console.Output, node *ouroboros.Client) int {
	if !o.JSON {
		out.Printf("Client started, duration %g, rate %d b/s, size %d B.\n", o.Duration.Seconds(), o.Rate, o.Size)
	}
	flow, err := node.Alloc(ctx, o.Name, &o.QoS)
	if err != nil {
		env.Fail("Failed to allocate flow.", err)
		return noFlow
	}
	defer flow.Close()
	if o.Size == 0 {
		env.Fail("Messages of 0 bytes are not sent: the server will see none.", nil)
	}

	// A write that waits ends with the test.
	sending, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	release := context.AfterFunc(sending, func() { flow.SetDeadline(serve.Past) })
	defer release()
	c := &client{Options: o, flow: flow, clock: clock.New()}
	sent, err := c.send(sending)
	end := endDuration
	switch {
	case ctx.Err() != nil:
		end = endSignal
	case err != nil:
		end = endSend
		env.Fail("Failed to send packet.", err)
	}
	if !o.JSON {
		out.Printf("%s", sent.sentLine())
		return 0
	}
	r := result{Tool: "ocbr", Server: o.Name, Flow: flow.ID(), Size: o.Size, Rate: o.Rate, figures: sent.figures(), End: end}
	if o.Flood {
		r.Rate = 0
	}
	out.JSON(r)
	return 0
}

// send sends until the time is over, ctx ends, or it fails.
func (c *client) send(ctx context.Context) (sent count, err error) {
	message := make([]byte, c.Size)
	pacer := pace.New(len(message), c.Rate)
	waiter := pace.Waiter{Clock: c.clock, Spin: c.Spin}
	start := c.clock.Now()
	if c.Size == 0 {
		waiter.Spin = false
		waiter.Until(ctx, start+c.Duration)
		return count{span: c.clock.Now() - start}, nil
	}
	for {
		now := c.clock.Now() - start
		if now >= c.Duration || ctx.Err() != nil {
			return count{sent.packets, sent.bytes, now}, nil
		}
		if due := pacer.Due(); !c.Flood && due > now {
			waiter.Until(ctx, start+min(due, c.Duration))
			continue
		}
		number(message, sent.packets)
		if _, err := serve.Write(ctx, c.flow, message); err != nil {
			sent.span = c.clock.Now() - start
			if ctx.Err() != nil || errors.Is(err, ouroboros.ErrTimeout) {
				return sent, nil
			}
			return sent, err
		}
		sent.packets++
		sent.bytes += c.Size
		pacer.Sent(now)
	}
}
