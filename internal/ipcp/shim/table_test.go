package shim_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/shim"
)

func TestNumbersCannotBeGuessedAndRest(t *testing.T) {
	for _, own := range []shim.Range{{Lo: 1, Hi: 0x7fffffff}, {Lo: 64, Hi: 4095}, {Lo: 1, Hi: 65535}} {
		synctest.Test(t, func(t *testing.T) {
			a, _, ga, _ := pair(t, newNetwork(), func(c *shim.Config[address]) { c.Own = own })
			seen := make(map[uint32]bool)
			next := 0
			var last uint32
			for range 500 {
				r := mustAlloc(t, ga)
				a.Each(func(e *shim.Endpoint[address]) {
					if seen[e.ID()] {
						t.Errorf("%d is used again", e.ID())
					}
					if e.ID() < own.Lo || e.ID() > own.Hi {
						t.Errorf("%d is outside of %v", e.ID(), own)
					}
					if e.ID() == last+1 {
						next++
					}
					last = e.ID()
					seen[e.ID()] = true
				})
				r.Flow.Dealloc()
			}
			if next > 10 {
				t.Errorf("%d of 500 numbers were the next one", next)
			}
		})
	}
}

func TestAllNumbersOfANarrowRangeCanBeInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		narrow := func(c *shim.Config[address]) {
			if c.Env.Identity.PID == 5000001 {
				c.Own, c.MPL = shim.Range{Lo: 2, Hi: 63}, time.Hour
			}
		}
		a, _, ga, _ := pair(t, newNetwork(), narrow)
		for range 3 {
			var close []func()
			for range 62 {
				close = append(close, mustAlloc(t, ga).Flow.Dealloc)
			}
			if _, err := alloc(t, ga, time.Second); !errors.Is(err, errno.NoBufs) {
				t.Errorf("the 63rd gave %v", err)
			}
			used := make(map[uint32]bool)
			a.Each(func(e *shim.Endpoint[address]) { used[e.ID()] = true })
			if len(used) != 62 {
				t.Errorf("%d numbers", len(used))
			}
			for _, f := range close {
				f()
			}
		}
	})
}

func TestEndpointsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, ga, _ := pair(t, newNetwork(), func(c *shim.Config[address]) { c.Limit = 5 })
		for range 5 {
			mustAlloc(t, ga)
		}
		if _, err := alloc(t, ga, time.Second); !errors.Is(err, errno.NoBufs) {
			t.Errorf("got %v", err)
		}
		// The responder is at its limit too, and says so.
		r := request("there", "")
		b.Message(7, &shim.Message{Code: shim.FlowReq, Requester: 1, Hash: r.Hash, Data: r.Data})
		synctest.Wait()
		if b.shown("arrivals", "refused") != 1 {
			t.Errorf("%v", b.Show()["arrivals"])
		}
	})
}
