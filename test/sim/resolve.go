package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ouroboros"
	"ouroboros/qos"
)

// resolveTime is how long a name may take to answer.
const resolveTime = 10 * time.Second

// Resolve allocates a flow from one node to the server of another and has a
// message echoed. It gives how long the allocation took.
func (n *Net) Resolve(from, to int) (time.Duration, error) {
	ctx, cancel := n.Context(resolveTime)
	defer cancel()
	begun := time.Now()
	f, err := n.Hosts[from].Client.Alloc(ctx, ServiceName(to), &qos.Raw)
	if err != nil {
		return 0, fmt.Errorf("%s from node %d: %w", ServiceName(to), from, err)
	}
	took := time.Since(begun)
	defer f.Close()
	return took, ask(f, fmt.Appendf(nil, "from %d to %d", from, to))
}

// asked is how often a message is sent that has no echo.
const asked = 15

// ask sends a message, again while a raw flow may have lost it, and waits for
// its echo.
func ask(f *ouroboros.Flow, p []byte) error {
	f.SetReadTimeout(time.Second)
	buf := make([]byte, 2048)
	for range asked {
		if _, err := f.Write(p); err != nil {
			return fmt.Errorf("write %q: %w", p, err)
		}
		k, err := f.Read(buf)
		if errors.Is(err, ouroboros.ErrTimeout) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %q: %w", p, err)
		}
		if !bytes.Equal(buf[:k], p) {
			return fmt.Errorf("%q came back as %q", p, buf[:k])
		}
		return nil
	}
	return fmt.Errorf("%q has no echo", p)
}

// Pair is a client's node and a server's.
type Pair struct{ From, To int }

// Pairs lists all pairs of nodes that run.
func (n *Net) Pairs() (all []Pair) {
	for from := range n.Hosts {
		for to := range n.Hosts {
			if from != to && n.Hosts[from].Running() && n.Hosts[to].Running() {
				all = append(all, Pair{from, to})
			}
		}
	}
	return all
}

// parallel is how many of many things are done at a time.
const parallel = 64

// shownErrors is how many of many failures are told.
const shownErrors = 5

// ResolveAll resolves the pairs, all of Pairs when none are given; the error
// tells of the first few that failed. It gives how long each allocation took.
func (n *Net) ResolveAll(pairs ...Pair) ([]time.Duration, error) {
	if len(pairs) == 0 {
		pairs = n.Pairs()
	}
	var mu sync.Mutex
	var failed []error
	count := 0
	took := make([]time.Duration, 0, len(pairs))
	next := make(chan Pair)
	var wg sync.WaitGroup
	for range min(parallel, len(pairs)) {
		wg.Go(func() {
			for p := range next {
				d, err := n.Resolve(p.From, p.To)
				mu.Lock()
				if err == nil {
					took = append(took, d)
				} else if count++; count <= shownErrors {
					failed = append(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range pairs {
		next <- p
	}
	close(next)
	wg.Wait()
	if count > 0 {
		failed = append(failed, fmt.Errorf("%d of %d allocations failed", count, len(pairs)))
	}
	return took, errors.Join(failed...)
}

// resolves is ResolveAll of all pairs as a check.
func (n *Net) resolves() error {
	_, err := n.ResolveAll()
	return err
}

// Await repeats check, at first every step, until it succeeds or has failed for
// the time; it gives when it succeeded, and how it failed last.
func Await(ctx context.Context, most, step time.Duration, check func() error) (time.Duration, error) {
	begun := time.Now()
	for {
		err := check()
		d := time.Since(begun)
		if err == nil || d >= most {
			return d, err
		}
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return d, errors.Join(err, ctx.Err())
		}
	}
}
