package enroll_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/enroll"
	"ouroboros/internal/ipcp/ipcptest"
	wire "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
)

func TestASilentJoinerIsGivenUpAndDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		w.Mute(true)
		m := enrolled(t, w, "m", layer(irm.Unicast))
		o := other{t, w.Env("o")}
		afterCEP, afterRequest := o.call("m"), o.call("m")
		say(afterRequest, put(&wire.Request{ID: wire.ID{1}}))
		if _, err := recv(t.Context(), afterRequest, time.Second); err != nil {
			t.Error(err)
		}
		begun := time.Now()
		if _, err := newcomer(t, w, "j").join(within(t, time.Minute), "m", irm.Unicast); err != nil || time.Since(begun) != 0 {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if n := m.serving(); n != 2 {
			t.Errorf("serving %d", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n := m.serving(); n != 1 || m.counter("silent") != 1 {
			t.Errorf("serving %d", n)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := m.serving(); n != 0 || m.counter("unknown_end") != 1 {
			t.Errorf("serving %d", n)
		}
		afterCEP.Close()
		afterRequest.Close()
		if len(w.Flows()) != 0 {
			t.Errorf("%d flows are left", len(w.Flows()))
		}
	})
}

func TestAnEnrollerTakesGarbageForAnEnd(t *testing.T) {
	id := wire.ID{1, 2, 3, 4, 5, 6, 7, 8}
	request := put(&wire.Request{ID: id})
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		m := enrolled(t, w, "m", layer(irm.Unicast))
		o := other{t, w.Env("o")}
		var garbage uint64
		check := func(what string, counter string, n uint64, c *flow.Conn) {
			t.Helper()
			if b, err := recv(t.Context(), c, time.Minute); !errors.Is(err, errno.FlowDown) {
				t.Errorf("%s: %x, %v", what, b, err)
			}
			c.Close()
			synctest.Wait()
			if m.counter(counter) != n || m.serving() != 0 {
				t.Errorf("%s: %v", what, m.enroller.Show())
			}
		}
		for _, n := range []int{0, 1, 7, 9, 100, 1000} {
			c := o.call("m")
			b := []byte{0x0a, byte(n)}
			if n > 127 {
				b = []byte{0x0a, byte(n)&0x7f | 0x80, byte(n >> 7)}
			}
			say(c, append(b, make([]byte, n)...))
			garbage++
			check(fmt.Sprintf("a request with an id of %d bytes", n), "garbage", garbage, c)
		}
		for what, b := range map[string][]byte{
			"an id of no bytes": {0x0a, 0, 0x10, 0}, "an id of 7 bytes": {0x0a, 7, 1, 2, 3, 4, 5, 6, 7, 0x10, 0},
			"a second request": request, "one byte": {0}, "another id": put(&wire.Ack{ID: wire.ID{9}}), "1025 bytes": make([]byte, 1025),
		} {
			c := o.call("m")
			say(c, nil) // keep-alives are nothing
			say(c, request)
			say(c, nil)
			if r, err := recv(t.Context(), c, time.Second); err != nil {
				t.Errorf("%x: %v", r, err)
			}
			say(c, b)
			garbage++
			check(what+" instead of an ack", "garbage", garbage, c)
		}
		for i, result := range []int32{-100, -1, 5} {
			c := o.call("m")
			say(c, request)
			if r, err := recv(t.Context(), c, time.Second); err != nil {
				t.Errorf("%x: %v", r, err)
			}
			say(c, put(&wire.Ack{ID: id, Result: result}))
			check("a negative ack", "failed", uint64(i+1), c)
		}
		if w.Logged("sends something unreadable") != 1 {
			t.Errorf("%d times in the log", w.Logged("sends something unreadable"))
		}
		if _, err := json.Marshal(m.enroller.Show()); err != nil {
			t.Error(err)
		}
	})
}

func TestTheOldestOfTooManyJoinersMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		m := enrolled(t, w, "m", layer(irm.Unicast))
		m.enroller.SetMost(3)
		o := other{t, w.Env("o")}
		var all []*flow.Conn
		for range 5 {
			c := o.call("m")
			say(c, put(&wire.Request{}))
			if _, err := recv(t.Context(), c, time.Second); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			all = append(all, c)
		}
		if m.serving() != 3 || m.counter("crowded") != 2 {
			t.Errorf("%v", m.enroller.Show())
		}
		if _, err := newcomer(t, w, "j").join(within(t, time.Minute), "m", irm.Unicast); err != nil {
			t.Error(err)
		}
		for _, c := range all {
			c.Close()
		}
	})
}

func TestAMemberThatIsInNoLayerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		m := enrolled(t, w, "m", func() (*wire.Config, error) { return nil, errno.New(errno.IPCPState, "it is in no layer") })
		long := enrolled(t, w, "long", func() (*wire.Config, error) {
			return enroll.ToWire(irm.NewConfig(irm.Unicast, strings.Repeat("x", 2000)), own), nil
		})
		j := newcomer(t, w, "j")
		_, err := j.join(within(t, time.Minute), "m", irm.Unicast)
		if !errors.Is(err, errno.IPCPState) || !strings.HasPrefix(err.Error(), `cannot enroll with "m": the member "m" refuses: `) {
			t.Error(err)
		}
		if _, err := j.join(within(t, time.Minute), "long", irm.Unicast); !errors.Is(err, errno.MsgSize) {
			t.Error(err)
		}
		synctest.Wait()
		if m.counter("refused") != 1 || long.counter("refused") != 1 || m.serving() != 0 || len(w.Flows()) != 0 {
			t.Errorf("%v", m.enroller.Show())
		}
	})
}

func TestTheEndOfAMemberEndsWhatItServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		m := enrolled(t, w, "m", layer(irm.Unicast))
		o := other{t, w.Env("o")}
		c := o.call("m")
		synctest.Wait()
		begun := time.Now()
		m.Close()
		synctest.Wait()
		if b, err := recv(t.Context(), c, time.Second); !errors.Is(err, errno.FlowDown) || time.Since(begun) != 0 || m.serving() != 0 {
			t.Errorf("%x, %v, serving %d", b, err, m.serving())
		}
		c.Close()
	})
}
