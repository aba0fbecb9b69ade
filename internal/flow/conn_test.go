package flow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
)

func TestAConnReceivesOneByOneAndThenHandsOver(t *testing.T) {
	a, b := flow.NewPipe(flow.PipeOptions{})
	c := flow.NewConn(b, nil)
	send(a, "who are you?", "data 1", "data 2")
	got, err := c.Recv(t.Context())
	if err != nil || string(got.Bytes()) != "who are you?" {
		t.Fatalf("received %v: %v", got, err)
	}
	got.Release()
	u := &user{room: 3}
	c.HandOver(u)
	send(a, "data 3", "data 4")
	a.SetDown(true)
	a.SetDown(false)
	a.Dealloc()
	want(t, "handed over, and full", u.take(), "data 1", "data 2", "data 3", "[down]", "[up]")
	u.give(10)
	c.Resume()
	want(t, "the rest", u.take(), "data 4", "[dealloc]")
	c.Close()
}

func TestAConnWaitsForPacketsRoomAndTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := flow.NewPipe(flow.PipeOptions{Limit: flow.Limit{Packets: 1}})
		x, y := flow.NewConn(a, nil), flow.NewConn(b, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := y.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		const n = 1000
		go func() {
			for range n {
				if err := x.Send(t.Context(), packet.Get(10)); err != nil {
					t.Error(err)
				}
			}
		}()
		synctest.Wait() // the sender waits for room
		for range n {
			p, err := y.Recv(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p.Release()
		}
		done := make(chan error)
		go func() { _, err := y.Recv(t.Context()); done <- err }()
		synctest.Wait()
		x.Close()
		if err := <-done; !errors.Is(err, errno.FlowDown) {
			t.Errorf("got %v", err)
		}
		if err := y.Send(t.Context(), packet.Get(1)); !errors.Is(err, errno.FlowDown) {
			t.Errorf("got %v", err)
		}
		y.Close()
	})
}

func TestAConnGivesUpSendingWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := flow.NewPipe(flow.PipeOptions{Limit: flow.Limit{Packets: 1}})
		b.Attach(&user{})
		x := flow.NewConn(a, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := x.Send(ctx, packet.Get(1)); err != nil {
			t.Error(err)
		}
		if err := x.Send(ctx, packet.Get(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		x.Close()
	})
}
