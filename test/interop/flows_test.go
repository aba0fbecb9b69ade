package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/qos"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// fromOurs are the pairs whose client this process can be.
var fromOurs = []peers{oursOurs, {ours, reference}}

// toOurs are the pairs whose server's host is ours.
var toOurs = []peers{oursOurs, {reference, ours}}

// pinger exchanges messages with an oping server, of any make.
type pinger struct {
	flow *ouroboros.Flow
	next uint32
	rand *rand.ChaCha8
	buf  []byte
}

func newPinger(f *ouroboros.Flow) *pinger {
	f.SetReadTimeout(host.Patience)
	return &pinger{flow: f, rand: rand.NewChaCha8([32]byte{1}), buf: make([]byte, 1<<16)}
}

// once sends a ping of size bytes, at least 24, and takes its answer. Answers
// to earlier ones are passed over.
func (p *pinger) once(size int) error {
	ping := make([]byte, size)
	p.rand.Read(ping[24:])
	binary.BigEndian.PutUint32(ping[4:], p.next)
	p.next++
	if _, err := p.flow.Write(ping); err != nil {
		return fmt.Errorf("write %d bytes: %w", size, err)
	}
	binary.BigEndian.PutUint32(ping, 1)
	for {
		n, err := p.flow.Read(p.buf)
		if err != nil {
			return fmt.Errorf("read the answer to ping %d of %d bytes: %w", p.next-1, size, err)
		}
		if n >= 8 && binary.BigEndian.Uint32(p.buf[4:]) != p.next-1 {
			continue
		}
		if !bytes.Equal(p.buf[:n], ping) {
			return fmt.Errorf("the answer to ping %d of %d bytes is another, of %d bytes", p.next-1, size, n)
		}
		return nil
	}
}

func TestFlowsAreAllocatedUsedAndReleasedManyTimes(t *testing.T) {
	each(t, fromOurs, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		w.serve(t, "oping", "-Q")
		c := open(t, w.here())
		times := 100
		if p.server == reference || l.name == "eth-llc" {
			times = 20 // LLC has 64 endpoints, and the server keeps those of before
		}
		for i := range times {
			f := w.allocate(t, c, "oping", nil)
			if err := newPinger(f).once(64 + i); err != nil {
				t.Fatalf("flow %d: %v", i, err)
			}
			f.Close()
		}
		noFlows(t, w.here())
		w.healthy(t)
	})
}

func TestARawFlowCarriesMessagesOfAllSizesAndRefusesLongerOnes(t *testing.T) {
	each(t, fromOurs, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		most := l.most
		if p.server == reference {
			most = min(most, 1496) // what its ping server reads
			w.serve(t, "oping", "-Q")
		} else {
			w.role(t, "echo")
		}
		c := open(t, w.here())
		if p.server == reference {
			f := w.allocate(t, c, "oping", nil)
			ping := newPinger(f)
			for _, size := range []int{24, 25, 64, 1000, 1400, most - 1, most} {
				if err := ping.once(size); err != nil {
					t.Error(err)
				}
			}
			tooLong(t, f, l.most)
			f.Close()
			w.healthy(t)
			return
		}
		f := w.allocate(t, c, "echo", nil)
		f.SetReadTimeout(host.Patience)
		buf := make([]byte, 1<<16)
		for _, size := range []int{1, 2, 3, 4, 5, 46, 64, 1000, 1400, 1472, most - 1, most} {
			m := bytes.Repeat([]byte{byte(size)}, size)
			if _, err := f.Write(m); err != nil {
				t.Fatalf("write %d bytes: %v", size, err)
			}
			if n, err := f.Read(buf); err != nil || !bytes.Equal(buf[:n], m) {
				t.Fatalf("%d bytes came back as %d, %v", size, n, err)
			}
		}
		tooLong(t, f, most)
	})
}

func tooLong(t *testing.T, f *ouroboros.Flow, most int) {
	t.Helper()
	if f.MTU() != most {
		t.Errorf("the flow says that it carries %d bytes, and not %d", f.MTU(), most)
	}
	if _, err := f.Write(make([]byte, most+1)); !errors.Is(err, ouroboros.ErrMsgSize) {
		t.Errorf("a message of %d bytes: %v", most+1, err)
	}
}

// A requester of ours whose request nobody answers, or with a refusal, hears of
// it, and nothing stays behind.
func TestARefusalIsAnsweredAtOnce(t *testing.T) {
	each(t, toOurs, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		w.server.OK(t, "irm", "name", "create", "idle")
		w.register(t, "idle")
		for _, name := range []string{
			"idle",   // nobody serves it
			"nobody", // the server's host does not know it
		} {
			// A requester of the reference can miss an answer and wait for
			// 20 s; then it is asked again.
			for try := 1; ; try++ {
				begin := time.Now()
				r := w.client.Run(t, "oping", "-n", name, "-c", "1")
				took := time.Since(begin)
				number := regexp.MustCompile(`Failed to allocate flow: -[1-9]\d*`)
				if r.Code == 0 || !number.MatchString(r.Stdout+r.Stderr) {
					t.Errorf("%s: exit %d\n%s%s", name, r.Code, r.Stdout, r.Stderr)
				}
				if took < 10*time.Second {
					break
				}
				if p.client == ours || try == 3 {
					t.Errorf("%s: the refusal took %v", name, took)
					break
				}
			}
		}
		for _, n := range []host.Node{w.client, w.server} {
			if d, ok := n.(*host.Daemon); ok {
				noFlows(t, d)
			}
		}
	})
}

func TestARefusalSaysWhy(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		mute := w.role(t, "mute")
		c := open(t, w.here())
		ctx, cancel := context.WithTimeout(t.Context(), host.Patience)
		defer cancel()
		if _, err := c.Alloc(ctx, "nobody", nil); !errors.Is(err, ouroboros.ErrName) && !errors.Is(err, ouroboros.ErrIPCP) {
			t.Errorf("a name that nobody knows: %v", err)
		}
		begin := time.Now()
		_, err := c.Alloc(ctx, "mute", nil)
		if err == nil || errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 10*time.Second {
			t.Errorf("a server that does not accept: %v after %v", err, time.Since(begin))
		}
		mute.Kill()
		noFlows(t, w.here())
		noFlows(t, w.server.(*host.Daemon))
	})
}

// The reference does not answer a request that it refuses.
func TestARequestThatTheReferenceDropsIsGivenUpAndLeavesNothing(t *testing.T) {
	each(t, []peers{{ours, reference}}, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		w.server.OK(t, "irm", "name", "create", "idle")
		w.register(t, "idle")
		c := open(t, w.here())
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := c.Alloc(ctx, "idle", nil); err == nil {
			t.Error("nobody accepted, and there is a flow")
		}
		noFlows(t, w.here())
		w.healthy(t)
	})
}

func TestKeepAlivesAreSeenOnTheWire(t *testing.T) {
	each(t, fromOurs, func(t *testing.T, l layer, p peers) {
		w := joinByRelay(t, l, p, 1)
		w.serve(t, "oping", "-Q")
		spec := qos.Raw
		spec.Timeout = 2000
		f := w.allocate(t, open(t, w.here()), "oping", &spec)
		if err := newPinger(f).once(64); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for _, d := range []relay.Direction{relay.AtoB, relay.BtoA} {
			seen := make(chan struct{}, 1000)
			w.relay.Watch(d, func(frame []byte) {
				if l.empty(frame) {
					select {
					case seen <- struct{}{}:
					default:
					}
				}
			})
			for i := range 4 {
				select {
				case <-seen:
				case <-time.After(host.Patience):
					t.Fatalf("%v: %d keep-alives in %v", d, i, host.Patience)
				}
			}
			w.relay.Watch(d, nil)
		}
		// Four each way, one each half second.
		if took := time.Since(begin); took < 2*time.Second {
			t.Errorf("eight keep-alives came within %v", took)
		}
		f.Close()
		w.healthy(t)
	})
}

// accept binds this process to a name on the server's host, which is ours, and
// gives the flow that comes.
func (w *world) accept(t testing.TB, name string) <-chan *ouroboros.Flow {
	t.Helper()
	d := w.server.(*host.Daemon)
	c := open(t, d)
	flows := make(chan *ouroboros.Flow, 1)
	go func() {
		f, err := c.Accept(t.Context())
		if err == nil {
			flows <- f
		}
		close(flows)
	}()
	host.Eventually(t, "this process can be bound", func() bool {
		return d.Irm.BindProcess(context.Background(), os.Getpid(), name) == nil
	})
	w.register(t, name)
	return flows
}

// event waits for an event of a flow and passes over others.
func event(t testing.TB, f *ouroboros.Flow, want ouroboros.EventType) {
	t.Helper()
	s := ouroboros.NewFlowSet()
	defer s.Close()
	if err := s.Add(f); err != nil {
		t.Fatal(err)
	}
	await(t, s, want)
}

func await(t testing.TB, s *ouroboros.FlowSet, want ouroboros.EventType) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), host.Patience)
	defer cancel()
	var seen []string
	for {
		events, err := s.Wait(ctx, nil)
		if err != nil {
			t.Fatalf("waited for event %d and saw %s: %v", want, strings.Join(seen, " "), err)
		}
		for _, e := range events {
			seen = append(seen, fmt.Sprint(e.Type))
			if e.Type == want {
				return
			}
		}
	}
}

func TestAFlowWhosePeerIsKilledEndsByPeerTimeOut(t *testing.T) {
	each(t, fromOurs, func(t *testing.T, l layer, p peers) {
		for _, spec := range []qos.Spec{qos.Raw, qos.Data} {
			w := join(t, l, p)
			w.serve(t, "oping", "-Q")
			spec.Timeout = 1500
			if p.server == reference {
				spec.BER = 1
			}
			f := w.allocate(t, open(t, w.here()), "oping", &spec)
			if err := newPinger(f).once(64); err != nil {
				t.Fatal(err)
			}
			s := ouroboros.NewFlowSet()
			defer s.Close()
			s.Add(f)
			w.server.Kill()
			await(t, s, ouroboros.FlowPeer)
			if _, err := f.Read(make([]byte, 10)); !errors.Is(err, ouroboros.ErrFlowPeer) {
				t.Errorf("%v: read gives %v", spec, err)
			}
			f.Close()
			noFlows(t, w.here())
		}
	})
}

func TestTheServersEndOfAKilledClientIsReleased(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		flows := w.accept(t, "idle")
		spec := qos.Data
		spec.Timeout = 1500
		f := w.allocate(t, open(t, w.here()), "idle", &spec)
		if _, err := f.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		far := <-flows
		far.SetReadTimeout(host.Patience)
		if n, err := far.Read(make([]byte, 10)); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		w.client.Kill()
		event(t, far, ouroboros.FlowPeer)
		far.Close()
		noFlows(t, w.server.(*host.Daemon))
	})
}

func TestWhatWasWrittenBeforeAReliableFlowIsDeallocatedArrives(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		w := joinByRelay(t, l, p, 11)
		w.relay.Impair(relay.Impairment{Loss: 0.1, Delay: 5 * time.Millisecond, Only: w.data})
		flows := w.accept(t, "idle")
		spec := qos.Data
		spec.Timeout = 3000
		f := w.allocate(t, open(t, w.here()), "idle", &spec)
		const n = 200
		for i := range n {
			if _, err := f.Write(binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
		far := <-flows
		far.SetReadTimeout(host.Patience)
		buf := make([]byte, 100)
		for i := range n {
			k, err := far.Read(buf)
			if err != nil || k != 4 || binary.BigEndian.Uint32(buf) != uint32(i) {
				t.Fatalf("message %d: % x, %v", i, buf[:k], err)
			}
		}
		if _, err := far.Read(buf); !errors.Is(err, ouroboros.ErrFlowPeer) {
			t.Errorf("after the last: %v", err)
		}
		far.Close()
		noFlows(t, w.here())
		noFlows(t, w.server.(*host.Daemon))
	})
}
