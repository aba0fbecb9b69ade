// Package udp is the IPCP of a layer over UDP, IPv4 or IPv6. All members of a
// layer have the same port; a name is found by its hash, which the resolver of
// the system or a DNS server turns into an address.
//
//	shim.Shim   endpoints, allocation, directory
//	    │ Transmit, Manage          ▲ Deliver, Message
//	  edge      EID in front        receiver   runs sorted by EID
//	    ▼ Send                      │ Receive
//	link/udp    one socket for everything
//
// What is on the wire is described in package wire/udpmgmt. The peer of a flow
// is the address and port that its request came from, or went to; data from
// elsewhere is dropped. Deallocating a flow is local.
//
// A peer behind address translation stays reachable while something is sent:
// to a peer that gets nothing for 20 seconds goes a datagram of one byte, which
// every receiver drops.
package udp

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/link/udp"
	"ouroboros/irm"
)

// MPL is the longest life of a packet that a UDP layer promises.
const MPL = 5 * time.Second

// The longest payload in bytes unless configured, which is the longest that
// the C implementation carries.
const (
	MTU4 = 8976
	MTU6 = 8948
)

// pause is how long a reply waits for the C implementation, which sends its
// request before it notes where: a reply that comes at once finds nothing, or
// is overwritten by the note.
const pause = 5 * time.Millisecond

// IPCP is a UDP IPCP.
type IPCP struct {
	ipcp.Unsupported
	env    ipcp.Env
	kind   irm.IPCPType
	log    *slog.Logger
	finder Finder

	mu    sync.Mutex
	layer atomic.Pointer[layer] // set by Bootstrap
}

// layer is what an IPCP has once it is bootstrapped.
type layer struct {
	*shim.Shim[netip.AddrPort]
	i      *IPCP
	name   string
	local  netip.AddrPort
	socket *udp.Socket
	runts  atomic.Uint64 // datagrams too short to have an EID
	alive  keepAlive

	finder  Finder
	finding chan struct{} // a place for each search that runs
	server  *registrar    // nil without a DNS server
}

// New4 is the ipcp.Constructor of udp4 IPCPs, New6 that of udp6 ones. They
// find names with the resolver of the system unless a layer has a DNS server.
func New4(env ipcp.Env) (ipcp.IPCP, error) { return New(irm.UDP4, newSystem(irm.UDP4))(env) }
func New6(env ipcp.Env) (ipcp.IPCP, error) { return New(irm.UDP6, newSystem(irm.UDP6))(env) }

// New gives the constructor of IPCPs of a kind that find names in their own
// way.
func New(kind irm.IPCPType, finder Finder) ipcp.Constructor {
	return func(env ipcp.Env) (ipcp.IPCP, error) {
		i := &IPCP{env: env, kind: kind, log: env.Log, finder: finder}
		if i.log == nil {
			i.log = slog.New(slog.DiscardHandler)
		}
		return i, nil
	}
}

// Bootstrap implements ipcp.IPCP. When it fails nothing is left behind, and it
// can be tried again.
func (i *IPCP) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	if err := cfg.Validate(); err != nil {
		return irm.LayerInfo{}, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.layer.Load() != nil {
		return irm.LayerInfo{}, errno.New(errno.IPCPState, "the IPCP is in layer %q already", i.layer.Load().name)
	}
	l, err := i.open(cfg)
	if err != nil {
		return irm.LayerInfo{}, err
	}
	i.layer.Store(l)
	i.env.Go(l.serve)
	l.alive.start(l)
	return irm.LayerInfo{Name: cfg.Layer, Hash: irm.MD5}, nil
}

// open makes the socket and what stands on it.
func (i *IPCP) open(cfg *irm.Config) (*layer, error) {
	u := cfg.UDP
	l := &layer{
		i: i, name: cfg.Layer, local: netip.AddrPortFrom(u.IP, u.Port),
		finder: i.finder, finding: make(chan struct{}, finds),
	}
	socket, err := udp.Open(udp.Config{Local: l.local, Log: i.log, Go: i.env.Go})
	if err != nil {
		return nil, err
	}
	l.socket, l.local = socket, socket.LocalAddr()
	mtu := int(u.MTU)
	if mtu == 0 {
		mtu = MTU4
		if i.kind == irm.UDP6 {
			mtu = MTU6
		}
	}
	l.Shim = shim.New(shim.Config[netip.AddrPort]{
		Env: i.env, Edge: l,
		Own:     shim.Range{Lo: 1 << 16, Hi: 0x7fffffff},
		Remote:  shim.Range{Lo: 1, Hi: 0xffffffff},
		Foreign: shim.Range{Lo: 1, Hi: 1<<16 - 1},
		Pause:   pause, MPL: MPL, MTU: mtu,
		Origin: func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) },
	})
	if u.DNS.IsValid() {
		if err := l.useServer(u); err != nil {
			socket.Close()
			return nil, err
		}
	}
	if u.Hosts != "" {
		l.finder = newHosts(u.Hosts, i.kind, l.finder, i.log)
	}
	socket.OnWritable(l.Writable)
	return l, nil
}

// serve reads until the socket is closed.
func (l *layer) serve() {
	r := receiver{l: l}
	if err := l.socket.Serve(&r); err != nil {
		l.i.log.Error("the socket of the layer cannot be read any more", "error", err)
	}
}

// up gives the layer, or says that there is none yet.
func (i *IPCP) up() (*layer, error) {
	if l := i.layer.Load(); l != nil {
		return l, nil
	}
	return nil, errno.New(errno.IPCPState, "the IPCP is in no layer yet").Next("bootstrap it first")
}

// Reg implements ipcp.IPCP.
func (i *IPCP) Reg(ctx context.Context, hash []byte) error {
	l, err := i.up()
	if err != nil {
		return err
	}
	if l.server != nil {
		if err := l.server.register(ctx, hash); err != nil {
			return err
		}
	}
	l.Names.Add(hash)
	return nil
}

// Unreg implements ipcp.IPCP.
func (i *IPCP) Unreg(ctx context.Context, hash []byte) error {
	l, err := i.up()
	if err != nil {
		return err
	}
	l.Names.Remove(hash)
	if l.server != nil {
		l.server.unregister(ctx, hash)
	}
	return nil
}

// Query implements ipcp.IPCP: it asks the resolver of the system, or the DNS
// server.
func (i *IPCP) Query(ctx context.Context, hash []byte) error {
	l, err := i.up()
	if err == nil {
		_, err = l.find(ctx, hash)
	}
	return err
}

// AllocFlow implements ipcp.IPCP.
func (i *IPCP) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	l, err := i.up()
	if err != nil {
		return nil, err
	}
	to, err := l.find(ctx, req.Hash)
	if err != nil {
		return nil, err
	}
	return l.Alloc(ctx, to, req)
}

// Show implements ipcp.IPCP.
func (i *IPCP) Show() map[string]any {
	l := i.layer.Load()
	if l == nil {
		return map[string]any{}
	}
	shown := l.Shim.Show()
	st := l.socket.Stats()
	socket := map[string]any{
		"local": l.local.String(), "received": st.Received, "received_bytes": st.ReceivedBytes,
		"sent": st.Sent, "sent_bytes": st.SentBytes, "send_errors": st.SendErrors, "short_takes": st.ShortTakes,
		"receive_errors": st.ReceiveErrors, "overflows": st.Overflows, "runts": l.runts.Load(),
		"keep_alives": l.alive.sent.Load(), "recv_buffer": st.RecvBuffer, "send_buffer": st.SendBuffer,
		"gso": st.GSO, "gro": st.GRO, "queued": l.socket.QueueLen(),
	}
	if st.LastError != nil {
		socket["last_error"] = st.LastError.Error()
	}
	shown["socket"] = socket
	directory := shown["directory"].(map[string]any)
	directory["finds_by"] = l.finder.String()
	if l.server != nil {
		directory["server"] = l.server.show()
	}
	return shown
}

// Close implements ipcp.IPCP.
func (i *IPCP) Close() error {
	i.mu.Lock()
	l := i.layer.Load()
	i.mu.Unlock()
	if l == nil {
		return nil
	}
	if l.server != nil {
		l.server.close()
	}
	l.Shim.Close()
	return l.socket.Close()
}
