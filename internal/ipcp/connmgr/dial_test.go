package connmgr_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/internal/wire/cep"
	"ouroboros/qos"
)

func TestADialledConnectionIsItsDiallersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a, b := join(t, w, "a", 1, connmgr.Options{}), join(t, w, "b", 2, connmgr.Options{})
		c, err := a.Dial(within(t, time.Second), dataTransfer, "b", qos.Raw)
		if err != nil || c.Peer() != b.part.info || !c.Dialled() || c.Dst() != "b" || c.ID() != 0 {
			t.Fatalf("%+v, %v", c, err)
		}
		if a.part.open() != 0 || len(a.list()) != 0 {
			t.Error("it is in a list")
		}
		c.Close()
		<-c.Done()
		c.Close()
		c.Lost(nil)
		synctest.Wait()
		if len(w.Flows()) != 0 || a.part.open() != 0 || len(a.part.removed) != 0 {
			t.Error("something is left")
		}
	})
}

func TestAnAnswerThatIsNotGoodIsFinalAndSaysWhy(t *testing.T) {
	broadcast := cep.Message{Component: dataTransfer}
	for _, c := range []struct {
		why    string
		own    cep.Message
		answer cep.Message
		text   string
	}{
		{"a refusal", transfer(1).info, cep.Message{}, `has no component "Data Transfer"`},
		{"a refusal that looks like a broadcast member", broadcast, cep.Message{}, `has no component "Data Transfer"`},
		{"another component", broadcast, cep.Message{Component: "Management"}, `answers as "Management"`},
		{"another protocol", transfer(1).info, broadcast, `protocol "" version 0 syntax 0 there, protocol "dtp" version 1 syntax 2 here`},
		{"another version", transfer(1).info, cep.Message{Component: dataTransfer, Protocol: "dtp", Version: 2, Syntax: 2}, "version 2 syntax 2 there"},
		{"another syntax", transfer(1).info, cep.Message{Component: dataTransfer, Protocol: "dtp", Version: 1}, "syntax 0 there"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			s := stranger{t, w.Env("s")}
			s.answer(func(f *flow.Conn, first []byte) {
				say(f, put(c.answer))
				recv(s.env.Context, f, time.Minute)
				f.Close()
			})
			m := connmgr.New(w.Env("a"), connmgr.Options{})
			defer m.Close()
			m.Register(&part{info: c.own})
			begun := time.Now()
			err := m.Connect(within(t, time.Minute), dataTransfer, "s", qos.Raw)
			if !errors.Is(err, errno.NotSup) || !strings.Contains(err.Error(), c.text) ||
				!strings.HasPrefix(err.Error(), `cannot connect "Data Transfer" to "s": `) || !strings.Contains(err.Error(), "; see that") {
				t.Errorf("%s: %v", c.why, err)
			}
			synctest.Wait()
			if time.Since(begun) != 0 || len(w.Flows()) != 0 {
				t.Errorf("%s: %v, %d flows are left", c.why, time.Since(begun), len(w.Flows()))
			}
		})
	}
}

func TestWhatIsLostOfAnExchangeIsMadeUpByAnotherFlow(t *testing.T) {
	for _, loser := range []string{"a", "b"} {
		for _, mute := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := ipcptest.NewWorld(t)
				w.Mute(mute)
				a, b := join(t, w, "a", 1, connmgr.Options{}), join(t, w, "b", 2, connmgr.Options{})
				var left atomic.Int32
				left.Store(2)
				w.Filter(func(p ipcptest.Packet) bool { return p.From != loser || left.Add(-1) < 0 })
				begun := time.Now()
				if err := a.Connect(within(t, time.Minute), dataTransfer, "b", qos.Raw); err != nil {
					t.Errorf("%s loses: %v", loser, err)
				}
				if d := time.Since(begun); d < 2*time.Second || d > 4*time.Second {
					t.Errorf("%s loses: it took %v", loser, d)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				want := 1
				if loser == "b" && mute { // the acceptor does not hear of the end: its component waits for the peer time-out
					want = 3
				}
				if b.part.open() != want || a.part.open() != 1 || a.counter("dialling", "unanswered") != 2 {
					t.Errorf("%s loses, mute %v: %d connections", loser, mute, b.part.open())
				}
				for _, f := range w.Flows() {
					f.PeerGone()
				}
			})
		}
	}
}

func TestAMemberThatStaysSilentIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a := join(t, w, "a", 1, connmgr.Options{})
		var flows atomic.Int32
		s := stranger{t, w.Env("s")}
		s.answer(func(f *flow.Conn, _ []byte) {
			flows.Add(1)
			recv(s.env.Context, f, time.Minute)
			f.Close()
		})
		begun := time.Now()
		err := a.Connect(within(t, 20*time.Second), dataTransfer, "s", qos.Raw)
		if !errors.Is(err, errno.TimedOut) || !strings.Contains(err.Error(), `the member "s" accepted the flow and did not answer`) {
			t.Error(err)
		}
		if d := time.Since(begun); d != 20*time.Second || flows.Load() < 6 || flows.Load() > 12 {
			t.Errorf("%d flows in %v", flows.Load(), d)
		}
		synctest.Wait()
		if len(w.Flows()) != 0 || len(a.list()) != 0 {
			t.Errorf("%d flows and %v are left", len(w.Flows()), a.list())
		}
	})
}

func TestAPartingIsSentToWhoMayWait(t *testing.T) {
	answers := map[string]func(f *flow.Conn){
		"silence":        func(*flow.Conn) {},
		"garbage":        func(f *flow.Conn) { say(f, []byte{0xff}) },
		"other protocol": func(f *flow.Conn) { say(f, put(cep.Message{Component: "Enrollment", Protocol: "X"})) },
		"refusal":        func(f *flow.Conn) { say(f, put(cep.Message{})) },
	}
	for what, answer := range answers {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			a := join(t, w, "a", 1, connmgr.Options{})
			s := stranger{t, w.Env("s")}
			var parted atomic.Int32
			s.answer(func(f *flow.Conn, _ []byte) {
				answer(f)
				if p, _ := recv(s.env.Context, f, time.Minute); string(p) == "bye" {
					parted.Add(1)
				}
				f.Close()
			})
			_, err := a.Call(within(t, 500*time.Millisecond), connmgr.Call{
				Info: cep.Message{Component: "Enrollment", Protocol: "OEP", Version: 1}, Dst: "s", QoS: qos.Raw, Parting: []byte("bye"),
			})
			if err == nil {
				t.Error("connected")
			}
			synctest.Wait()
			if n := parted.Load(); (n > 0) == (what == "refusal") {
				t.Errorf("%s: %d partings", what, n)
			}
		})
	}
}

func TestUnreadableAnswersAreFinalAfterAFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a := join(t, w, "a", 1, connmgr.Options{})
		s := stranger{t, w.Env("s")}
		s.answer(func(f *flow.Conn, first []byte) { say(f, append(first, first...)); f.Close() })
		_, err := a.Dial(within(t, time.Minute), dataTransfer, "s", qos.Raw)
		if err == nil || !strings.Contains(err.Error(), `the member "s" answers with something unreadable`) ||
			a.counter("dialling", "garbage") != 3 {
			t.Errorf("%d: %v", a.counter("dialling", "garbage"), err)
		}
	})
}

func TestAnUnknownNameFailsSoonAndAStartingNeighbourIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a := join(t, w, "a", 1, connmgr.Options{})
		begun := time.Now()
		err := a.Connect(within(t, time.Minute), dataTransfer, "b", qos.Raw)
		if !errors.Is(err, errno.NameError) ||
			err.Error() != `cannot connect "Data Transfer" to "b": no flow to "b": nobody knows that name: neither this node nor a layer that it is in; see that it is registered` {
			t.Error(err)
		}
		if d := time.Since(begun); d < 3*time.Second || d > 6*time.Second {
			t.Errorf("after %v", d)
		}
		time.AfterFunc(2*time.Second, func() { join(t, w, "b", 2, connmgr.Options{}) })
		if err := a.Connect(within(t, time.Minute), dataTransfer, "b", qos.Raw); err != nil {
			t.Error(err)
		}
	})
}

func TestAllocationsThatFailAreRepeatedUnlessThereIsNoHope(t *testing.T) {
	for _, c := range []struct {
		err  error
		last time.Duration
	}{
		{errno.New(errno.IPCP, "nobody accepts"), 20 * time.Second},
		{errno.Again, 20 * time.Second},
		{errno.Perm, 20 * time.Second},
		{errno.AuthFailed, 0},
		{errno.New(errno.Crypt, "no such cipher"), 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			a := join(t, w, "a", 1, connmgr.Options{})
			w.Refuse(func(from, dst string) error { return c.err })
			begun := time.Now()
			_, err := a.Dial(within(t, 20*time.Second), dataTransfer, "b", qos.Raw)
			if !errors.Is(err, c.err) || errno.Number(err) != errno.Number(c.err) || time.Since(begun) != c.last ||
				!strings.HasPrefix(err.Error(), `no flow to "b": `) {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
			if c.last == 0 {
				return
			}
			time.AfterFunc(5*time.Second, func() {
				join(t, w, "b", 2, connmgr.Options{})
				w.Refuse(nil)
			})
			x, err := a.Dial(within(t, 20*time.Second), dataTransfer, "b", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			x.Close()
		})
	}
}

func TestACancelledDialEndsAtOnceAndCloseEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a := join(t, w, "a", 1, connmgr.Options{})
		w.Env("s") // accepts nothing
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		if err := a.Connect(ctx, dataTransfer, "s", qos.Raw); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		time.AfterFunc(3*time.Second, a.Close)
		begun := time.Now()
		if err := a.Connect(t.Context(), dataTransfer, "s", qos.Raw); !errors.Is(err, errno.IPCP) || time.Since(begun) != 3*time.Second {
			t.Error(err)
		}
		if _, err := a.Dial(t.Context(), dataTransfer, "s", qos.Raw); !errors.Is(err, errno.IPCP) {
			t.Error(err)
		}
		if len(w.Flows()) != 0 {
			t.Error("flows are left")
		}
	})
}

func TestTheSilenceOfTheKindReplacesThePresetTimeout(t *testing.T) {
	patient := qos.Raw
	patient.Timeout = 5000
	quick := qos.Raw
	quick.Timeout = 1500
	for _, c := range []struct {
		opts      connmgr.Options
		spec, got qos.Spec
	}{
		{connmgr.Options{}, qos.Raw, qos.Raw},
		{connmgr.Options{Silence: 1500 * time.Millisecond}, qos.Raw, quick},
		{connmgr.Options{Silence: 1500 * time.Millisecond}, patient, patient},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			a, b := join(t, w, "a", 1, c.opts), join(t, w, "b", 2, connmgr.Options{})
			if err := a.Connect(within(t, time.Second), dataTransfer, "b", c.spec); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if x, y := a.part.only(t).QoS(), b.part.only(t).QoS(); x != c.got || y != c.got {
				t.Errorf("%v and %v, want %v", x, y, c.got)
			}
		})
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		"", "00", "0a001200180028004000",
		"0a0d44617461205472616e7366657212036474701801280240e1a8cbaf07", "0a0d44617461205472616e736665721200180028004000",
	} {
		b, _ := hex.DecodeString(s)
		f.Add(b, []byte("data"))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			a := join(t, w, "a", 1, connmgr.Options{})
			s := stranger{t, w.Env("s")}

			c := s.call("a") // as a dialler
			say(c, first)
			say(c, second)
			time.Sleep(2 * time.Second)
			say(c, second)
			c.Close()

			s.answer(func(f *flow.Conn, _ []byte) { // as an acceptor
				say(f, first)
				say(f, second)
				f.Close()
			})
			if err := a.Connect(within(t, 3*time.Second), dataTransfer, "s", qos.Raw); err == nil {
				if m, _ := cep.Parse(first); len(first) > 0 && (m.Component != dataTransfer || m.Agrees(a.part.info) != nil) {
					t.Errorf("%x is taken", first)
				}
			}
			if err := a.Disconnect(t.Context(), dataTransfer, "s"); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(w.Flows()) != 0 || a.part.open() != 0 || len(a.list()) != 0 {
				t.Errorf("%d flows, %d connections, %v", len(w.Flows()), a.part.open(), a.list())
			}
		})
	})
}
