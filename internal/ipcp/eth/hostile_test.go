package eth

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"ouroboros/internal/ipcp"
	link "ouroboros/internal/link/packet"
	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
)

// station is somebody on the network who sends and receives frames as he
// likes.
type station struct {
	*link.Link
	t      testing.TB
	kind   wire.Kind
	mac    wire.MAC
	frames chan []byte
}

// stand puts a station on a device.
func stand(t testing.TB, s *netns.Space, kind wire.Kind) *station {
	t.Helper()
	filter := link.LLC()
	if kind == wire.DIX {
		filter = link.Ethertype(0xa000)
	}
	st := &station{t: t, kind: kind, frames: make(chan []byte, 10000)}
	must(t, s.Do(func() (err error) {
		st.Link, err = link.Open(link.Config{Device: s.Dev, Filter: filter})
		return err
	}))
	st.mac = st.MAC()
	done := make(chan error, 1)
	go func() { done <- st.Serve(st) }()
	t.Cleanup(func() { st.Close(); <-done })
	return st
}

// Receive implements link.Handler.
func (s *station) Receive(frames []*packet.Buffer) {
	for _, b := range frames {
		select {
		case s.frames <- bytes.Clone(b.Bytes()):
		default:
		}
		b.Release()
	}
}

// raw sends a frame.
func (s *station) raw(frame []byte) {
	b := []*packet.Buffer{packet.From(frame)}
	for s.Send(b) == 0 {
		runtime.Gosched()
	}
}

// put makes a frame.
func (s *station) put(to, from wire.MAC, remote, own uint32, payload []byte) []byte {
	frame := make([]byte, s.kind.Header(), s.kind.Header()+len(payload))
	if s.kind == wire.LLC {
		wire.PutLLC(frame, to, from, wire.SAP(remote), wire.SAP(own), len(payload))
	} else {
		wire.PutDIX(frame, to, from, 0xa000, uint16(remote), len(payload))
	}
	return append(frame, payload...)
}

// say sends a management message.
func (s *station) say(to wire.MAC, m *wire.Message) {
	id := s.kind.Management()
	s.raw(s.put(to, s.mac, id, id, s.kind.Append(nil, m)))
}

// hear waits for a message of a kind and gives who sent it.
func (s *station) hear(code wire.Code) (from wire.MAC, m wire.Message) {
	s.t.Helper()
	late := time.After(patience)
	for {
		select {
		case f := <-s.frames:
			m, err := s.kind.Parse(f[s.kind.Header():], 32)
			if err == nil && m.Code == code {
				return wire.Source(f), m
			}
		case <-late:
			s.t.Fatalf("no %v", code)
		}
	}
}

// faced is a member with a station opposite.
func faced(t testing.TB, kind wire.Kind) (*member, *station, wire.MAC) {
	a, z := pair(t)
	m, s := join(t, a, kind, a.Dev), stand(t, z, kind)
	mac, err := a.MAC(a.Dev)
	must(t, err)
	return m, s, wire.MAC(mac)
}

// allocate begins an allocation whose outcome comes later.
func allocate(t testing.TB, m *member, to string) chan error {
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	go func() {
		defer cancel()
		_, err := m.AllocFlow(ctx, request(to, ""))
		done <- err
	}()
	return done
}

func TestAnswersCountOnlyWhenAsked(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		m, s, mac := faced(t, kind)
		s.say(mac, &wire.Message{Code: wire.NameReply, Hash: name("bank")})
		eventually(t, "the answer is counted", func() bool { return m.shown("directory", "unsolicited_answers") == 1 })
		if n := m.shown("directory", "known"); n != 0 {
			t.Errorf("%d names are known", n)
		}
		found := make(chan error, 1)
		go func() { found <- m.Query(t.Context(), name("bank")) }()
		for range 4 { // the first ones are lost
			s.hear(wire.NameQuery)
		}
		s.say(mac, &wire.Message{Code: wire.NameReply, Hash: name("bakn")})
		s.say(mac, &wire.Message{Code: wire.NameReply, Hash: name("bank")})
		must(t, <-found)
		if n := m.shown("directory", "known"); n != 1 {
			t.Errorf("%d names are known", n)
		}
	})
}

func TestRepliesCountOnlyFromWhomWasAskedAndOnce(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		m, s, mac := faced(t, kind)
		done := allocate(t, m, "bank")
		_, q := s.hear(wire.NameQuery)
		s.say(mac, &wire.Message{Code: wire.NameReply, Hash: q.Hash})
		_, req := s.hear(wire.FlowRequest)
		reply := &wire.Message{Code: wire.FlowReply, Source: 7, Destination: req.Source}
		// From somebody else, for an endpoint that nobody has, from an
		// endpoint that cannot be.
		id := kind.Management()
		s.raw(s.put(mac, wire.MAC{2, 9, 9, 9, 9, 9}, id, id, kind.Append(nil, reply)))
		s.say(mac, &wire.Message{Code: wire.FlowReply, Source: 7, Destination: req.Source ^ 1})
		s.say(mac, &wire.Message{Code: wire.FlowReply, Source: 0, Destination: req.Source})
		eventually(t, "all three are counted", func() bool {
			return m.shown("allocation", "forged_replies") == 1 && m.shown("allocation", "late_replies") == 1 &&
				m.shown("arrivals", "malformed") == 1
		})
		s.say(mac, reply)
		s.say(mac, &wire.Message{Code: wire.FlowReply, Source: 8, Destination: req.Source})
		must(t, <-done)
		eventually(t, "the second reply is counted", func() bool { return m.shown("allocation", "duplicate_replies") == 1 })
	})
}

func TestWhatAPeerRefusesIsTheError(t *testing.T) {
	for _, response := range []int32{-1, -1009, 5} {
		m, s, mac := faced(t, wire.DIX)
		done := allocate(t, m, "bank")
		_, q := s.hear(wire.NameQuery)
		s.say(mac, &wire.Message{Code: wire.NameReply, Hash: q.Hash})
		_, req := s.hear(wire.FlowRequest)
		s.say(mac, &wire.Message{Code: wire.FlowReply, Source: 7, Destination: req.Source, Response: response})
		if err := <-done; err == nil {
			t.Errorf("response %d: a flow", response)
		}
		if n := m.shown("flows", "open"); n != 0 {
			t.Errorf("response %d: %d endpoints are open", response, n)
		}
	}
}

func TestDataCountsOnlyFromThePeer(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		m, s, mac := faced(t, kind)
		must(t, m.Reg(t.Context(), name("bank")))
		s.say(wire.Broadcast, &wire.Message{Code: wire.NameQuery, Hash: name("bank")})
		s.hear(wire.NameReply)
		s.say(mac, &wire.Message{Code: wire.FlowRequest, Source: 65, Hash: name("bank"), Data: make([]byte, 36)})
		_, reply := s.hear(wire.FlowReply)
		if reply.Response != 0 || reply.Destination != 65 || reply.Source == 0 {
			t.Fatalf("reply %+v", reply)
		}
		server := end{<-m.host.flows, newUser()}
		server.Attach(server.user)
		own := uint32(reply.Source)
		s.raw(s.put(mac, wire.MAC{2, 9, 9, 9, 9, 9}, own, 65, []byte("from another address")))
		if kind == wire.LLC {
			s.raw(s.put(mac, s.mac, own, 64, []byte("from another SAP")))
		}
		s.raw(s.put(mac, s.mac, own^1, 65, []byte("to another endpoint")))
		for _, eid := range []uint32{20000, 65535, 4096, 10240} {
			if kind == wire.DIX && eid != own {
				s.raw(s.put(mac, s.mac, eid, 65, []byte("to nobody")))
			}
		}
		long := s.put(mac, s.mac, own, 65, []byte("promises more"))
		binary.BigEndian.PutUint16(long[map[wire.Kind]int{wire.DIX: 16, wire.LLC: 12}[kind]:], 300)
		s.raw(long)
		s.raw(append(s.put(mac, s.mac, own, 65, []byte("padded")), make([]byte, 40)...))
		server.packet(t, "padded")
		s.raw(s.put(mac, s.mac, own, 65, nil))
		server.packet(t, "")
		server.quiet(t)
	})
}

func TestARequestForAnUnknownNameIsIgnored(t *testing.T) {
	m, s, mac := faced(t, wire.DIX)
	must(t, m.Reg(t.Context(), name("bank")))
	s.say(mac, &wire.Message{Code: wire.FlowRequest, Source: 70, Hash: name("shop"), Data: make([]byte, 36)})
	s.say(mac, &wire.Message{Code: wire.FlowRequest, Source: 71, Hash: name("bank"), Data: make([]byte, 36)})
	if _, reply := s.hear(wire.FlowReply); reply.Destination != 71 {
		t.Errorf("reply %+v", reply)
	}
}

func TestARequestThatComesTwiceIsOneFlow(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		m, s, mac := faced(t, kind)
		must(t, m.Reg(t.Context(), name("bank")))
		req := &wire.Message{Code: wire.FlowRequest, Source: 5, Hash: name("bank"), Data: []byte("an id of sixteen and more")}
		s.say(mac, req)
		_, first := s.hear(wire.FlowReply)
		s.say(mac, req)
		_, second := s.hear(wire.FlowReply)
		if first.Source != second.Source || len(m.host.flows) != 1 {
			t.Errorf("replies %+v and %+v, %d flows", first, second, len(m.host.flows))
		}
	})
}

func TestOfSeveralHostsAnyAnswers(t *testing.T) {
	// Three members on a bridge; two have the name.
	hub := netns.Empty(t)
	if err := hub.IP("link", "add", "br0", "type", "bridge"); err != nil {
		t.Skipf("the kernel has no bridges: %v", err)
	}
	must(t, hub.Up("br0"))
	var ms []*member
	for i := range 3 {
		s := netns.Empty(t)
		port := "port" + string(rune('0'+i))
		must(t, netns.Join(s, netns.Dev, hub, port))
		must(t, hub.IP("link", "set", "dev", port, "master", "br0"))
		ms = append(ms, join(t, s, wire.DIX, netns.Dev))
	}
	must(t, ms[2].Reg(t.Context(), name("oping")))
	client, server := connect(t, ms[0], ms[1], "oping2")
	exchange(t, client, server)
	must(t, ms[1].Reg(t.Context(), name("oping")))
	if _, err := ms[0].AllocFlow(t.Context(), request("oping", "")); err != nil {
		t.Fatal(err)
	}
	// One of them leaves: the other one is found.
	for _, leaver := range []int{1, 2} {
		if len(ms[leaver].host.flows) > 0 {
			must(t, ms[leaver].Unreg(t.Context(), name("oping")))
			break
		}
	}
	for tries := 0; ; tries++ {
		if _, err := ms[0].AllocFlow(t.Context(), request("oping", "")); err == nil {
			break
		} else if tries == 3 {
			t.Fatal(err)
		}
	}
}

// junk makes frames: mutations of good ones, and noise.
type junk struct {
	r    *rand.Rand
	good [][]byte
}

func newJunk(kind wire.Kind, s *station, to wire.MAC) *junk {
	j := &junk{r: rand.New(rand.NewPCG(1, 2))}
	id := kind.Management()
	for code := range wire.Code(5) {
		m := &wire.Message{Code: code, Source: 3, Destination: 3, Hash: name("bank"), Data: make([]byte, 36)}
		j.good = append(j.good, s.put(to, s.mac, id, id, kind.Append(nil, m)))
	}
	m := &wire.Message{Code: wire.Probe, Source: 3, Hash: name("bank"), Data: make([]byte, 16)}
	j.good = append(j.good, s.put(to, s.mac, id, id, kind.Append(nil, m)))
	j.good = append(j.good, s.put(to, s.mac, 3, 3, []byte("data")), s.put(to, s.mac, 3, 3, nil))
	return j
}

func (j *junk) next() []byte {
	f := bytes.Clone(j.good[j.r.IntN(len(j.good))])
	for range j.r.IntN(4) {
		f[12+j.r.IntN(len(f)-12)] = byte(j.r.Uint32())
	}
	switch j.r.IntN(4) {
	case 0:
		f = f[:14+j.r.IntN(len(f)-13)]
	case 1:
		f = append(f, make([]byte, j.r.IntN(1400-len(f)))...)
	}
	return f
}

func TestHostileFramesBecomeCounters(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		m, s, mac := faced(t, kind)
		must(t, m.Reg(t.Context(), name("bank")))
		m.host.decides(func(*ipcp.Request) error { return context.Canceled }, "")
		j := newJunk(kind, s, mac)
		frames := 50_000
		if testing.Short() {
			frames = 10_000
		}
		var before runtime.MemStats
		for i := range frames {
			if i == frames/4 { // the tables are full, the pools have grown
				runtime.GC()
				runtime.ReadMemStats(&before)
			}
			s.raw(j.next())
		}
		// It is alive, and has not grown.
		s.say(wire.Broadcast, &wire.Message{Code: wire.NameQuery, Hash: name("bank")})
		for from, r := s.hear(wire.NameReply); from != mac || !bytes.Equal(r.Hash, name("bank")); {
			from, r = s.hear(wire.NameReply)
		}
		var after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&after)
		if after.HeapAlloc > before.HeapAlloc+64<<20 {
			t.Errorf("grew from %d to %d MiB", before.HeapAlloc>>20, after.HeapAlloc>>20)
		}
		if m.shown("arrivals", "malformed") == 0 || m.shown("flows", "unknown_endpoint") == 0 || m.shown("frames", "wrong_length") == 0 {
			t.Errorf("nothing was counted: %v", m.Show())
		}
		if n := m.shown("flows", "open"); n != 0 {
			t.Errorf("%d flows are open", n)
		}
	})
}
