package enroll_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/enroll"
	"ouroboros/internal/ipcp/ipcptest"
	wire "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
)

func TestAnIPCPJoinsALayer(t *testing.T) {
	for _, kind := range []irm.IPCPType{irm.Unicast, irm.Broadcast} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			m := enrolled(t, w, "m", layer(kind))
			j := newcomer(t, w, "j")
			checked := 0
			r, finish, err := enroll.Join(within(t, time.Minute), j.Switchboard, nil, "m", kind, func(cfg *irm.Config) error {
				checked++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(irm.NewConfig(kind, "layer"), r.Config); diff != "" || checked != 1 {
				t.Errorf("checked %d times: %s", checked, diff)
			}
			if kind == irm.Unicast && r.Peer != own || kind == irm.Broadcast && r.Peer != 0 || r.Offset != 0 || r.Raw.Layer != "layer" {
				t.Errorf("%+v", r)
			}
			synctest.Wait()
			if m.counter("enrolled") != 0 || m.serving() != 1 {
				t.Error("it is enrolled before it says so")
			}
			time.Sleep(4 * time.Second)
			finish(nil)
			synctest.Wait()
			if m.counter("enrolled") != 1 || m.counter("failed")+m.counter("garbage") != 0 || m.serving() != 0 || len(w.Flows()) != 0 {
				t.Errorf("%v, %d flows", m.enroller.Show(), len(w.Flows()))
			}
		})
	}
}

func TestTheMessagesAreThoseOfTheCImplementation(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		w.Filter(func(p ipcptest.Packet) bool {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, p.From+" "+hex.EncodeToString(p.Bytes))
			return true
		})
		enrolled(t, w, "m", func() (*wire.Config, error) {
			return enroll.ToWire(irm.NewConfig(irm.Unicast, "dhnet"), 3492930322), nil
		})
		if _, err := newcomer(t, w, "j").join(within(t, time.Minute), "m", irm.Unicast); err != nil {
			t.Fatal(err)
		}
	})
	const cepMessage = "0a0a456e726f6c6c6d656e7412034f4550180128004000"
	if len(seen) != 6 || len(seen[2]) != 22 {
		t.Fatalf("%q", seen)
	}
	id := seen[2][6:]
	// Midnight of 2000-01-01 is 0x386d4380: when synctest begins.
	want := []string{"j " + cepMessage, "m " + cepMessage, "j 0a08" + id,
		"m 0a08" + id + "108087b5c303" + "1800" + "2000" + "2a430a090a0564686e6574100110011a340a1408041008183c220c" +
			"0800120808001004180f203c121808001214080310081880a3052084072884073092c6c7810d18002001",
		"j 0a08" + id + "1000", "j 0a08" + id + "1000"}
	if !slices.Equal(seen, want) {
		t.Errorf("%q\n%q", seen, want)
	}
}

func TestManyJoinAtATimeAndThroughALayerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		m := enrolled(t, w, "m", layer(irm.Unicast))
		n := enrolled(t, w, "n", layer(irm.Unicast))
		w.Bind("m", "layer")
		w.Bind("n", "layer")
		var wg sync.WaitGroup
		for i := range 100 {
			j := newcomer(t, w, fmt.Sprint("j", i))
			wg.Go(func() {
				r, finish, err := enroll.Join(within(t, time.Minute), j.Switchboard, nil, "layer", irm.Unicast, nil)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second)
				finish(nil)
				if r.Config.Layer != "layer" {
					t.Errorf("%+v", r.Config)
				}
			})
		}
		begun := time.Now()
		wg.Wait()
		synctest.Wait()
		if a, b := m.counter("enrolled"), n.counter("enrolled"); a+b != 100 || a < 10 || b < 10 || time.Since(begun) > 2*time.Second {
			t.Errorf("%d and %d after %v", a, b, time.Since(begun))
		}
	})
}

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

func TestAnAnswerThatDoesNotFitEndsWithANegativeAck(t *testing.T) {
	good := func(r wire.Request) *wire.Response {
		a := &wire.Response{ID: r.ID, Config: enroll.ToWire(irm.NewConfig(irm.Unicast, "layer"), own)}
		a.SetTime(time.Now())
		return a
	}
	change := func(f func(a *wire.Response)) func(r wire.Request) []byte {
		return func(r wire.Request) []byte { a := good(r); f(a); return put(a) }
	}
	for what, c := range map[string]struct {
		answer func(r wire.Request) []byte
		err    error
		text   string
		tries  int // 0 = many
	}{
		"wrong id":     {change(func(a *wire.Response) { a.ID[7]++ }), errno.Invalid, "belongs to another enrolment", 3},
		"short id":     {func(wire.Request) []byte { return []byte{0x0a, 0, 0x10, 0, 0x18, 0, 0x20, 0} }, errno.Invalid, "id that is not 8 bytes", 3},
		"truncated":    {func(r wire.Request) []byte { b := put(good(r)); return b[:len(b)-1] }, errno.Invalid, "cannot be read", 3},
		"no conf":      {func(r wire.Request) []byte { return put(&wire.Response{ID: r.ID}) }, errno.Invalid, "lacks a field", 3},
		"too long":     {func(wire.Request) []byte { return make([]byte, 1025) }, errno.Invalid, "longer than 1024", 3},
		"refused":      {func(r wire.Request) []byte { return put(&wire.Response{ID: r.ID, Response: -1}) }, errno.Perm, `"o" refuses`, 1},
		"another type": {change(func(a *wire.Response) { a.Config.Type, a.Config.Unicast = 2, nil }), errno.NotSup, "type broadcast, and this IPCP is of type unicast", 1},
		"unknown type": {change(func(a *wire.Response) { a.Config.Type = 77 }), errno.NotSup, "type UNKNOWN, and this", 1},
		"policy":       {change(func(a *wire.Response) { a.Config.Unicast.Directory = 3 }), errno.NotSup, "directory policy 3", 1},
		"checked":      {change(func(a *wire.Response) { a.Config.Layer = "bad" }), errno.Exist, "not that layer", 1},
		"silence":      {func(wire.Request) []byte { return nil }, errno.TimedOut, `"o" took the request and did not respond`, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			w.Mute(true)
			o := other{t, w.Env("o")}
			var well atomic.Bool
			s := o.serve(func(r wire.Request) []byte {
				if well.Load() {
					return put(good(r))
				}
				return c.answer(r)
			})
			j := newcomer(t, w, "j")
			check := func(cfg *irm.Config) error {
				if cfg.Layer == "bad" {
					return errno.New(errno.Exist, "not that layer")
				}
				return nil
			}
			begun := time.Now()
			r, finish, err := enroll.Join(within(t, 10*time.Second), j.Switchboard, j.env.Log, "o", irm.Unicast, check)
			if r != nil || finish != nil || !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) ||
				!strings.HasPrefix(err.Error(), `cannot enroll with "o": `) {
				t.Errorf("%s: %v", what, err)
			}
			synctest.Wait()
			acks := s.take()
			if c.tries > 0 && len(acks) != c.tries || c.tries == 0 && (len(acks) < 4 || time.Since(begun) != 10*time.Second) {
				t.Errorf("%s: %d acks after %v", what, len(acks), time.Since(begun))
			}
			for _, a := range acks {
				if a.Result >= 0 || a.Result == wire.Failed {
					t.Errorf("%s: the result is %d", what, a.Result)
				}
			}
			well.Store(true)
			if _, err := j.join(within(t, time.Minute), "o", irm.Unicast); err != nil {
				t.Errorf("%s: the next time: %v", what, err)
			}
			synctest.Wait()
			if acks := s.take(); len(acks) != 1 || acks[0].Result != 0 || len(w.Flows()) != 0 {
				t.Errorf("%s: %v", what, acks)
			}
		})
	}
}

// Each packet in turn is lost, to and from an enroller that waits without an end
// and hears of no deallocation: it must be free again, and the joiner enrolled.
func TestNoLossLeavesAnEnrollerWaiting(t *testing.T) {
	for lost := range 6 {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			w.Mute(true)
			o := other{t, w.Env("o")}
			s := o.serve(func(r wire.Request) []byte {
				a := &wire.Response{ID: r.ID, Config: enroll.ToWire(irm.NewConfig(irm.Unicast, "layer"), own)}
				a.SetTime(time.Now())
				return put(a)
			})
			var n atomic.Int32
			w.Filter(func(ipcptest.Packet) bool { return n.Add(1) != int32(lost+1) })
			if _, err := newcomer(t, w, "j").join(within(t, 20*time.Second), "o", irm.Unicast); err != nil {
				t.Errorf("packet %d: %v", lost, err)
			}
			begun := time.Now()
			if _, err := newcomer(t, w, "k").join(within(t, 20*time.Second), "o", irm.Unicast); err != nil || time.Since(begun) > time.Millisecond {
				t.Errorf("packet %d: the next one after %v: %v", lost, time.Since(begun), err)
			}
			synctest.Wait()
			good := 0
			for _, a := range s.take() {
				if a.Result == 0 {
					good++
				}
			}
			if good != 2 || len(w.Flows()) != 0 {
				t.Errorf("packet %d: %d enrolled, %d flows are left", lost, good, len(w.Flows()))
			}
		})
	}
}

func TestEveryLossIsMadeUp(t *testing.T) {
	for lost := range 6 {
		for _, mute := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := ipcptest.NewWorld(t)
				w.Mute(mute)
				m := enrolled(t, w, "m", layer(irm.Unicast))
				var n atomic.Int32
				w.Filter(func(ipcptest.Packet) bool { return n.Add(1) != int32(lost+1) })
				begun := time.Now()
				if _, err := newcomer(t, w, "j").join(within(t, 20*time.Second), "m", irm.Unicast); err != nil || time.Since(begun) > 2*time.Second {
					t.Errorf("packet %d: after %v: %v", lost, time.Since(begun), err)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if m.counter("enrolled") != 1 || m.serving() != 0 || len(w.Flows()) != 0 {
					t.Errorf("packet %d: %v, %d flows", lost, m.enroller.Show(), len(w.Flows()))
				}
			})
		}
	}
}

func TestAJoinerThatFailsSaysSo(t *testing.T) {
	for _, c := range []struct {
		err    error
		result int32
	}{
		{errno.NoMemory, -12}, {errors.New("something"), -1}, {syscall.Errno(100), -1}, {context.DeadlineExceeded, -110},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			o := other{t, w.Env("o")}
			s := o.serve(func(r wire.Request) []byte {
				return put(&wire.Response{ID: r.ID, Config: enroll.ToWire(irm.NewConfig(irm.Broadcast, "b"), 0)})
			})
			ctx, cancel := context.WithCancel(t.Context())
			j := newcomer(t, w, "j")
			_, finish, err := enroll.Join(ctx, j.Switchboard, nil, "o", irm.Broadcast, nil)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			finish(c.err)
			synctest.Wait()
			if acks := s.take(); len(acks) != 1 || acks[0].Result != c.result || len(w.Flows()) != 0 {
				t.Errorf("%v: %v", c.err, acks)
			}
		})
	}
}

func TestACancelledJoinerSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		w.Mute(true)
		o := other{t, w.Env("o")}
		s := o.serve(func(wire.Request) []byte { return nil })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		begun := time.Now()
		if _, err := newcomer(t, w, "j").join(ctx, "o", irm.Unicast); !errors.Is(err, context.Canceled) || time.Since(begun) != 500*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		synctest.Wait()
		if acks := s.take(); len(acks) != 1 || acks[0].Result >= 0 {
			t.Errorf("%v", acks)
		}
	})
}

func TestWhyThereIsNoEnrolmentIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		j := newcomer(t, w, "j")
		_, err := j.join(within(t, time.Minute), "nobody", irm.Unicast)
		if !errors.Is(err, errno.NameError) || !strings.HasPrefix(err.Error(), `cannot enroll with "nobody": no flow to "nobody": nobody knows that name`) {
			t.Error(err)
		}
		w.Env("deaf")
		if _, err = j.join(within(t, time.Second), "deaf", irm.Unicast); !errors.Is(err, errno.TimedOut) || !strings.Contains(err.Error(), "nobody accepts") {
			t.Error(err)
		}
		outside := newcomer(t, w, "outside")
		outside.Start()
		if _, err = j.join(within(t, time.Minute), "outside", irm.Unicast); !errors.Is(err, errno.NotSup) || !strings.Contains(err.Error(), `has no component "Enrollment"`) {
			t.Error(err)
		}
	})
}

func TestClocksThatDifferAreSaidOnce(t *testing.T) {
	for _, c := range []struct {
		ahead, way time.Duration
		said       int
	}{
		{0, 0, 0}, {15 * time.Millisecond, 0, 0}, {25 * time.Millisecond, 0, 1}, {time.Second, 0, 1}, {-time.Second, 0, 1},
		{50 * time.Millisecond, 100 * time.Millisecond, 0}, {1 << 62, 0, 1}, {-1 << 62, 0, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			o := other{t, w.Env("o")}
			o.serve(func(r wire.Request) []byte {
				time.Sleep(c.way / 2)
				a := &wire.Response{ID: r.ID, Config: enroll.ToWire(irm.NewConfig(irm.Broadcast, "b"), 0)}
				a.SetTime(time.Now().Add(c.ahead))
				time.Sleep(c.way / 2)
				return put(a)
			})
			r, err := newcomer(t, w, "j").join(within(t, time.Minute), "o", irm.Broadcast)
			if err != nil || r.Offset != c.ahead {
				t.Errorf("%v: offset %v: %v", c.ahead, r.Offset, err)
			}
			if n := w.Logged("clock of the enroller differs"); n != c.said {
				t.Errorf("%v: said %d times", c.ahead, n)
			}
		})
	}
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

func FuzzExchange(f *testing.F) {
	a := &wire.Response{Config: enroll.ToWire(irm.NewConfig(irm.Unicast, "layer"), own)}
	f.Add(put(&wire.Request{}), put(&wire.Ack{}), put(a), false)
	f.Add([]byte{0x0a, 0}, []byte{0x0a, 0, 0x10, 0}, put(&wire.Response{Response: -1}), true)
	f.Fuzz(func(t *testing.T, first, second, response []byte, fit bool) {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			m := enrolled(t, w, "m", layer(irm.Unicast))
			o := other{t, w.Env("o")}
			c := o.call("m")
			say(c, first)
			say(c, second)
			time.Sleep(10 * time.Second)
			c.Close()

			s := o.serve(func(r wire.Request) []byte {
				b := slices.Clone(response)
				if fit && len(b) > 9 {
					copy(b[2:10], r.ID[:])
				}
				return b
			})
			for _, kind := range []irm.IPCPType{irm.Unicast, irm.Broadcast} {
				j := newcomer(t, w, "j"+kind.String())
				r, err := j.join(within(t, 3*time.Second), "o", kind)
				if err == nil && (r.Config.Type != kind || r.Config.Validate() != nil) {
					t.Errorf("%x is taken as %+v", response, r.Config)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			s.take()
			if m.serving() != 0 || len(w.Flows()) != 0 {
				t.Errorf("serving %d, %d flows are left", m.serving(), len(w.Flows()))
			}
		})
	})
}
