package frcp

import (
	"sync"
	"testing"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// TestManyGoroutinesAtATime calls everything from everywhere, both ways, over
// a flow that delivers on the goroutine of the sender.
func TestManyGoroutinesAtATime(t *testing.T) {
	const each = 3000
	a, b := flow.NewPipe(flow.PipeOptions{QoS: qos.Data, MTU: 1500, Limit: flow.Limit{Packets: 16}})
	x, y := New(a, Config{QoS: qos.Data, Queue: 32, Window: 64}), New(b, Config{QoS: qos.Data, Queue: 32, Window: 64})
	ux, uy := newUser(t, x), newUser(t, y)
	finished := make(chan struct{})
	var all, others sync.WaitGroup
	for _, u := range []*user{ux, uy} { // both, before anything is sent
		u.room, u.want = 0, each*100
	}
	for _, u := range []*user{ux, uy} {
		all.Go(func() { u.stream(0, each, 100) })
		others.Go(func() { // a reader that reads a little at a time
			for {
				select {
				case <-finished:
					return
				default:
				}
				u.give(7)
				u.f.SetFlags(flagResControl | flagLinger)
				u.f.QueueLen()
				u.f.Send([]*packet.Buffer{packet.Get(0)})
				time.Sleep(10 * time.Microsecond)
			}
		})
	}
	all.Wait()
	for _, u := range []*user{ux, uy} {
		select {
		case <-u.done:
		case <-time.After(60 * time.Second):
			t.Fatalf("%d of %d arrived", u.received(), each)
		}
	}
	close(finished)
	others.Wait()
	for _, f := range []*Flow{x, y} {
		go f.Dealloc()
	}
	<-x.Done()
	<-y.Done()
}
