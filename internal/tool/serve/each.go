package serve

import (
	"context"
	"sync"
	"time"

	"ouroboros"
)

// Each accepts flows and runs work for every one, on a goroutine of its own,
// with its descriptor. When ctx ends, reads and writes of all flows fail with
// ErrTimeout, so that work ends; it deallocates the flow before it returns, if
// it wants to do so earlier than Each. failed is told of accepts that failed.
//
// Each returns when all work has: nil after ctx has ended, else why the node
// is gone.
func Each(ctx context.Context, node *ouroboros.Client, failed func(error),
	work func(ctx context.Context, flow *ouroboros.Flow, fd int)) error {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	var fds descriptors
	return accept(ctx, node, failed, func(flow *ouroboros.Flow) {
		fd := fds.take()
		running.Go(func() {
			defer fds.give(fd)
			defer flow.Close()
			release := context.AfterFunc(ctx, func() { flow.SetDeadline(Past) })
			defer release()
			work(ctx, flow, fd)
		})
	})
}

// Past is a deadline that has been missed: it ends reads and writes at once.
var Past = time.Unix(1, 0)
