package registry

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/irm"
	"ouroboros/qos"
)

// pendingCall is a call of Accept or Alloc that has not been answered when it
// was made.
type pendingCall struct {
	h      *Process
	alloc  bool
	cancel context.CancelFunc
	done   chan outcome
}

// TestTheRegistryKeepsItsBooks does arbitrary things to a node and checks
// after each that no accept served two flows, that every flow has the right
// ends, and that nothing is lost or left.
func TestTheRegistryKeepsItsBooks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var failed any // rapid wants to see it on its own goroutine
		synctest.Test(t, func(t *testing.T) {
			defer func() { failed = recover() }()
			books(t, rt)
		})
		if failed != nil {
			panic(failed)
		}
	})
}

func books(t *testing.T, rt *rapid.T) {
	n := newNode(t, func(c *Config) { c.RequestWait = time.Hour })
	fail := false
	n.fabric.direct = func(a, b Owner) error {
		if fail {
			return errno.NoFiles
		}
		return nil
	}
	names := []string{"a", "b", "c"}
	var procs []*Process
	var calls []*pendingCall
	type end struct {
		h *Process
		g *Grant
	}
	var ends []end // that processes hold
	accepts, allocs := 0, 0
	pid := 0

	settle := func() {
		synctest.Wait()
		var left []*pendingCall
		for _, c := range calls {
			select {
			case o := <-c.done:
				c.cancel()
				if o.err == nil {
					ends = append(ends, end{c.h, o.g})
					if c.alloc {
						allocs++
					} else {
						accepts++
					}
				} else if !errors.Is(o.err, context.Canceled) && !errors.Is(o.err, errno.Pipe) &&
					!errors.Is(o.err, errno.IPCP) && !errors.Is(o.err, errno.NameError) && !errors.Is(o.err, errno.NoFiles) {
					rt.Fatalf("a call failed with %v", o.err)
				}
			default:
				left = append(left, c)
			}
		}
		calls = left
	}
	call := func(h *Process, alloc bool, dst string) {
		ctx, cancel := context.WithCancel(bg)
		c := &pendingCall{h, alloc, cancel, newOutcome()}
		calls = append(calls, c)
		go func() {
			var o outcome
			if alloc {
				o.g, o.err = h.Alloc(ctx, dst, qos.Raw)
			} else {
				o.g, o.err = h.Accept(ctx)
			}
			c.done <- o
		}()
	}
	pick := func() *Process {
		if len(procs) == 0 {
			rt.Skip("no process")
		}
		return rapid.SampledFrom(procs).Draw(rt, "process")
	}
	for _, s := range names {
		n.CreateName(bg, irm.NameInfo{Name: s, Balance: rapid.SampledFrom([]irm.Balance{irm.RoundRobin, irm.Spill}).Draw(rt, "policy")})
	}

	rt.Repeat(map[string]func(*rapid.T){
		"announce": func(rt *rapid.T) {
			if len(procs) < 6 {
				pid++
				procs = append(procs, n.process(pid))
			}
		},
		"another session": func(rt *rapid.T) {
			if h := pick(); len(procs) < 8 {
				other, err := n.Announce(h.proc.id, testOwner("again"))
				if err != nil {
					rt.Fatal(err)
				}
				procs = append(procs, other)
			}
		},
		"bind":    func(rt *rapid.T) { n.BindProcess(bg, pick().PID(), rapid.SampledFrom(names).Draw(rt, "name")) },
		"unbind":  func(rt *rapid.T) { n.UnbindProcess(bg, pick().PID(), rapid.SampledFrom(names).Draw(rt, "name")) },
		"accept":  func(rt *rapid.T) { call(pick(), false, "") },
		"accepts": func(rt *rapid.T) { call(pick(), false, "") },
		"alloc":   func(rt *rapid.T) { call(pick(), true, rapid.SampledFrom(names).Draw(rt, "name")) },
		"allocs": func(rt *rapid.T) { // at once
			for range rapid.IntRange(2, 5).Draw(rt, "many") {
				call(pick(), true, rapid.SampledFrom(names).Draw(rt, "name"))
			}
		},
		"cancel": func(rt *rapid.T) {
			if len(calls) > 0 {
				rapid.SampledFrom(calls).Draw(rt, "call").cancel()
			}
		},
		"fabric fails": func(rt *rapid.T) { fail = !fail },
		"dealloc": func(rt *rapid.T) {
			if len(ends) == 0 {
				return
			}
			i := rapid.IntRange(0, len(ends)-1).Draw(rt, "end")
			e := ends[i]
			ends = append(ends[:i:i], ends[i+1:]...)
			peer := e.g.End.(*testEnd).peer
			if err := e.h.Dealloc(e.g.ID); err != nil {
				rt.Fatal(err)
			}
			if !peer.closed && !peer.saw(flow.EventDealloc) {
				rt.Fatal("the peer did not hear of the deallocation")
			}
		},
		"exit": func(rt *rapid.T) {
			if len(procs) == 0 {
				return
			}
			i := rapid.IntRange(0, len(procs)-1).Draw(rt, "process")
			h := procs[i]
			procs = append(procs[:i:i], procs[i+1:]...)
			h.Exit()
			settle() // what it was granted at the last moment is taken back
			var left []end
			for _, e := range ends {
				if e.h != h {
					left = append(left, e)
				} else if p := e.g.End.(*testEnd).peer; !p.closed && !p.saw(flow.EventDown) && !p.saw(flow.EventDealloc) {
					rt.Fatal("the peer did not hear that the process is gone")
				}
			}
			ends = left
		},
		"": func(rt *rapid.T) {
			settle()
			if err := n.check(len(ends), calls); err != nil {
				rt.Fatal(err)
			}
		},
	})
	settle()
	// Each flow took one accept and one allocation. A side that left at the
	// very moment may have missed its own.
	if c := n.count.direct; uint64(accepts) > c || uint64(allocs) > c {
		rt.Fatalf("%d accepts and %d allocations came to flows, but only %d were made", accepts, allocs, c)
	}
	for _, c := range calls {
		c.cancel()
	}
	n.end()
	synctest.Wait()
}

// check looks for contradictions in the state when nothing is moving.
func (n *testNode) check(holding int, calls []*pendingCall) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := make(map[*held]bool)
	for id, rec := range n.flows {
		if rec.id != id || rec.client == nil && rec.server == nil {
			return fmt.Errorf("flow %d is kept as %+v", id, rec)
		}
		for _, x := range []*held{rec.client, rec.server} {
			if x != nil {
				seen[x] = true
				if x.by.ends[x.id] != x || x.by.gone {
					return fmt.Errorf("flow %d: its end is not held by its process", id)
				}
			}
		}
	}
	ends, open := 0, n.fabric.open()
	nPending := 0
	for _, p := range n.procs {
		flows := 0
		for h := range p.handles {
			flows += len(h.ends)
			for _, x := range h.ends {
				if !seen[x] {
					return fmt.Errorf("process %d holds an end of no flow", p.id.PID)
				}
			}
		}
		if flows != p.nFlows {
			return fmt.Errorf("process %d holds %d ends and counts %d", p.id.PID, flows, p.nFlows)
		}
		ends += flows
		nPending += p.accepts.Len()
		for e := p.accepts.Front(); e != nil; e = e.Next() {
			if a := e.Value.(*Accept); a.state != pending || a.elem != e || a.by.gone {
				return fmt.Errorf("process %d: a pending accept is %+v", p.id.PID, a)
			}
		}
		for s, b := range p.names {
			if b.n != s || b.p != p || s.gone {
				return fmt.Errorf("process %d: wrong binding to %q", p.id.PID, s.info.Name)
			}
			if wants := s.queue.Len() > 0; wants != has(p.wanted, s) {
				return fmt.Errorf("process %d: somebody waits for %q: %v, and it knows %v", p.id.PID, s.info.Name, wants, !wants)
			}
			if s.queue.Len() > 0 && p.accepts.Len() > 0 {
				return fmt.Errorf("process %d accepts, and somebody waits for %q", p.id.PID, s.info.Name)
			}
		}
	}
	if ends != holding || ends != open {
		return fmt.Errorf("processes hold %d ends, the registry knows %d, %d are open", holding, ends, open)
	}
	waiting := 0
	for _, s := range n.order {
		waiting += s.queue.Len()
	}
	wantAccepts, wantAllocs := 0, 0
	for _, c := range calls {
		if c.alloc {
			wantAllocs++
		} else {
			wantAccepts++
		}
	}
	if nPending != wantAccepts || waiting != wantAllocs {
		return fmt.Errorf("%d accepts and %d allocations wait, the registry knows %d and %d", wantAccepts, wantAllocs, nPending, waiting)
	}
	return nil
}

func has[K comparable, V any](m map[K]V, k K) bool { _, ok := m[k]; return ok }
