package irm

import (
	"net/netip"

	"ouroboros/internal/pb"
)

// list converts the elements of a reply; empty is nil.
func list[P any, T any](in []*P, f func(*P) T) []T {
	if len(in) == 0 {
		return nil
	}
	out := make([]T, len(in))
	for i, e := range in {
		out[i] = f(e)
	}
	return out
}

func layerFromPB(l *pb.Layer) LayerInfo {
	return LayerInfo{Name: l.GetName(), Hash: HashAlgo(l.GetHash())}
}

func ipcpFromPB(i *pb.IPCP) IPCPInfo {
	return IPCPInfo{
		PID: int(i.Pid), Name: i.Name, Type: IPCPType(i.Type),
		Layer: i.Layer, Hash: HashAlgo(i.Hash), State: i.State,
	}
}

func pathsToPB(p SecPaths) *pb.SecPaths {
	return &pb.SecPaths{Enc: p.Enc, Key: p.Key, Crt: p.Cert}
}

func pathsFromPB(p *pb.SecPaths) SecPaths {
	return SecPaths{Enc: p.GetEnc(), Key: p.GetKey(), Cert: p.GetCrt()}
}

func (c SideChange) toPB() *pb.SideChange {
	out := &pb.SideChange{Enc: c.Enc, Key: c.Key, Crt: c.Cert}
	if c.Demand != nil {
		out.Demand = pb.Demand_Word(*c.Demand).Enum()
	}
	return out
}

func nameFromPB(n *pb.Name) NameInfo {
	return NameInfo{
		Name: n.Name, Balance: Balance(n.Balance),
		Server: pathsFromPB(n.Server), Client: pathsFromPB(n.Client),
		Registrations: list(n.Registrations, func(r *pb.Registration) Registration {
			return Registration{PID: int(r.Pid), IPCP: r.Ipcp, Layer: r.Layer, Hash: r.Hash}
		}),
		Programs: list(n.Programs, func(b *pb.ProgramBinding) ProgramBinding {
			return ProgramBinding{Program: b.Program, Args: b.Args, Name: b.Name, Auto: b.Auto}
		}),
		Processes: ints(n.Processes), Accepting: int(n.Accepting),
		ServerDemand: Demand(n.ServerDemand), ClientDemand: Demand(n.ClientDemand), Allow: n.Allow, Problems: n.Problems,
	}
}

func ints(in []int32) []int {
	if len(in) == 0 {
		return nil
	}
	out := make([]int, len(in))
	for i, n := range in {
		out[i] = int(n)
	}
	return out
}

func programFromPB(p *pb.Program) ProgramInfo {
	return ProgramInfo{Program: p.Program, Names: p.Names}
}

func processFromPB(p *pb.Process) ProcessInfo {
	return ProcessInfo{
		PID: int(p.Pid), UID: p.Uid, Program: p.Program, Names: p.Names, Flows: int(p.Flows),
		Accepts: int(p.Accepts), IPCP: p.Ipcp, Auto: p.Auto, Since: p.Since.AsTime(),
	}
}

func flowFromPB(f *pb.Flow) FlowInfo {
	return FlowInfo{
		ID: int(f.Id), State: f.State, Name: f.Name, ClientPID: int(f.ClientPid), ServerPID: int(f.ServerPid),
		IPCP: f.Ipcp, Layer: f.Layer, QoS: f.Qos.Spec(), MPL: f.Mpl.AsDuration(), MTU: int(f.Mtu), Since: f.Since.AsTime(),
		Protection: Protection{
			Cipher: f.Protection.GetCipher(), Exchange: f.Protection.GetExchange(), KDF: f.Protection.GetKdf(),
			Client: f.Protection.GetClient(), Server: f.Protection.GetServer(),
		},
	}
}

func statusFromPB(s *pb.StatusResponse) Status {
	return Status{
		Version: s.Version, PID: int(s.Pid), UID: s.Uid, Since: s.Since.AsTime(),
		Dir: s.Dir, State: s.State, Counters: s.Counters,
	}
}

func eventFromPB(e *pb.WatchResponse) Event {
	return Event{
		Time: e.Time.AsTime(), Kind: e.Kind, Action: e.Action, Name: e.Name,
		PID: int(e.Pid), FlowID: int(e.Flow), Layer: e.Layer, Detail: e.Detail,
	}
}

func configToPB(c *Config) *pb.Config {
	out := &pb.Config{Type: pb.IPCPType_Word(c.Type), Layer: c.Layer, Hash: pb.Hash_Word(c.Hash).Enum()}
	if u := c.Unicast; u != nil {
		out.Unicast = &pb.UnicastConfig{
			AddrSize: number(u.AddrSize), EidSize: number(u.EIDSize), MaxTtl: number(u.MaxTTL),
			Routing: pb.Routing_Word(u.Routing).Enum(), Congestion: pb.Congestion_Word(u.Congestion).Enum(),
			LsRecalc: number(u.LSRecalc), LsUpdate: number(u.LSUpdate), LsTimeout: number(u.LSTimeout),
			DhtAlpha: number(u.DHTAlpha), DhtK: number(u.DHTK), DhtExpire: number(u.DHTExpire),
			DhtRefresh: number(u.DHTRefresh), DhtReplicate: number(u.DHTReplicate),
		}
	}
	if e := c.Eth; e != nil {
		out.Eth = &pb.EthConfig{Device: e.Device, Ethertype: number(e.Ethertype)}
	}
	if u := c.UDP; u != nil {
		out.Udp = &pb.UDPConfig{Ip: address(u.IP), Port: number(u.Port), Dns: address(u.DNS), Zone: u.Zone, Key: u.Key, Hosts: u.Hosts}
		if u.MTU != 0 {
			out.Udp.Mtu = number(u.MTU)
		}
	}
	return out
}

func number[N uint8 | uint16 | uint32](n N) *uint32 {
	v := uint32(n)
	return &v
}

// address is empty for no address.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// number32 gives a pid as it is carried. One that no process has stays one.
func number32(pid int) int32 {
	if pid != int(int32(pid)) {
		return -1
	}
	return int32(pid)
}
