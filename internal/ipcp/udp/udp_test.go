package udp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/udpmgmt"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestPacketsOfEachLengthCrossBothWays(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			a, b := member(t, addr), member(t, addr)
			near, far := a.flowTo(t, b)
			most := near.MTU()
			if want := map[string]int{"127.0.0.1": 8976, "::1": 8948}[addr]; most != want || far.MTU() != want {
				t.Fatalf("MTU %d, %d, want %d", most, far.MTU(), want)
			}
			here, there := newCollect(), newCollect()
			near.Attach(here)
			far.Attach(there)
			sizes := []int{0, 1, 3, 4, 1400, most - 27, most - 1, most}
			for _, f := range []flow.Flow{near, far} {
				for _, n := range append(append([]int(nil), sizes...), most+1, most+4, most+5) {
					if f.Send([]*packet.Buffer{packet.From(make([]byte, n))}) != 1 {
						t.Errorf("%d bytes were not taken", n)
					}
				}
			}
			for _, c := range []*collect{here, there} {
				if got := c.wait(t, len(sizes)); !slices.Equal(got, sizes) {
					t.Errorf("lengths %v arrived, want %v", got, sizes)
				}
			}
			if near.QoS() != qos.Raw || far.QoS() != qos.Raw {
				t.Errorf("QoS %+v, %+v", near.QoS(), far.QoS())
			}
		})
	}
}

func TestTheMTUIsTheConfiguredOne(t *testing.T) {
	a := member(t, "127.0.0.1", func(u *irm.UDPConfig) { u.MTU = 1400 })
	b := member(t, "127.0.0.1")
	near, _ := a.flowTo(t, b)
	if near.MTU() != 1400 {
		t.Errorf("MTU %d", near.MTU())
	}
}

// foreign is a socket that speaks the protocol by hand.
type foreign struct {
	*net.UDPConn
	t *testing.T
}

func speak(t *testing.T, addr string) foreign {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return foreign{c, t}
}

func (f foreign) at() netip.AddrPort {
	a := f.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (f foreign) send(to netip.AddrPort, datagram []byte) {
	f.t.Helper()
	if _, err := f.WriteToUDPAddrPort(datagram, to); err != nil {
		f.t.Fatal(err)
	}
}

func (f foreign) message(to netip.AddrPort, m udpmgmt.Message) {
	b := make([]byte, m.Size())
	m.Put(b)
	f.send(to, b)
}

// next gives the next datagram.
func (f foreign) next() []byte {
	f.t.Helper()
	buf := make([]byte, 65536)
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	n, _, err := f.ReadFromUDPAddrPort(buf)
	if err != nil {
		f.t.Fatal(err)
	}
	return buf[:n]
}

// nextMessage gives the next message with a code.
func (f foreign) nextMessage(code udpmgmt.Code) udpmgmt.Message {
	f.t.Helper()
	for {
		if m, err := udpmgmt.Parse(f.next()); err == nil && m.Code == code {
			return m
		}
	}
}

func data(eid uint32, payload string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, eid), payload...)
}

// The requests of the C implementation for the presets, but for the endpoint,
// which is another number each time.
func TestARequestHasTheBytesOfTheCImplementation(t *testing.T) {
	for _, c := range []struct {
		spec qos.Spec
		want string // from offset 16 to 47
	}{
		{qos.Raw, "0000000000000000ffffffff0000000100000001ffffffff0001d4c0010000"},
		{qos.RawNoErrors, "0000000000000000ffffffff0000000100000000ffffffff0001d4c0010000"},
		{qos.Voice, "00000000000186a000000032000000010000000000000032" + "0001d4c0010501"},
		{qos.Data, "0000000000000000000003e80000000000000000000007d00001d4c0010001"},
	} {
		a, f := member(t, "127.0.0.1"), speak(t, "127.0.0.1")
		a.Directory.Add(name("shpingb"), f.at(), time.Hour)
		req := request("shpingb")
		req.QoS = c.spec
		done := make(chan error)
		go func() {
			_, err := a.AllocFlow(limited(t), req)
			done <- err
		}()
		got := f.next()
		m, err := udpmgmt.Parse(got)
		if err != nil || m.SEID == 0 || m.SEID > 0x7fffffff {
			t.Fatalf("%x: %v", got, err)
		}
		want := make([]byte, 16)
		binary.BigEndian.PutUint32(want[4:], m.SEID)
		fixed, _ := hex.DecodeString(c.want + "397677694da4970d660892a7f7d461e9")
		want = append(append(want, fixed...), req.Data...)
		if !bytes.Equal(got, want) {
			t.Errorf("sent %x\nwant %x", got, want)
		}
		f.message(a.local, udpmgmt.Message{Code: udpmgmt.FlowReply, SEID: m.SEID, DEID: 64})
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestDataGoesToTheEndpointOfTheReply(t *testing.T) {
	a, f, other := member(t, "127.0.0.1"), speak(t, "127.0.0.1"), speak(t, "127.0.0.1")
	a.Directory.Add(name("x"), f.at(), time.Hour)
	result := make(chan flow.Flow)
	go func() {
		r, err := a.AllocFlow(limited(t), request("x"))
		if err != nil {
			t.Error(err)
			close(result)
			return
		}
		result <- r.Flow
	}()
	m := f.nextMessage(udpmgmt.FlowReq)
	// From another port the reply is nobody's; data that overtakes the reply is
	// kept.
	other.message(a.local, udpmgmt.Message{Code: udpmgmt.FlowReply, SEID: m.SEID, DEID: 666})
	f.send(a.local, data(m.SEID, "early"))
	f.message(a.local, udpmgmt.Message{Code: udpmgmt.FlowReply, SEID: m.SEID, DEID: 64})
	f.message(a.local, udpmgmt.Message{Code: udpmgmt.FlowReply, SEID: m.SEID, DEID: 65}) // too late
	fl := <-result
	if fl == nil {
		return
	}
	c := newCollect()
	fl.Attach(c)
	f.send(a.local, data(m.SEID, ""))
	other.send(a.local, data(m.SEID, "injected"))
	if got := c.wait(t, 2); !slices.Equal(got, []int{5, 0}) {
		t.Errorf("got %v", got)
	}
	fl.Send([]*packet.Buffer{packet.From([]byte("hello"))})
	if got := f.next(); !bytes.Equal(got, data(64, "hello")) {
		t.Errorf("sent %x", got)
	}
	until(t, "the drop of injected data", func() bool { return a.shown("flows", "foreign_source") == uint64(1) })
	if a.shown("allocation", "forged_replies") != uint64(1) {
		t.Errorf("%v", a.Show()["allocation"])
	}
}

func TestARequestIsAnsweredWhereItCameFrom(t *testing.T) {
	a, f := member(t, "127.0.0.1"), speak(t, "127.0.0.1")
	f.message(a.local, udpmgmt.Message{Code: udpmgmt.FlowReq, SEID: 1000, QoS: qos.Raw, Hash: name("x"), Data: []byte("0123456789abcdef and more")})
	m := f.nextMessage(udpmgmt.FlowReply)
	if m.SEID != 1000 || m.DEID == 0 || m.Response != 0 || m.QoS != (qos.Spec{}) || string(m.Data) != "re 0123456789abcdef and more" {
		t.Errorf("the reply is %+v", m)
	}
	fl := <-a.host.flows
	fl.Send([]*packet.Buffer{packet.From([]byte("hello"))})
	if got := f.next(); !bytes.Equal(got, data(1000, "hello")) {
		t.Errorf("sent %x", got)
	}
}

func TestARefusalHasTheBytesOfTheCImplementation(t *testing.T) {
	a, f := member(t, "127.0.0.1"), speak(t, "127.0.0.1")
	a.host.refuse(errno.AuthFailed)
	f.message(a.local, udpmgmt.Message{Code: udpmgmt.FlowReq, SEID: 1000, QoS: qos.Raw, Hash: name("x"), Data: make([]byte, 36)})
	want, _ := hex.DecodeString("00000000000003e800000000fffffc0f00000000000000000000000000000000000000000000000000000000020000")
	if got := f.next(); !bytes.Equal(got, want) {
		t.Errorf("sent %x\nwant %x", got, want)
	}
	until(t, "the release of everything", func() bool { return a.shown("flows", "open") == 0 })
}

func TestARefusalOfThePeerIsItsNumber(t *testing.T) {
	for response, want := range map[int32]error{-1: errno.Perm, -1009: errno.AuthFailed, -1003: errno.IPCP, 5: errno.Crypt} {
		a, f := member(t, "127.0.0.1"), speak(t, "127.0.0.1")
		a.Directory.Add(name("x"), f.at(), time.Hour)
		done := make(chan error)
		go func() {
			_, err := a.AllocFlow(limited(t), request("x"))
			done <- err
		}()
		m := f.nextMessage(udpmgmt.FlowReq)
		f.message(a.local, udpmgmt.Message{Code: udpmgmt.FlowReply, SEID: m.SEID, DEID: 64, Response: response})
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("%d is %v, want %v", response, err, want)
		}
		if open := a.shown("flows", "open"); open != 0 {
			t.Errorf("after %d: %v endpoints", response, open)
		}
	}
}

func TestAMessageThatMayBreakAnotherMakeIsNotSent(t *testing.T) {
	a, f, b := member(t, "127.0.0.1"), speak(t, "127.0.0.1"), member(t, "127.0.0.1")
	a.Directory.Add(name("x"), f.at(), time.Hour)
	req := request("x")
	req.Data = append(req.Data, make([]byte, 2500)...)
	done := make(chan error)
	go func() {
		_, err := a.AllocFlow(limited(t), req)
		done <- err
	}()
	f.nextMessage(udpmgmt.Probe)
	if err := <-done; !errors.Is(err, errno.MsgSize) {
		t.Errorf("got %v", err)
	}
	// One of our own kind shows that it is, and gets it. It answers at length.
	a.knows("x", b)
	if r, err := a.AllocFlow(limited(t), req); err != nil || len(r.Data) != 3+len(req.Data) {
		t.Errorf("%v", err)
	}
}

func TestWhateverArrivesIsACounterAndNothingGrows(t *testing.T) {
	a, f := member(t, "127.0.0.1"), speak(t, "127.0.0.1")
	b := member(t, "127.0.0.1")
	near, far := b.flowTo(t, a)
	there := newCollect()
	far.Attach(there)
	a.host.refuse(errno.NameError)
	r := rand.New(rand.NewPCG(1, 2))
	sent, before := uint64(0), a.socket.Stats().Received
	shoot := func(d []byte) {
		f.send(a.local, d)
		if sent++; sent%50 == 0 { // the kernel's buffer is finite
			until(t, "reading", func() bool { return a.socket.Stats().Received >= before+sent })
		}
	}
	for n := range 70 {
		for _, code := range []byte{0, 1, 2, 3, 240, 241, 255} {
			d := make([]byte, n)
			if n > 44 {
				d[44] = code
			}
			shoot(d)
		}
	}
	for _, eid := range []uint32{1, 63, 64, 4096, 10240, 0x7fffffff, 0x80000000, 0xffffffff} {
		for _, n := range []int{0, 1, 100, 9000, 60000} {
			shoot(append(binary.BigEndian.AppendUint32(nil, eid), make([]byte, n)...))
		}
	}
	for range 3000 {
		d := make([]byte, r.IntN(200))
		for i := range d {
			d[i] = byte(r.Uint32())
		}
		if len(d) > 47 && r.IntN(2) == 0 {
			clear(d[:4])
			d[44] = []byte{1, 2, 240, 241}[r.IntN(4)]
		}
		shoot(d)
	}
	until(t, "the end of the decisions", func() bool { return a.shown("arrivals", "pending") == 0 })
	if open := a.shown("flows", "open"); open != 1 {
		t.Errorf("%v endpoints are open", open)
	}
	near.Send([]*packet.Buffer{packet.From([]byte("alive"))})
	if got := there.wait(t, 1); got[0] != 5 {
		t.Errorf("got %v", got)
	}
}

func TestTwoHundredAllocationsAtATimeAndNothingIsLeft(t *testing.T) {
	a, b := member(t, "127.0.0.1"), member(t, "127.0.0.1")
	a.knows("x", b)
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			r, err := a.AllocFlow(limited(t), request("x"))
			if err != nil {
				t.Error(err)
				return
			}
			r.Flow.Dealloc()
		})
	}
	all.Wait()
	if open := a.shown("flows", "open"); open != 0 {
		t.Errorf("%v endpoints are left", open)
	}
	if len(b.host.flows) != 200 {
		t.Errorf("%d flows at the server", len(b.host.flows))
	}
}

func TestAPeerThatGetsNothingGetsAKeepAliveThatNobodyReads(t *testing.T) {
	a, f := member(t, "127.0.0.1"), speak(t, "127.0.0.1")
	f.message(a.local, udpmgmt.Message{Code: udpmgmt.FlowReq, SEID: 1000, QoS: qos.Raw, Hash: name("x"), Data: make([]byte, 36)})
	f.nextMessage(udpmgmt.FlowReply)
	fl := <-a.host.flows
	k := keepAlive{peers: make(map[netip.AddrPort]quiet)}
	now := time.Now()
	look := func(after time.Duration, want uint64) {
		t.Helper()
		if k.look(a.layer, now.Add(after)); k.sent.Load() != want {
			t.Errorf("after %v %d were sent, want %d", after, k.sent.Load(), want)
		}
	}
	look(0, 0)
	look(15*time.Second, 0)
	look(20*time.Second, 1)
	if got := f.next(); !bytes.Equal(got, []byte{0xff}) {
		t.Errorf("sent %x", got)
	}
	look(30*time.Second, 1)
	look(40*time.Second, 2)
	fl.Send([]*packet.Buffer{packet.From(nil)})
	look(60*time.Second, 2) // something was sent since
	look(80*time.Second, 3)
	fl.Dealloc()
	look(200*time.Second, 3)
	if len(k.peers) != 0 {
		t.Errorf("%d peers are remembered", len(k.peers))
	}
	f.send(a.local, []byte{0xff})
	until(t, "its drop", func() bool { return a.runts.Load() == 1 })
}

func TestAnIPCPThatEndsEndsItsFlows(t *testing.T) {
	a, b := member(t, "127.0.0.1"), member(t, "127.0.0.1")
	near, _ := a.flowTo(t, b)
	ended := make(chan flow.Event, 10)
	near.Attach(flow.Funcs{OnEvent: func(e flow.Event) { ended <- e }})
	if err := a.Guard.Close(); err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e != flow.EventDealloc {
		t.Errorf("event %v", e)
	}
}
