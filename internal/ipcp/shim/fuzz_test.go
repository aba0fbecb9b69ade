package shim_test

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
)

// FuzzMessages lets peers say and send anything, in any order, to a member that
// has a flow, waits for a reply and is asked for flows. Whatever it was, when
// all flows are deallocated nothing is left.
//
//	byte 0   what: 0 data, 1 to 5 the code of a message
//	byte 1   from: an address; the upper half: how much time passes before
//	byte 2   which endpoint: one that is open, or a number of its own
//	byte 3   the response, or how many bytes of data
//	byte 4   which request id
func FuzzMessages(f *testing.F) {
	f.Add([]byte{2, 2, 0, 0, 0, 0, 2, 0, 9, 0}, false)                   // accepted, then data
	f.Add([]byte{2, 2, 0, 200, 0, 2, 2, 0, 0, 0}, false)                 // refused, then accepted
	f.Add([]byte{1, 3, 9, 0, 1, 1, 3, 9, 0, 1, 3, 3, 9, 0, 1}, false)    // a request, repeated, probed
	f.Add([]byte{4, 2, 0, 0, 0, 4, 2, 0, 1, 0, 2, 0x52, 0, 0, 0}, true)  // answers to a probe
	f.Add([]byte{1, 4, 9, 0, 7, 0, 4, 1, 3, 0, 1, 0xf4, 9, 0, 7}, false) // long after
	f.Fuzz(func(t *testing.T, in []byte, closed bool) {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			h := newHost()
			h.decide = func(_ context.Context, req *ipcp.Request) error {
				switch req.Hash[0] & 3 {
				case 0:
					return errno.NameError
				case 1:
					time.Sleep(50 * time.Millisecond)
				}
				return nil
			}
			a, g := n.join(t, 1, h)
			b, _ := n.join(t, 3, newHost())
			a.Directory.Add(name("there"), 3, time.Hour)
			own := mustAlloc(t, g)
			own.Flow.Attach(&collect{})
			n.mu.Lock()
			delete(n.members, 3) // from now on others speak for it
			n.mu.Unlock()

			a.Directory.Add(name("silent"), 2, time.Hour)
			asked := request("silent", "")
			outcome := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				r, err := g.AllocFlow(ctx, asked)
				if err == nil {
					r.Flow.Attach(&collect{})
					r.Flow.Dealloc()
				}
				outcome <- ctx.Err() // a peer may answer with the number of a time-out
			}()
			synctest.Wait()

			var ids []uint32
			for ; len(in) >= 5; in = in[5:] {
				what, from := in[0]%6, address(in[1]&15)
				time.Sleep(time.Duration(in[1]>>4) * 300 * time.Millisecond)
				synctest.Wait()
				ids = ids[:0]
				a.Each(func(e *shim.Endpoint[address]) { ids = append(ids, e.ID()) })
				id := uint32(in[2])
				if len(ids) > 0 && in[2] < 128 {
					id = ids[int(in[2])%len(ids)]
				}
				if what == 0 {
					if e := a.Endpoint(id); e != nil {
						e.Deliver(from, []*packet.Buffer{packet.Get(int(in[3]))})
					}
					continue
				}
				m := &shim.Message{
					Code: shim.Code(what), Requester: id, Responder: uint32(in[4]), Response: int32(int8(in[3])),
					Hash: name(string(in[4:5])), Data: asked.Data,
				}
				if in[4] != 0 {
					m.Data = binary.BigEndian.AppendUint32(nil, uint32(in[4]))
				}
				a.Message(from, m)
			}
			if closed {
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := <-outcome; err != nil && closed {
				t.Error("the allocation outlives its IPCP")
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			own.Flow.Dealloc()
			for len(h.flows) > 0 {
				(<-h.flows).Dealloc()
			}
			b.Each(func(e *shim.Endpoint[address]) { e.Dealloc() })
			for what, n := range map[string]uint64{
				"endpoints": a.shown("flows", "open"), "requests": a.shown("arrivals", "pending"),
				"decisions": a.shown("arrivals", "kept"),
			} {
				if what == "decisions" && closed {
					continue // who is closed forgets nothing any more
				}
				if n != 0 {
					t.Errorf("%d %s are left", n, what)
				}
			}
		})
	})
}
