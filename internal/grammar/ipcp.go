package grammar

import (
	"ouroboros/irm"
	"ouroboros/qos"
)

// createWords is the order in which help shows the types.
var createWords = []string{"unicast", "broadcast", "local", "udp4", "udp6", "eth-llc", "eth-dix"}

func ipcpNode() *Node {
	return &Node{
		Word:    "ipcp",
		Purpose: "make, join, connect and end IPC processes",
		Sub: []*Node{
			createIPCP(), destroyIPCP(), bootstrapIPCP(), enrollIPCP(),
			connectIPCP(), disconnectIPCP(), listIPCPs(),
			helpNode("show the operations on IPCPs"),
			showIPCP(),
		},
		Notes: []string{
			"An IPCP is the node's member in one layer. It starts outside any layer: bootstrap makes it the first member of a new one, enroll makes it a member of one that is there.",
		},
		Examples: []Example{
			{"irm ipcp bootstrap name l1 type local layer home", "create and bootstrap in one step"},
			{"irm ipcp list", ""},
		},
	}
}

func ipcpFields() []string { return []string{"pid", "name", "type", "layer", "hash", "state"} }

func ipcpName(help string) *Keyword {
	return &Keyword{Word: "name", Arg: "<ipcp>", Help: help, Required: true,
		Check: text("IPCP name"), Source: IPCPs}
}

func createIPCP() *Node {
	name := ipcpName("name of the new IPCP, 1 to 255 bytes")
	name.Source = NoSource
	return &Node{
		Word: "create", Purpose: "make an IPCP that is in no layer yet",
		Keywords: []*Keyword{
			{Word: "type", Arg: "<type>", Help: "what it runs over", Required: true, Words: createWords},
			name,
		},
		JSON:     []string{"pid", "name", "type"},
		Examples: []Example{{"irm ipcp create name l1 type local", ""}},
	}
}

func destroyIPCP() *Node {
	return &Node{
		Word: "destroy", Purpose: "end an IPCP; flows over it go down",
		Keywords: []*Keyword{ipcpName("name of the IPCP, or a pattern with *")},
		Examples: []Example{
			{"irm ipcp destroy name l1", ""},
			{"irm ipcp destroy name 'test*'", "all whose names begin with test"},
		},
	}
}

func bootstrapIPCP() *Node {
	const unicast, dht, ls, udp, eth = "With type unicast", "With directory DHT", "With routing link_state, lfa or ecmp", "With type udp4 or udp6", "With type eth-llc or eth-dix"
	num := func(word, def, help, group string, r irm.Range, also ...string) *Keyword {
		return &Keyword{Word: word, Also: also, Arg: "<number>", Default: def, Group: group,
			Help: help + ", " + r.String(), Check: number(word, r)}
	}
	seconds := func(word, def, help, group string, r irm.Range) *Keyword {
		k := num(word, def, help, group, r)
		k.Arg, k.Help = "<seconds>", help
		if r.Max < 1<<31 {
			k.Help += ", " + r.String()
		}
		return k
	}
	mtu := num("mtu", "8976", "longest message of a flow; with udp6 the default is 8948", udp, irm.UDPMTURange)
	mtu.Exact = true // m has always been max_ttl
	return &Node{
		Word: "bootstrap", Purpose: "make an IPCP the first member of a new layer",
		Keywords: []*Keyword{
			{Word: "type", Arg: "<type>", Words: irm.TypeWords(), Abbrev: true,
				Help: "type of the IPCP, to create it if it is missing"},
			{Word: "layer", Arg: "<layer>", Required: true, Check: text("layer name"),
				Help: "name of the new layer, 1 to 255 bytes"},
			ipcpName("name of the IPCP, or a pattern with *"),
			{Word: "hash", Arg: "<algorithm>", Default: "SHA3_256", Words: irm.HashWords(),
				Help: "hash algorithm of the directory; not for udp4, udp6 and broadcast"},
			{Word: "ip", Arg: "<address>", Group: udp, Check: address("ip"),
				Help: "IP address of this host (needed)"},
			{Word: "dns", Arg: "<address>", Group: udp, Default: "none", Check: address("dns"),
				Help: "dynamic DNS server to use as directory"},
			{Word: "device", Arg: "<interface>", Group: eth, Check: irm.CheckDevice, Source: Devices,
				Help: "network interface (needed); dev for short"},
			{Word: "ethertype", Arg: "<hex>", Group: eth, Default: "0xA000", Check: ethertype,
				Help: "eth-dix only: 0x0600 to 0xFFFE"},
			num("addr", "4", "bytes of an address", unicast, irm.AddrSizeRange, "addr_size"),
			num("eid", "8", "bytes of an endpoint id", unicast, irm.EIDSizeRange, "eid_size"),
			num("ttl", "60", "most hops of a packet", unicast, irm.TTLRange, "max_ttl"),
			num("port", "3435", "UDP port, the same for all members", udp, irm.PortRange),
			{Word: "autobind", Group: "With type unicast or broadcast",
				Help: "bind the IPCP to its own name and to that of the layer, so that others can enroll with it"},
			{Word: "addr_auth", Also: []string{"addr-auth"}, Arg: "<policy>", Default: "flat", Group: unicast,
				Words: irm.AddressWords(), Accept: irm.ParseAddress, Help: "address policy"},
			{Word: "directory", Arg: "<policy>", Default: "DHT", Group: unicast,
				Words: irm.DirectoryWords(), Accept: irm.ParseDirectory, Help: "directory policy"},
			num("dht_alpha", "3", "search factor", dht, irm.DHTAlphaRange),
			num("dht_k", "8", "replication factor", dht, irm.DHTKRange),
			seconds("dht_t_expire", "86400", "expiry of an entry", dht, irm.DHTExpireRange),
			seconds("dht_t_refresh", "900", "refresh of the contacts", dht, irm.DHTRefreshRange),
			seconds("dht_t_replicate", "900", "replication of the entries", dht, irm.DHTReplicateRange),
			{Word: "routing", Arg: "<policy>", Default: "link_state", Group: unicast,
				Words: irm.RoutingWords(), Accept: accept(irm.ParseRouting), Help: "routing policy: shortest paths, with loop-free alternates, equal-cost multipath"},
			seconds("ls_t_timeo", "60", "a link that is silent so long is down", ls, irm.LSRange),
			seconds("ls_t_update", "15", "interval of link-state updates", ls, irm.LSRange),
			seconds("ls_t_recalc", "4", "interval of recalculation", ls, irm.LSRange),
			{Word: "congestion", Arg: "<policy>", Default: "mb-ecn", Group: unicast,
				Words: irm.CongestionWords(), Accept: accept(irm.ParseCongestion), Help: "congestion avoidance"},
			mtu,
			{Word: "hosts", Arg: "<file>", Group: udp, Default: "none", Check: path("hosts"),
				Help: "where names are, lines of an address and names; a file that the daemon can read"},
			{Word: "dns_zone", Arg: "<domain>", Group: udp, Default: ".", Check: irm.CheckZone,
				Help: "zone at the DNS server that takes the names"},
			{Word: "dns_key", Arg: "<file>", Group: udp, Default: "none", Check: path("dns_key"),
				Help: "TSIG key for updates, a file of tsig-keygen that the daemon can read"},
		},
		Notes: []string{
			"An IPCP that was created here stays when bootstrapping fails, and can be bootstrapped again.",
			"autobind does not make the IPCP reachable: register its name, and that of its layer, in a layer that the other nodes are in too.",
		},
		JSON: ipcpFields(), List: true,
		Examples: []Example{
			{"irm ipcp bootstrap name l1 type local layer home", "a layer inside this host"},
			{"irm ipcp bootstrap name e1 type eth-dix layer lan dev eth0", "a layer on an Ethernet"},
			{"irm ipcp bootstrap name u1 type udp4 layer net ip 192.0.2.1", "a layer over UDP"},
			{"irm ipcp bootstrap name n1 type unicast layer big autobind", "a layer that routes, over the layers below"},
			{"irm name register n1 layer lan", "so that n1 can be enrolled with and connected to through the layer lan"},
			{"irm ipcp bootstrap name b1 type broadcast layer all autobind", "a layer in which each member hears what the others write"},
		},
	}
}

func enrollIPCP() *Node {
	return &Node{
		Word: "enroll", Purpose: "make an IPCP a member of a layer that is there",
		Keywords: []*Keyword{
			ipcpName("name of the IPCP, or a pattern with *; one that is missing is created"),
			{Word: "type", Arg: "<type>", Default: "unicast", Words: []string{"unicast", "broadcast"}, Help: "type of the IPCP"},
			{Word: "layer", Arg: "<layer>", Check: text("layer name"), Source: Peers,
				Help: "layer to become a member of; enrolment with another one fails"},
			{Word: "dst", Arg: "<name>", Check: text("destination"), Source: Peers,
				Help: "name of the member to enroll with; without it, the name of the layer"},
			{Word: "autobind", Help: "bind the IPCP to its own name and to that of the layer"},
		},
		AnyOf: []string{"layer", "dst"},
		Notes: []string{
			"The name must lead to a member: it is bound to the member's IPCP there, which autobind does, and registered in a layer that both nodes are in. It need not be known here. Enrolling makes no neighbour: connect the IPCP afterwards.",
		},
		JSON: ipcpFields(), List: true,
		Examples: []Example{
			{"irm ipcp enroll name n2 layer big autobind", "through any member that the name of the layer leads to"},
			{"irm ipcp enroll name n3 layer big dst n2", "through the member n2"},
			{"irm ipcp enroll name b2 type broadcast layer all dst b1 autobind", ""},
		},
	}
}

// ComponentWords lists the components of an IPCP that can be connected.
func ComponentWords() []string { return []string{"dt", "mgmt"} }

func component() *Keyword {
	return &Keyword{Word: "component", Arg: "<component>", Default: "*, both", Help: "data transfer or management",
		Words: ComponentWords(), Accept: func(s string) bool {
			for _, w := range ComponentWords() {
				if Wildcard(s, w) {
					return true
				}
			}
			return false
		}}
}

func neighbour() *Keyword {
	return &Keyword{Word: "dst", Arg: "<name>", Help: "name of the IPCP at the other end", Required: true,
		Check: text("destination"), Source: Peers}
}

func connectIPCP() *Node {
	return &Node{
		Word: "connect", Purpose: "connect an IPCP with a neighbour in its layer",
		Keywords: []*Keyword{
			ipcpName("name of the IPCP, or a pattern with *"), neighbour(), component(),
			{Word: "qos", Arg: "<preset>", Default: "raw", Words: qos.Names, Accept: func(string) bool { return true },
				Help: "of the data transfer connection; an unknown word means raw"},
		},
		Notes: []string{
			"Management is connected first, always raw; when data transfer fails then, management is disconnected again. A broadcast IPCP has data transfer only.",
			"The IPCP keeps a connection up: when it is lost it is made again until it is disconnected. A daemon that keeps its state makes it again at the next start.",
		},
		Examples: []Example{
			{"irm ipcp connect name n2 dst n1", ""},
			{"irm ipcp connect name n2 dst n1 component dt qos voice", "data transfer alone, over a flow for voice"},
			{"irm ipcp connect name b2 dst b1", ""},
		},
	}
}

func disconnectIPCP() *Node {
	return &Node{
		Word: "disconnect", Purpose: "end the connection of an IPCP with a neighbour",
		Keywords: []*Keyword{ipcpName("name of the IPCP, or a pattern with *"), neighbour(), component()},
		Notes:    []string{"Data transfer is disconnected first. Only the side that connected can disconnect; of several connections to one neighbour the newest ends."},
		Examples: []Example{{"irm ipcp disconnect name n1 dst n2", ""}},
	}
}

func listIPCPs() *Node {
	return &Node{
		Word: "list", Purpose: "list the IPCPs",
		Keywords: []*Keyword{
			{Word: "type", Arg: "<type>", Words: createWords, Help: "only those of the type"},
			{Word: "name", Arg: "<ipcp>", Check: text("IPCP name"), Source: IPCPs, Help: "only those whose name matches, * for any run of characters"},
			{Word: "layer", Arg: "<layer>", Check: text("layer name"), Source: Layers, Help: "only those in a layer that matches"},
		},
		Notes: []string{"An IPCP that is in no layer has empty fields layer and hash."},
		JSON:  ipcpFields(), List: true,
		Examples: []Example{{"irm ipcp list", ""}, {"irm ipcp list layer 'ho*' --json", ""}},
	}
}

func showIPCP() *Node {
	return &Node{
		Word: "show", Purpose: "show the state of an IPCP and its components",
		Subject: &Keyword{Word: "name", Arg: "<ipcp>", Help: "name of the IPCP, or a pattern with *", Required: true,
			Check: text("IPCP name"), Source: IPCPs},
		Named: true,
		Keywords: []*Keyword{
			{Word: "component", Arg: "<component>", Check: text("component"), Source: Components,
				Help: "only this one of its components, * for any run of characters"},
		},
		Notes: []string{
			"What a component shows depends on the type of the IPCP. In tables, columns in which all is zero are left out; the JSON has them.",
		},
		JSON: append(ipcpFields(), "components"),
		Examples: []Example{
			{"irm ipcp show l1", ""},
			{"irm ipcp show n1 component linkstate", "who is linked with whom, as n1 has heard"},
		},
	}
}
