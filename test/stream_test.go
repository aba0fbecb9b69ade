package test

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/qos"
	"ouroboros/test/host"
)

// stream is numbered messages between two sites, one each millisecond, or fewer
// on a busy machine.
type stream struct {
	flow *ouroboros.Flow
	sent atomic.Int64  // number of the next one
	stop chan struct{} // closed by end
	once sync.Once
	done chan struct{} // closed when nothing is sent any more

	mu   sync.Mutex
	got  []time.Time // by number; zero = not
	over bool        // the flow of the receiver has ended
}

// streams begins one from a site to another, over the layer "net".
func (n *network) streams(t testing.TB, from, to string, spec *qos.Spec) *stream {
	t.Helper()
	s := &stream{stop: make(chan struct{}), done: make(chan struct{})}
	name := "stream." + from + to
	n.site(to).serve(t, name, "net", s.receive)
	s.flow = n.site(from).call(t, name, spec)
	go s.send()
	t.Cleanup(s.end)
	s.flows(t)
	return s
}

func (s *stream) send() {
	defer close(s.done)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	s.flow.SetWriteTimeout(host.Patience)
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		m := binary.BigEndian.AppendUint64(nil, uint64(s.sent.Load()))
		if _, err := s.flow.Write(m); err != nil {
			return
		}
		s.sent.Add(1)
	}
}

func (s *stream) receive(f *ouroboros.Flow) {
	defer f.Close()
	buf := make([]byte, 64)
	for {
		n, err := f.Read(buf)
		s.mu.Lock()
		if err != nil || n != 8 {
			s.over = true
			s.mu.Unlock()
			return
		}
		at := int(binary.BigEndian.Uint64(buf))
		for len(s.got) <= at {
			s.got = append(s.got, time.Time{})
		}
		s.got[at] = time.Now()
		s.mu.Unlock()
	}
}

// end stops sending, and waits until what is on its way has had time to come.
func (s *stream) end() {
	s.once.Do(func() { close(s.stop) })
	<-s.done
}

// now is the number of the next message.
func (s *stream) now() int { return int(s.sent.Load()) }

// flows waits until a message arrives that is sent from now on, and gives its
// number and when that was.
func (s *stream) flows(t testing.TB) (number int, at time.Time) {
	t.Helper()
	from := s.now()
	host.Eventually(t, "messages arrive", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.over {
			t.Fatal("the flow has ended")
		}
		for i := from; i < len(s.got); i++ {
			if !s.got[i].IsZero() {
				number, at = i, s.got[i]
				return true
			}
		}
		return false
	})
	return number, at
}

// lost waits until some messages that are sent from now on have arrived one
// after the other, and gives how many are missing of those from the given one
// to the first of them.
func (s *stream) lost(t testing.TB, from int) int {
	t.Helper()
	const row = 20
	begin, missing := s.now(), 0
	host.Eventually(t, "messages arrive in a row", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.over {
			t.Fatal("the flow has ended")
		}
		for i, run := begin, 0; i < len(s.got); i++ {
			if run++; s.got[i].IsZero() {
				run = 0
			}
			if run < row {
				continue
			}
			missing = 0
			for k := from; k <= i; k++ {
				if s.got[k].IsZero() {
					missing++
				}
			}
			return true
		}
		return false
	})
	return missing
}
