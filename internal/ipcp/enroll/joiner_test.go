package enroll_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/enroll"
	"ouroboros/internal/ipcp/ipcptest"
	wire "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
)

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
