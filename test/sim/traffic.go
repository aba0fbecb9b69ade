package sim

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"ouroboros"
	"ouroboros/qos"
)

// Stream is a flow of numbered messages from one node to another, and what
// arrived of them.
type Stream struct {
	Client, Server *ouroboros.Flow
	sent           uint32

	mu   sync.Mutex
	got  []Arrival
	size int64 // bytes
	done chan struct{}
}

// Arrival is a message that came.
type Arrival struct {
	Number uint32
	At     time.Time
}

// Stream allocates a flow between two nodes, to a server of its own that is
// registered with a member of the layer.
func (n *Net) Stream(from, to int, spec qos.Spec) (*Stream, error) {
	name := fmt.Sprintf("sink.%d", n.sinks.Add(1))
	ctx, cancel := n.Context(resolveTime)
	defer cancel()
	h := n.Hosts[to]
	sc, err := h.Node.Client(name)
	if err != nil {
		return nil, err
	}
	l, err := sc.Listen(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := h.RegName(ctx, name, h.U); err != nil {
		return nil, err
	}
	s := &Stream{done: make(chan struct{})}
	accepted := make(chan error, 1)
	go func() {
		var err error
		s.Server, err = l.AcceptFlow(ctx)
		accepted <- err
	}()
	if s.Client, err = n.Hosts[from].Client.Alloc(ctx, name, &spec); err != nil {
		cancel()
		<-accepted
		return nil, err
	}
	if err := <-accepted; err != nil {
		return nil, err
	}
	go s.read()
	return s, nil
}

func (s *Stream) read() {
	defer close(s.done)
	buf := make([]byte, 16<<10)
	for {
		n, err := s.Server.Read(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.size += int64(n)
		if n >= 4 {
			s.got = append(s.got, Arrival{binary.BigEndian.Uint32(buf), time.Now()})
		}
		s.mu.Unlock()
	}
}

// Send writes messages of a size, one each interval (0 = as fast as the flow
// takes them), until the time is over.
func (s *Stream) Send(size int, every, most time.Duration) error {
	p := make([]byte, size)
	for begun := time.Now(); time.Since(begun) < most; {
		binary.BigEndian.PutUint32(p, s.sent)
		if _, err := s.Client.Write(p); err != nil {
			return err
		}
		s.sent++
		if every > 0 {
			time.Sleep(every)
		}
	}
	return nil
}

// Close ends the flow at both sides.
func (s *Stream) Close() {
	s.Client.Close()
	s.Server.Close()
	<-s.done
}

// Bytes is what has come so far.
func (s *Stream) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Lost is how many messages have not come, doubles not counted. Gap is the
// longest time between two arrivals, and when it began.
func (s *Stream) Lost() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make(map[uint32]bool, len(s.got))
	for _, a := range s.got {
		seen[a.Number] = true
	}
	return int(s.sent) - len(seen)
}

func (s *Stream) Gap() (longest time.Duration, from time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i < len(s.got); i++ {
		if d := s.got[i].At.Sub(s.got[i-1].At); d > longest {
			longest, from = d, s.got[i-1].At
		}
	}
	return longest, from
}

// Ordered reports whether all came in the order in which they were sent.
func (s *Stream) Ordered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.IsSortedFunc(s.got, func(a, b Arrival) int { return cmp.Compare(a.Number, b.Number) })
}

// Jain is the fairness of shares: 1 when all are equal, 1/n when one has all.
func Jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// Median gives the middle of some times; 0 when there are none.
func Median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}
