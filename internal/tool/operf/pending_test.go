package operf

import (
	"testing"
	"time"
)

func TestMessagesComeBackOnce(t *testing.T) {
	p := newPending()
	if _, f := p.receive(0); f != unknown {
		t.Errorf("before all: %d", f)
	}
	for i := range 5 {
		if id := p.send(time.Duration(i)); id != uint32(i) {
			t.Fatalf("message %d has the id %d", i, id)
		}
	}
	for _, id := range []uint32{1, 0, 4} {
		if at, f := p.receive(id); f != returned || at != time.Duration(id) {
			t.Errorf("id %d: %v, %d", id, at, f)
		}
	}
	for _, id := range []uint32{1, 0, 4} {
		if _, f := p.receive(id); f != repeated {
			t.Errorf("id %d again: %d", id, f)
		}
	}
	for _, id := range []uint32{5, 1 << 31, 1<<32 - 1} {
		if _, f := p.receive(id); f != unknown {
			t.Errorf("id %d: %d", id, f)
		}
	}
}

func TestTimesOfTooManyMessagesAreForgotten(t *testing.T) {
	p := newPending()
	for range slots + 1 {
		p.send(time.Second)
	}
	if _, f := p.receive(0); f != forgotten {
		t.Errorf("the oldest: %d", f)
	}
	for _, id := range []uint32{1, slots} {
		if at, f := p.receive(id); f != returned || at != time.Second {
			t.Errorf("id %d: %v, %d", id, at, f)
		}
	}
}

func TestIDsGoOnFromZero(t *testing.T) {
	p := newPending()
	p.sent.Store(1<<32 - 2)
	for i := range 4 {
		p.send(time.Duration(i))
	}
	for i, id := range []uint32{1<<32 - 2, 1<<32 - 1, 0, 1} {
		if at, f := p.receive(id); f != returned || at != time.Duration(i) {
			t.Errorf("id %d: %v, %d", id, at, f)
		}
	}
}

func TestAMessageThatCouldNotBeSentIsUnknown(t *testing.T) {
	p := newPending()
	p.send(0)
	p.unsend()
	if _, f := p.receive(0); f != unknown {
		t.Errorf("got %d", f)
	}
}
