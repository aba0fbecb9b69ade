package test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/enroll"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/fa"
	"ouroboros/internal/wire/lsa"
	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/stack"
)

// traitor is a member of a unicast layer that has joined it as all do and means
// no good. It is an IPCP of a node in a program, over a layer as any other:
//
//	traitor.IPCP   Management, Data Transfer: whatever it likes
//	  connmgr, enroll
//	eth-dix        the cable to the neighbour
type traitor struct {
	ipcp.Unsupported
	env   ipcp.Env
	board *connmgr.Switchboard
	own   wire.Addr
	r     *rand.Rand

	counter uint32 // of the own link
	sent    atomic.Uint64

	mu    sync.Mutex
	conns map[string]*connmgr.Conn // by component
	links map[[2]wire.Addr]lsa.Seq // heard of
	heard []wire.Header            // data transfer that came
}

// betray joins a layer over a cable and does what the words say, one after the
// other, each when a line comes from the standard input: traitor DEV DST WORD...
func betray(args []string, next <-chan struct{}) error {
	ctx := context.Background()
	x := &traitor{
		own: wire.Addr(rand.Uint32() | 1), r: rand.New(rand.NewPCG(5, 6)),
		conns: map[string]*connmgr.Conn{}, links: map[[2]wire.Addr]lsa.Seq{},
	}
	n, err := stack.New(stack.Config{Kinds: map[irm.IPCPType]ipcp.Constructor{irm.Unicast: x.build}})
	if err != nil {
		return err
	}
	defer n.Close()
	dev, dst := args[0], args[1]
	eth := irm.NewConfig(irm.EthDIX, dev)
	eth.Eth.Device = dev
	e, err := n.CreateIPCP(ctx, "e."+dev, irm.EthDIX)
	if err == nil {
		_, err = n.BootstrapIPCP(ctx, e, eth)
	}
	if err != nil {
		return err
	}
	pid, err := n.CreateIPCP(ctx, "n.x", irm.Unicast)
	if err == nil {
		_, err = n.EnrollIPCP(ctx, pid, dst)
	}
	for _, c := range []string{irm.Management, irm.DataTransfer} {
		if err == nil {
			err = n.ConnectIPCP(ctx, pid, c, dst, qos.Raw)
		}
	}
	if err != nil {
		return err
	}
	x.env.Go(x.live)
	for len(x.members()) < 3 { // until the neighbour has told of all
		time.Sleep(time.Millisecond)
	}
	fmt.Println("in the layer as", x.own)
	for _, word := range args[2:] {
		<-next
		x.sent.Store(0)
		if err := x.do(ctx, word, dst); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
		fmt.Println("done", word, x.sent.Load())
	}
	select {}
}

// build is the ipcp.Constructor.
func (x *traitor) build(env ipcp.Env) (ipcp.IPCP, error) {
	x.env = env
	x.board = connmgr.New(env, connmgr.Options{Silence: 15 * time.Second})
	x.board.Register(&ear{x, cep.Message{Component: irm.Management, Protocol: "LSP", Version: 1, Syntax: cep.SyntaxGPB, Address: x.own}, x.update})
	x.board.Register(&ear{x, cep.Message{Component: irm.DataTransfer, Protocol: "dtp", Version: 1, Syntax: cep.SyntaxFixed, Address: x.own}, x.packet})
	return x, nil
}

func (x *traitor) Enroll(ctx context.Context, dst string) (irm.LayerInfo, error) {
	got, finish, err := enroll.Join(ctx, x.board, x.env.Log, dst, irm.Unicast, nil)
	if err != nil {
		return irm.LayerInfo{}, err
	}
	finish(nil)
	return irm.LayerInfo{Name: got.Config.Layer, Hash: got.Config.Hash}, nil
}

func (x *traitor) Connect(ctx context.Context, component, dst string, spec qos.Spec) error {
	return x.board.Connect(ctx, component, dst, spec)
}

func (x *traitor) Show() map[string]any { return nil }
func (x *traitor) Close() error         { x.board.Close(); return nil }

// ear is a component of a traitor, and the handler of its connections.
type ear struct {
	x     *traitor
	info  cep.Message
	hears func([]byte)
}

func (e *ear) Info() cep.Message     { return e.info }
func (e *ear) Removed(*connmgr.Conn) {}
func (e *ear) Event(flow.Event)      {}
func (e *ear) Added(c *connmgr.Conn) error {
	e.x.mu.Lock()
	e.x.conns[e.info.Component] = c
	e.x.mu.Unlock()
	c.HandOver(e)
	return nil
}

func (e *ear) Receive(batch []*packet.Buffer) int {
	for _, b := range batch {
		e.hears(b.Bytes())
	}
	packet.ReleaseAll(batch)
	return len(batch)
}

func (x *traitor) update(b []byte) {
	if u, ok := lsa.Parse(b); ok {
		x.mu.Lock()
		x.links[[2]wire.Addr{u.Src, u.Dst}] = u.Seq
		x.mu.Unlock()
	}
}

func (x *traitor) packet(b []byte) {
	if h, ok := wire.Parse(b); ok {
		x.mu.Lock()
		if len(x.heard) < 1000 {
			x.heard = append(x.heard, h)
		}
		x.mu.Unlock()
	}
}

// live announces the link to the neighbour, so that there are ways to here.
func (x *traitor) live() {
	for x.env.Context.Err() == nil {
		x.mu.Lock()
		c := x.conns[irm.Management]
		x.mu.Unlock()
		x.counter++
		x.say(irm.Management, put(lsa.Update{Dst: c.Peer().Address, Src: x.own, Seq: lsa.Make(x.counter, 1400, false)}))
		select {
		case <-time.After(time.Second):
		case <-x.env.Context.Done():
		}
	}
}

func put(u lsa.Update) []byte {
	b := make([]byte, lsa.Size)
	u.Put(b)
	return b
}

// say sends packets on the connection of a component, and waits while it is
// full.
func (x *traitor) say(component string, packets ...[]byte) {
	x.mu.Lock()
	f := x.conns[component].Flow()
	x.mu.Unlock()
	for chunk := range slices.Chunk(packets, 64) {
		batch := make([]*packet.Buffer, len(chunk))
		for i, p := range chunk {
			batch[i] = packet.From(p)
		}
		for end := time.Now().Add(time.Second); len(batch) > 0; {
			n := f.Send(batch)
			x.sent.Add(uint64(n))
			if batch = batch[n:]; len(batch) > 0 {
				if time.Now().After(end) {
					packet.ReleaseAll(batch)
					return
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
	}
}

// members are all that were heard of, but for this one.
func (x *traitor) members() []wire.Addr {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := map[wire.Addr]bool{}
	for l := range x.links {
		all[l[0]], all[l[1]] = true, true
	}
	delete(all, x.own)
	return slices.Sorted(maps.Keys(all))
}

func (x *traitor) noise(most int) []byte {
	b := make([]byte, x.r.IntN(most+1))
	for i := range b {
		b[i] = byte(x.r.Uint32())
	}
	return b
}

func (x *traitor) one(of []wire.Addr) wire.Addr { return of[x.r.IntN(len(of))] }

// to is a data transfer packet.
func to(dst wire.Addr, eid uint64, payload []byte) []byte {
	b := make([]byte, wire.HeaderLen, wire.HeaderLen+len(payload))
	wire.Header{Dst: dst, TTL: 60, EID: eid}.Put(b)
	return append(b, payload...)
}

const many = 4000

func (x *traitor) do(ctx context.Context, word, dst string) error {
	word, name, _ := strings.Cut(word, "=")
	members := x.members()
	switch word {
	case "garbage":
		for range many {
			x.say(irm.Management, x.noise(300))
			x.say(irm.DataTransfer, x.noise(1400))
			x.say(irm.DataTransfer, to(x.one(members), x.r.Uint64N(200), x.noise(1300)))
		}
	case "allocator":
		x.allocator(members)
	case "directory":
		x.directory(members, hash.Sum(irm.SHA3_256, name))
	case "links":
		x.forge(members)
	case "flood":
		// As much as goes, to the end of a line and further.
		packets := make([][]byte, 64)
		for i := range packets {
			packets[i] = to(members[i%len(members)], 64+x.r.Uint64N(1<<20), make([]byte, 1000))
		}
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
			x.say(irm.DataTransfer, packets...)
		}
	case "mute":
		return x.mute(ctx, dst)
	}
	return nil
}

// allocator sends messages to flow allocators: noise, requests for names that
// may be there, answers that nobody waits for, ends of flows that are not its
// own.
func (x *traitor) allocator(members []wire.Addr) {
	for range many {
		m := fa.Message{
			Code:  []fa.Code{fa.Request, fa.Reply, fa.Update, fa.Probe, fa.Pending, fa.Dealloc, 99}[x.r.IntN(7)],
			SAddr: x.one(append(members, x.own, wire.Addr(x.r.Uint32()))), REID: x.r.Uint64N(300), SEID: x.r.Uint64N(300),
			Response: -int32(x.r.IntN(3)), ECE: uint16(x.r.Uint32()), QoS: qos.Data, Data: x.noise(200),
		}
		m.Hash = hash.Sum(irm.SHA3_256, []string{"echo.a", "echo.b", "echo.c", "nobody"}[x.r.IntN(4)])
		b := make([]byte, m.Size())
		m.Put(b)
		if x.r.IntN(4) == 0 {
			b[x.r.IntN(len(b))] ^= byte(x.r.Uint32())
			b = b[:x.r.IntN(len(b)+1)]
		}
		x.say(irm.DataTransfer, to(x.one(members), wire.EIDFlowAllocator, b))
	}
}

// directory says of a name that it is here, and nowhere, and everywhere; and of
// members that do not exist that they know more.
func (x *traitor) directory(members []wire.Addr, name []byte) {
	id := func() []byte {
		b := make([]byte, 32)
		for i := range b {
			b[i] = byte(x.r.Uint32())
		}
		return b
	}
	mine := id()
	for range many {
		m := dht.Message{
			Code: dht.Code(x.r.IntN(5)), Src: dht.Contact{ID: mine, Addr: x.own},
			Key: name, Cookie: x.r.Uint64N(1 << 20), Expiry: uint32(time.Now().Add(time.Hour).Unix()),
			Value: dht.PutAddr(x.one([]wire.Addr{x.own, wire.Addr(x.r.Uint32()), members[0]})),
		}
		if x.r.IntN(2) == 0 {
			m.Key = id()
		}
		if x.r.IntN(3) == 0 {
			m.Src = dht.Contact{ID: id(), Addr: x.one(members)}
		}
		for range x.r.IntN(20) {
			m.Contacts = append(m.Contacts, dht.Contact{ID: id(), Addr: wire.Addr(x.r.Uint32() | 1)})
			m.Values = append(m.Values, dht.PutAddr(wire.Addr(x.r.Uint32()|1)))
		}
		b := m.Append(nil)
		if x.r.IntN(4) == 0 {
			b[x.r.IntN(len(b))] ^= byte(x.r.Uint32())
		}
		x.say(irm.DataTransfer, to(x.one(members), wire.EIDDirectory, b[:min(len(b), 1300)]))
	}
}

// forge announces links of others, with members that are there and not, and
// withdraws those that are there.
func (x *traitor) forge(members []wire.Addr) {
	for range many {
		u := lsa.Update{Src: x.one(members), Dst: x.one(append(members, x.own)), Seq: lsa.Make(uint32(x.r.IntN(1000)), 1400, x.r.IntN(2) == 0)}
		switch x.r.IntN(4) {
		case 0:
			u.Src = wire.Addr(x.r.Uint32())
		case 1:
			u.Src, u.Dst = wire.Addr(x.r.Uint32()), wire.Addr(x.r.Uint32())
		case 2:
			u.Seq = lsa.Seq(x.r.Uint64())
		}
		x.say(irm.Management, put(u))
	}
}

// mute opens many flows to a member and says nothing on most of them, or begins
// to enroll and does not go on.
func (x *traitor) mute(ctx context.Context, dst string) error {
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			f, err := x.env.Host.Alloc(ctx, dst, qos.Raw)
			if err != nil {
				return
			}
			x.sent.Add(1)
			c := flow.NewConn(f, x.env.Go)
			if i%2 == 0 {
				m := cep.Message{Component: enroll.Component, Protocol: "OEP", Version: 1, Syntax: cep.SyntaxGPB}
				b := packet.Get(m.Size())
				m.Put(b.Bytes())
				c.Send(ctx, b)
			}
		})
	}
	wg.Wait()
	return nil
}
