package connmgr_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/qos"
)

func TestTwoComponentsAreConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		var mu sync.Mutex
		var wire []string
		w.Filter(func(p ipcptest.Packet) bool {
			mu.Lock()
			defer mu.Unlock()
			wire = append(wire, p.From+" "+hex.EncodeToString(p.Bytes))
			return true
		})
		a := join(t, w, "a", 1978848353, connmgr.Options{})
		b := join(t, w, "b", 3492930322, connmgr.Options{})
		if err := a.Connect(within(t, time.Second), dataTransfer, "b", qos.Voice); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		x, y := a.part.only(t), b.part.only(t)
		if x.Peer() != b.part.info || y.Peer() != a.part.info || x.Dst() != "b" || y.Dst() != "" ||
			!x.Dialled() || y.Dialled() || x.QoS() != qos.Voice || x.ID() != 1 || y.ID() != 1 {
			t.Errorf("%+v and %+v", x, y)
		}
		want := []string{
			"a 0a0d44617461205472616e7366657212036474701801280240e1a8cbaf07",
			"b 0a0d44617461205472616e736665721203647470180128024092c6c7810d",
		}
		if mu.Lock(); !slices.Equal(wire, want) {
			t.Errorf("on the wire: %q", wire)
		}
		mu.Unlock()
		x.Flow().Send([]*packet.Buffer{packet.From([]byte("data"))})
		if got := b.part.got; !slices.Equal(got, []string{"data"}) {
			t.Errorf("%q", got)
		}
		text, err := json.Marshal(a.Show())
		if err != nil || !strings.Contains(string(text), `"peer":"12.e3.31.d0"`) || !strings.Contains(string(text), `"state":"connected"`) {
			t.Errorf("%s: %v", text, err)
		}
	})
}

func TestWhatComesBeforeTheComponentIsReadyIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		a, b := join(t, w, "a", 1, connmgr.Options{}), join(t, w, "b", 2, connmgr.Options{})
		b.part.take = func(*connmgr.Conn) error { time.Sleep(time.Second); return nil }
		if err := a.Connect(within(t, time.Minute), dataTransfer, "b", qos.Raw); err != nil {
			t.Fatal(err)
		}
		x := a.part.only(t)
		for _, s := range []string{"1", "2", "3"} {
			x.Flow().Send([]*packet.Buffer{packet.From([]byte(s))})
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := strings.Join(b.part.got, ""); got != "123" {
			t.Errorf("%q", got)
		}
	})
}

func TestAnUnknownComponentIsRefusedAndTheFlowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		b := join(t, w, "b", 2, connmgr.Options{})
		s := stranger{t, w.Env("s")}
		for _, name := range []string{"Management", "", "Data Transfer ", "data transfer"} {
			c := s.call("b")
			say(c, put(cep.Message{Component: name, Protocol: "dtp", Version: 1, Syntax: 2}))
			got, err := recv(t.Context(), c, time.Second)
			if err != nil || hex.EncodeToString(got) != "0a001200180028004000" {
				t.Errorf("%q is answered with %x: %v", name, got, err)
			}
			if d := ended(t, c); d != 0 {
				t.Errorf("%q: the flow ends after %v", name, d)
			}
			c.Close()
		}
		synctest.Wait()
		if n := b.counter("accepting", "refused"); n != 4 || b.part.open() != 0 || w.Logged("wants a component that is not here") != 1 {
			t.Errorf("%d refused", n)
		}
	})
}

func TestASilentFlowIsClosedAfterASecondAndDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		b := join(t, w, "b", 2, connmgr.Options{})
		s := stranger{t, w.Env("s")}
		silent := s.call("b")
		say(silent, nil) // a keep-alive is nothing
		begun := time.Now()
		c := s.call("b")
		say(c, put(b.part.info))
		if _, err := recv(t.Context(), c, time.Second); err != nil || time.Since(begun) != 0 {
			t.Errorf("answered after %v: %v", time.Since(begun), err)
		}
		if d := ended(t, silent); d != time.Second {
			t.Errorf("closed after %v", d)
		}
		synctest.Wait()
		if b.part.open() != 1 || b.counter("accepting", "silent") != 1 {
			t.Errorf("%v", b.Show())
		}
		silent.Close()
		c.Close()
	})
}

func TestTheOldestSilentFlowMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		b := join(t, w, "b", 2, connmgr.Options{Waiting: 3})
		s := stranger{t, w.Env("s")}
		var silent []*flow.Conn
		for range 5 {
			silent = append(silent, s.call("b"))
			time.Sleep(time.Millisecond)
		}
		for i, c := range silent[:2] {
			if d := ended(t, c); d != 0 {
				t.Errorf("%d is closed after %v", i, d)
			}
		}
		for i, c := range silent[2:] { // in time they are served
			say(c, put(b.part.info))
			if _, err := recv(t.Context(), c, time.Second); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		for _, c := range silent {
			c.Close()
		}
		synctest.Wait()
		if n := b.counter("accepting", "crowded"); n != 2 {
			t.Errorf("%d made room", n)
		}
	})
}

func TestGarbageEndsTheFlowAndIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		b := join(t, w, "b", 2, connmgr.Options{})
		s := stranger{t, w.Env("s")}
		long := cep.Message{Component: strings.Repeat("x", 119)}
		all := [][]byte{{0}, {0xff}, bytes.Repeat([]byte{0x55}, 128), make([]byte, 1400), put(long), put(b.part.info)[:25]}
		for _, g := range all {
			c := s.call("b")
			say(c, g)
			if d := ended(t, c); d != 0 {
				t.Errorf("%x: ends after %v", g, d)
			}
			c.Close()
		}
		synctest.Wait()
		if n := b.counter("accepting", "garbage"); n != uint64(len(all)) || w.Logged("something unreadable") != 1 {
			t.Errorf("%d counted, %d logged", n, w.Logged("something unreadable"))
		}
	})
}

func TestAPeerWithAnotherProtocolGetsAnAnswerAndNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		b := join(t, w, "b", 2, connmgr.Options{})
		s := stranger{t, w.Env("s")}
		for _, m := range []cep.Message{
			{Component: dataTransfer, Protocol: "XXX", Version: 7, Syntax: 2},
			{Component: dataTransfer, Protocol: "dtp", Version: 1},
			{Component: dataTransfer},
		} {
			c := s.call("b")
			say(c, put(m))
			if got, err := recv(t.Context(), c, time.Second); err != nil || !bytes.Equal(got, put(b.part.info)) {
				t.Errorf("%+v is answered with %x: %v", m, got, err)
			}
			ended(t, c)
			c.Close()
		}
		synctest.Wait()
		if n := b.counter("accepting", "other_protocol"); n != 3 || b.part.open() != 0 {
			t.Errorf("%v", b.Show())
		}
	})
}

func TestConnectionsOfAComponentAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		b := join(t, w, "b", 2, connmgr.Options{Limit: 2})
		s := stranger{t, w.Env("s")}
		connect := func() *flow.Conn {
			c := s.call("b")
			say(c, put(b.part.info))
			synctest.Wait()
			return c
		}
		ok := func(c *flow.Conn) {
			t.Helper()
			if _, err := recv(t.Context(), c, time.Second); err != nil {
				t.Error(err)
			}
		}
		x, y, z := connect(), connect(), connect()
		ok(x)
		ok(y)
		ended(t, z)
		x.Close()
		synctest.Wait()
		again := connect()
		ok(again)
		b.part.mu.Lock()
		b.part.take = func(*connmgr.Conn) error { return errors.New("no") }
		b.part.mu.Unlock()
		again.Close()
		synctest.Wait()
		for range 5 { // who is not taken has no place
			c := connect()
			ok(c)
			ended(t, c)
			c.Close()
		}
		synctest.Wait()
		if b.counter("accepting", "excess") != 1 || b.counter("accepting", "rejected") != 5 || b.counter("dialling", "lost") != 2 {
			t.Errorf("%v", b.Show())
		}
		y.Close()
		z.Close()
		synctest.Wait()
		if l := b.list(); len(l) != 0 || len(w.Flows()) != 0 {
			t.Errorf("%v and %d flows", l, len(w.Flows()))
		}
	})
}

func TestAFailingAcceptIsTriedAgainWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		env := w.Env("b")
		h := &moody{Host: env.Host}
		env.Host = h
		s := connmgr.New(env, connmgr.Options{})
		p := transfer(2)
		s.Register(p)
		s.Start()
		defer s.Close()
		time.Sleep(10 * time.Second)
		h.mu.Lock()
		h.well = true
		tries := h.tries
		h.mu.Unlock()
		if tries < 3 || tries > 10 || w.Logged("cannot accept") != 1 {
			t.Errorf("%d tries, %d times in the log", tries, w.Logged("cannot accept"))
		}
		a := join(t, w, "a", 1, connmgr.Options{})
		if err := a.Connect(within(t, time.Minute), dataTransfer, "b", qos.Raw); err != nil {
			t.Error(err)
		}
	})
}

func TestRegisterPanicsOnWhatCannotBe(t *testing.T) {
	w := ipcptest.NewWorld(t)
	s := connmgr.New(w.Env("a"), connmgr.Options{})
	defer s.Close()
	s.Register(transfer(1))
	for _, m := range []cep.Message{{}, {Component: strings.Repeat("x", 119)}, {Component: dataTransfer}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is taken", m)
				}
			}()
			s.Register(&part{info: m})
		}()
	}
	if err := s.Connect(t.Context(), "Management", "b", qos.Raw); !errors.Is(err, errno.NotSup) || !strings.Contains(err.Error(), "Data Transfer") {
		t.Error(err)
	}
	if err := s.Disconnect(t.Context(), "Management", "b"); !errors.Is(err, errno.NotSup) {
		t.Error(err)
	}
	if _, err := s.Dial(t.Context(), "Management", "b", qos.Raw); !errors.Is(err, errno.NotSup) {
		t.Error(err)
	}
}
