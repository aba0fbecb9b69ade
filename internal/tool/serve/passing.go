package serve

import (
	"context"
	"errors"
	"time"

	"ouroboros"
)

// look is how often a flow that is down is looked at.
const look = 10 * time.Millisecond

// Read is flow.Read for a client that outlasts a layer that loses its carrier
// and gets it back: it waits for that as for a message, no longer than the
// read time-out.
func Read(ctx context.Context, flow *ouroboros.Flow, p []byte) (n int, err error) {
	n, err = flow.Read(p)
	if err == nil || !passing(flow, err) {
		return n, err
	}
	err = again(ctx, flow.ReadTimeout(), func() error {
		n, err = flow.Read(p)
		return err
	}, flow)
	return n, err
}

// Write is flow.Write in the same way.
func Write(ctx context.Context, flow *ouroboros.Flow, p []byte) (n int, err error) {
	n, err = flow.Write(p)
	if err == nil || !passing(flow, err) {
		return n, err
	}
	err = again(ctx, flow.WriteTimeout(), func() error {
		n, err = flow.Write(p)
		return err
	}, flow)
	return n, err
}

// passing reports whether an error of a flow may pass.
func passing(flow *ouroboros.Flow, err error) bool {
	return errors.Is(err, ouroboros.ErrFlowDown) && flow.Remote() && !flow.Ended()
}

// again calls f until it fails for another reason than a flow that is down, or
// does not fail; ErrTimeout after wait unless that is negative.
func again(ctx context.Context, wait time.Duration, f func() error, flow *ouroboros.Flow) error {
	begun := time.Now()
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ouroboros.ErrTimeout
		}
		if err := f(); err == nil || !passing(flow, err) {
			return err
		}
		if wait >= 0 && time.Since(begun) > wait {
			return ouroboros.ErrTimeout
		}
	}
}
