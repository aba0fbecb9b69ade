package frcp

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

// seen is a packet that a machine sent.
type seen struct {
	wire.Header
	data string
	at   time.Duration
}

// script is a machine whose flow below is the test itself.
type script struct {
	f *Flow
	u *user

	mu      sync.Mutex
	h       flow.Handler
	begin   time.Time
	out     []seen
	take    int // packets that Send takes, negative = all
	dealloc bool
	spec    qos.Spec
}

func (s *script) Send(batch []*packet.Buffer) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(batch)
	if s.take >= 0 {
		n = min(n, s.take)
		s.take -= n
	}
	for _, b := range batch[:n] {
		h, ok := wire.Parse(b.Bytes())
		one := seen{Header: h, at: time.Since(s.begin)}
		if ok {
			one.data = string(b.Bytes()[wire.HeaderLen:])
		}
		s.out = append(s.out, one)
		b.Release()
	}
	return n
}

func (s *script) Attach(h flow.Handler) { s.h = h }
func (s *script) Resume()               {}
func (s *script) MTU() int              { return 1500 }
func (s *script) QoS() qos.Spec         { return s.spec }
func (s *script) QueueLen() int         { return 0 }
func (s *script) Dealloc()              { s.mu.Lock(); s.dealloc = true; s.mu.Unlock() }

// wrote gives what was sent since the last call.
func (s *script) wrote() []seen {
	synctest.Wait() // for timers of this moment, and so that the machine may be looked at
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.out
	s.out = nil
	return out
}

// hear lets a packet arrive.
func (s *script) hear(h wire.Header, data string) {
	b := packet.Get(wire.HeaderLen + len(data))
	h.Put(b.Bytes())
	copy(b.Bytes()[wire.HeaderLen:], data)
	flow.Deliver(s.h, []*packet.Buffer{b})
}

// say sends messages.
func (s *script) say(words ...string) int {
	var batch []*packet.Buffer
	for _, w := range words {
		batch = append(batch, packet.From([]byte(w)))
	}
	n := s.f.Send(batch)
	packet.ReleaseAll(batch[n:])
	return n
}

const (
	ourISN   = wire.Seq(0x61000000)
	theirISN = wire.Seq(0x20000000)
)

// scripted runs f in a bubble with a machine over a script.
func scripted(t *testing.T, spec qos.Spec, c Config, f func(s *script)) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{spec: spec, take: -1, begin: time.Now()}
		c.QoS = spec
		if c.ISN == nil {
			c.ISN = func() wire.Seq { return ourISN }
		}
		s.f = New(s, c)
		s.u = newUser(t, s.f)
		f(s)
		s.f.Abort()
		<-s.f.Done()
		if !s.dealloc {
			t.Error("the flow below was not deallocated")
		}
	})
}

// only checks that exactly these headers were sent since the last look.
func (s *script) only(t *testing.T, what string, want ...wire.Header) {
	t.Helper()
	got := s.wrote()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		w := want[i]
		w.Window &= 0xffffff
		ok = got[i].Header == w
	}
	if !ok {
		t.Errorf("%s: sent %+v, want %+v", what, got, want)
	}
}
