package config

import (
	"strconv"
	"strings"

	"ouroboros/irm"
)

// ipcp reads a table such as [unicast.NAME].
func (d *decoder) ipcp(f *File, t irm.IPCPType, e *entry) {
	p := &IPCP{Name: e.name, Type: t, at: e.span}
	c := irm.NewConfig(t, "")
	layer := ""
	settings := layerKeys(t, c)
	keys := append([]key{
		name("bootstrap", "layer name", &layer),
		boolean("autobind", &p.Autobind),
		texts("reg", "names to register", &p.Reg),
	}, settings...)
	joins := t == irm.Unicast || t == irm.Broadcast
	if joins {
		keys = append(keys,
			name("enrol", "name of a member of the layer", &p.Enrol).spelled("enroll"),
			texts("conn", "names of members to connect to", &p.Conn))
	}
	where := "[" + t.String() + "." + quoteKey(e.name) + "]"
	// A key of another kind of layer says so instead of being unknown.
	keys = append(keys, foreign(t, where, keys)...)
	seen := d.table(where, e, keys)
	f.IPCPs = append(f.IPCPs, p)

	p.atLayer, p.atEnrol, p.atBind = e.span, e.span, e.span
	if s := seen["bootstrap"]; s != nil {
		p.atLayer = s.value.span
	}
	if s := seen["enrol"]; s != nil {
		p.atEnrol = s.value.span
	}
	if s := seen["autobind"]; s != nil {
		p.atBind = s.span
	}
	if layer != "" {
		c.Layer = layer
		p.Bootstrap = c
	}
	d.together(where, t, p, seen, settings)
}

// together looks at what the keys of an IPCP mean beside each other.
func (d *decoder) together(where string, t irm.IPCPType, p *IPCP, seen map[string]*entry, settings []key) {
	bootstrap, enrol := seen["bootstrap"], seen["enrol"]
	switch {
	case bootstrap != nil && enrol != nil:
		d.warn(bootstrap.span, "remove one of them", "%s has both bootstrap and enrol: it enrols", where)
		p.Bootstrap = nil
	case bootstrap == nil && enrol == nil:
		for _, name := range []string{"autobind", "reg"} {
			if e := seen[name]; e != nil && (name != "autobind" || p.Autobind) {
				d.fail(e.span, "add bootstrap"+orEnrol(t), "%s is in no layer: %q is not possible", where, e.name)
			}
		}
	}
	if p.Bootstrap == nil {
		why := "nothing is bootstrapped"
		if enrol != nil {
			why = "an IPCP that enrols takes those of the layer"
		}
		for _, k := range settings {
			if e := seen[k.name]; e != nil {
				d.warn(e.span, "", "%q has no effect in %s: %s", e.name, where, why)
			}
		}
	}
	if e := seen["conn"]; e != nil && enrol == nil {
		d.fail(e.span, "add enrol", "%s does not enrol: only members of one layer can connect", where)
	}
	if e := seen["reg"]; e != nil && t == irm.Broadcast && len(e.value.items) > 0 {
		d.fail(e.span, "", "no names can be registered in a broadcast layer: its own name reaches all members")
	}
	if e := seen["autobind"]; e != nil && p.Autobind && t != irm.Unicast && t != irm.Broadcast {
		d.warn(e.span, "", "\"autobind\" has no effect in %s: nothing connects to IPCPs of this kind", where)
		p.Autobind = false
	}
	if p.Bootstrap != nil {
		switch t {
		case irm.EthDIX, irm.EthLLC:
			d.need(where, bootstrap, seen["dev"], `dev`, `the network interface, as dev = "eth0"`)
		case irm.UDP4, irm.UDP6:
			d.need(where, bootstrap, seen["ip"], `ip`, `the address of this host in the layer`)
		}
	}
	// What is beyond single keys, and a second look at those.
	if p.Bootstrap != nil && len(d.errs) == 0 {
		d.pass(p.at, p.Bootstrap.Validate())
	}
}

func orEnrol(t irm.IPCPType) string {
	if t == irm.Unicast || t == irm.Broadcast {
		return " or enrol"
	}
	return ""
}

func (d *decoder) need(where string, at, e *entry, name, what string) {
	if e == nil {
		d.fail(at.span, "", "%s needs %q: %s", where, name, what)
	}
}

// texts is a key with an array of names.
func texts(name, what string, dst *[]Text) key {
	return list(name, what, func(d *decoder, v *node) {
		if d.named(v.span, "name", v.text) {
			*dst = append(*dst, Text{v.text, v.span})
		}
	})
}

// layerKeys are the keys that say how a kind of layer is bootstrapped. Their
// defaults are those of irm.NewConfig.
func layerKeys(t irm.IPCPType, c *irm.Config) []key {
	hash := word("hash", "a hash algorithm", irm.HashWords(), irm.ParseHash, &c.Hash)
	switch t {
	case irm.Local:
		return []key{hash}
	case irm.EthLLC:
		return []key{hash, device(c.Eth)}
	case irm.EthDIX:
		return []key{hash, device(c.Eth), ethertype(c.Eth)}
	case irm.UDP4, irm.UDP6:
		return []key{
			address("ip", t, &c.UDP.IP),
			integer("port", irm.PortRange, &c.UDP.Port),
			address("dns", t, &c.UDP.DNS),
			zone(c.UDP),
			path("dns_key", "a file with a TSIG key", &c.UDP.Key),
			path("hosts", "a file with addresses and names", &c.UDP.Hosts),
			integer("mtu", irm.UDPMTURange, &c.UDP.MTU),
		}
	case irm.Unicast:
		return append(unicastKeys(c.Unicast), hash)
	}
	return nil
}

func unicastKeys(u *irm.UnicastConfig) []key {
	var directory, flat string
	return []key{
		integer("addr_size", irm.AddrSizeRange, &u.AddrSize).spelled("addr"),
		integer("eid_size", irm.EIDSizeRange, &u.EIDSize).spelled("eid"),
		integer("max_ttl", irm.TTLRange, &u.MaxTTL).spelled("ttl"),
		word("directory", "a directory policy", irm.DirectoryWords(), accept(irm.ParseDirectory), &directory),
		integer("dht_alpha", irm.DHTAlphaRange, &u.DHTAlpha),
		integer("dht_k", irm.DHTKRange, &u.DHTK),
		integer("dht_t_expire", irm.DHTExpireRange, &u.DHTExpire).spelled("dht_t_expiry"),
		integer("dht_t_refresh", irm.DHTRefreshRange, &u.DHTRefresh),
		integer("dht_t_replicate", irm.DHTReplicateRange, &u.DHTReplicate),
		word("routing", "a routing policy", irm.RoutingWords(), irm.ParseRouting, &u.Routing),
		integer("ls_t_recalc", irm.LSRange, &u.LSRecalc),
		integer("ls_t_update", irm.LSRange, &u.LSUpdate),
		integer("ls_t_timeo", irm.LSRange, &u.LSTimeout),
		word("addr-auth", "an address policy", irm.AddressWords(), accept(irm.ParseAddress), &flat).spelled("addr_auth"),
		word("congestion", "a congestion avoidance", irm.CongestionWords(), irm.ParseCongestion, &u.Congestion),
	}
}

// accept makes a parser of a check of a word that has one meaning.
func accept(check func(string) bool) func(string) (string, bool) {
	return func(w string) (string, bool) { return w, check(w) }
}

func device(c *irm.EthConfig) key {
	return key{name: "dev", also: []string{"device"}, read: func(d *decoder, e *entry) {
		if e.value.kind != aString {
			d.want(e, e.value, "a string: the name of a network interface")
			return
		}
		if d.pass(e.value.span, irm.CheckDevice(e.value.text)) {
			c.Device = e.value.text
		}
	}}
}

// zone takes the domain of the names at the DNS server.
func zone(c *irm.UDPConfig) key {
	return key{name: "dns_zone", read: func(d *decoder, e *entry) {
		if e.value.kind != aString || e.value.text == "" {
			d.want(e, e.value, `a string: a domain such as "flows.example.org", or "." for the root`)
			return
		}
		if d.pass(e.value.span, irm.CheckZone(e.value.text)) {
			c.Zone = e.value.text
		}
	}}
}

// ethertype takes an integer, or hexadecimal digits in a string as the
// command line does.
func ethertype(c *irm.EthConfig) key {
	const want = "an integer from 0x0600 to 0xFFFE (recommended are 0xA000 to 0xEFFF)"
	return key{name: "ethertype", read: func(d *decoder, e *entry) {
		n, ok := number(e.value)
		if e.value.kind == aString {
			digits := strings.TrimPrefix(strings.TrimPrefix(e.value.text, "0x"), "0X")
			u, err := strconv.ParseUint(digits, 16, 16)
			n, ok = int64(u), err == nil
		}
		if !ok || !irm.EthertypeRange.Has(n) {
			d.want(e, e.value, want)
			return
		}
		c.Ethertype = uint16(n)
	}}
}

// foreign are the keys of other kinds of layers, which only say whose they
// are.
func foreign(t irm.IPCPType, where string, own []key) []key {
	owners := map[string][]string{}
	var order []string
	note := func(name, owner string) {
		if match(own, name) != nil {
			return
		}
		if owners[name] == nil {
			order = append(order, name)
		}
		owners[name] = append(owners[name], owner)
	}
	for _, w := range irm.TypeWords() {
		o, _ := irm.ParseType(w)
		keys := layerKeys(o, irm.NewConfig(o, ""))
		if o == irm.Unicast || o == irm.Broadcast {
			keys = append(keys, key{name: "enrol", also: []string{"enroll"}}, key{name: "conn"})
		}
		for _, k := range keys {
			for _, name := range append([]string{k.name}, k.also...) {
				note(name, w)
			}
		}
	}
	var keys []key
	for _, name := range order {
		keys = append(keys, key{name: name, alien: true, read: func(d *decoder, e *entry) {
			why := ""
			if name == "hash" {
				switch t {
				case irm.UDP4, irm.UDP6:
					why = ": UDP layers always use MD5"
				case irm.Broadcast:
					why = ": a broadcast layer has no directory"
				}
			}
			d.fail(e.span, "", "%q does not belong in %s, it is of %s%s", name, where, either(owners[name]), why)
		}})
	}
	return keys
}
