package server

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ouroboros/internal/errno"
	"ouroboros/internal/pb"
	"ouroboros/irm"
)

// text makes a string fit for a message: what the kernel says of a process
// need not be UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func texts(in []string) []string { return each(in, text) }

func each[T, P any](in []T, f func(T) P) []P {
	out := make([]P, len(in))
	for i, e := range in {
		out[i] = f(e)
	}
	return out
}

func layerToPB(l irm.LayerInfo) *pb.Layer {
	return &pb.Layer{Name: text(l.Name), Hash: pb.Hash_Word(l.Hash)}
}

func ipcpToPB(i irm.IPCPInfo) *pb.IPCP {
	return &pb.IPCP{
		Pid: int32(i.PID), Name: text(i.Name), Type: pb.IPCPType_Word(i.Type),
		Layer: text(i.Layer), Hash: pb.Hash_Word(i.Hash), State: text(i.State),
	}
}

func pathsFromPB(p *pb.SecPaths) irm.SecPaths {
	return irm.SecPaths{Enc: p.GetEnc(), Key: p.GetKey(), Cert: p.GetCrt()}
}

func pathsToPB(p irm.SecPaths) *pb.SecPaths {
	return &pb.SecPaths{Enc: text(p.Enc), Key: text(p.Key), Crt: text(p.Cert)}
}

func sideFromPB(c *pb.SideChange) (out irm.SideChange) {
	if c == nil {
		return out
	}
	out.Enc, out.Key, out.Cert = c.Enc, c.Key, c.Crt
	if c.Demand != nil {
		d := irm.Demand(*c.Demand)
		out.Demand = &d
	}
	return out
}

func changeFromPB(r *pb.SetNameRequest) irm.NameChange {
	c := irm.NameChange{Server: sideFromPB(r.Server), Client: sideFromPB(r.Client)}
	if r.Balance != nil {
		b := irm.Balance(*r.Balance)
		c.Balance = &b
	}
	if r.Allow != nil {
		c.Allow = &r.Allow.Names
	}
	return c
}

func nameToPB(n irm.NameInfo) *pb.Name {
	return &pb.Name{
		Name: text(n.Name), Balance: pb.Balance_Word(n.Balance),
		Server: pathsToPB(n.Server), Client: pathsToPB(n.Client),
		Registrations: each(n.Registrations, func(r irm.Registration) *pb.Registration {
			return &pb.Registration{Pid: int32(r.PID), Ipcp: text(r.IPCP), Layer: text(r.Layer), Hash: r.Hash}
		}),
		Programs: each(n.Programs, func(b irm.ProgramBinding) *pb.ProgramBinding {
			return &pb.ProgramBinding{Program: text(b.Program), Args: texts(b.Args), Name: text(b.Name), Auto: b.Auto}
		}),
		Processes:    each(n.Processes, func(pid int) int32 { return int32(pid) }),
		Accepting:    int32(n.Accepting),
		ServerDemand: pb.Demand_Word(n.ServerDemand), ClientDemand: pb.Demand_Word(n.ClientDemand),
		Allow: texts(n.Allow), Problems: texts(n.Problems),
	}
}

func programToPB(p irm.ProgramInfo) *pb.Program {
	return &pb.Program{Program: text(p.Program), Names: texts(p.Names)}
}

func processToPB(p irm.ProcessInfo) *pb.Process {
	return &pb.Process{
		Pid: int32(p.PID), Uid: p.UID, Program: text(p.Program), Names: texts(p.Names), Flows: int32(p.Flows),
		Accepts: int32(p.Accepts), Ipcp: p.IPCP, Auto: p.Auto, Since: timestamppb.New(p.Since),
	}
}

func flowToPB(f irm.FlowInfo) *pb.Flow {
	return &pb.Flow{
		Id: int32(f.ID), State: text(f.State), Name: text(f.Name),
		ClientPid: int32(f.ClientPID), ServerPid: int32(f.ServerPID),
		Ipcp: text(f.IPCP), Layer: text(f.Layer), Qos: pb.QoSOf(f.QoS),
		Mpl: durationpb.New(f.MPL), Mtu: int32(f.MTU), Since: timestamppb.New(f.Since),
		Protection: &pb.Protection{
			Cipher: f.Protection.Cipher, Exchange: f.Protection.Exchange, Kdf: f.Protection.KDF,
			Client: text(f.Protection.Client), Server: text(f.Protection.Server),
		},
	}
}

func statusToPB(s irm.Status) *pb.StatusResponse {
	return &pb.StatusResponse{
		Version: s.Version, Pid: int32(s.PID), Uid: s.UID, Since: timestamppb.New(s.Since),
		Dir: text(s.Dir), State: s.State, Counters: s.Counters,
	}
}

func eventToPB(e irm.Event) *pb.WatchResponse {
	return &pb.WatchResponse{
		Time: timestamppb.New(e.Time), Kind: text(e.Kind), Action: text(e.Action), Name: text(e.Name),
		Pid: int32(e.PID), Flow: int32(e.FlowID), Layer: text(e.Layer), Detail: text(e.Detail),
	}
}

// structToPB carries JSON-ready values of any Go type.
func structToPB(m map[string]any) (*structpb.Struct, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("show an IPCP: %w", err)
	}
	st := &structpb.Struct{}
	if string(b) == "null" {
		return st, nil
	}
	if err := protojson.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("show an IPCP: %w", err)
	}
	return st, nil
}

// configFromPB gives the configuration, with the defaults of what was left
// out.
func configFromPB(c *pb.Config) (*irm.Config, error) {
	if c == nil {
		return nil, errno.New(errno.Invalid, "cannot bootstrap an IPCP without a configuration").
			Next(`say at least {"type": ..., "layer": ...}`)
	}
	out := irm.NewConfig(irm.IPCPType(c.Type), c.Layer)
	if c.Hash != nil {
		out.Hash = irm.HashAlgo(*c.Hash)
	}
	in := reader{}
	if u := c.Unicast; u != nil {
		out.Unicast = in.unicast(u)
	}
	if e := c.Eth; e != nil {
		out.Eth = &irm.EthConfig{Device: e.Device, Ethertype: irm.DefaultEthertype}
		set(&in, "ethertype", &out.Eth.Ethertype, e.Ethertype)
	}
	if u := c.Udp; u != nil {
		out.UDP = &irm.UDPConfig{
			IP: in.address("ip", u.Ip), Port: irm.DefaultPort, DNS: in.address("dns", u.Dns), Zone: u.Zone, Key: u.Key, Hosts: u.Hosts,
		}
		set(&in, "port", &out.UDP.Port, u.Port)
		set(&in, "mtu", &out.UDP.MTU, u.Mtu)
	}
	if in.err != nil {
		return nil, in.err
	}
	return out, nil
}

// reader keeps the first thing that is wrong with a configuration.
type reader struct{ err error }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = errno.New(errno.Invalid, format, args...)
	}
}

// set gives a field the number that was sent, if one was and it fits.
func set[N uint8 | uint16 | uint32](r *reader, key string, field *N, v *uint32) {
	if v == nil {
		return
	}
	if uint32(N(*v)) != *v {
		r.fail("cannot use the configuration: %d is too large for %q", *v, key)
		return
	}
	*field = N(*v)
}

func (r *reader) address(key, s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		r.fail("cannot use the configuration: %q is not an address for %q", s, key)
	}
	return a
}

func (r *reader) unicast(u *pb.UnicastConfig) *irm.UnicastConfig {
	out := irm.NewUnicastConfig()
	set(r, "addr_size", &out.AddrSize, u.AddrSize)
	set(r, "eid_size", &out.EIDSize, u.EidSize)
	set(r, "max_ttl", &out.MaxTTL, u.MaxTtl)
	set(r, "ls_recalc", &out.LSRecalc, u.LsRecalc)
	set(r, "ls_update", &out.LSUpdate, u.LsUpdate)
	set(r, "ls_timeout", &out.LSTimeout, u.LsTimeout)
	set(r, "dht_alpha", &out.DHTAlpha, u.DhtAlpha)
	set(r, "dht_k", &out.DHTK, u.DhtK)
	set(r, "dht_expire", &out.DHTExpire, u.DhtExpire)
	set(r, "dht_refresh", &out.DHTRefresh, u.DhtRefresh)
	set(r, "dht_replicate", &out.DHTReplicate, u.DhtReplicate)
	if u.Routing != nil {
		out.Routing = irm.Routing(*u.Routing)
	}
	if u.Congestion != nil {
		out.Congestion = irm.Congestion(*u.Congestion)
	}
	return out
}
