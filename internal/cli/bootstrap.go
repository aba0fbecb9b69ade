package cli

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

func (c *call) bootstrapIPCP(ctx context.Context) error {
	t, typed := irm.ParseType(c.Value("type"))
	if typed {
		if _, err := c.config(t); err != nil { // before anything is created
			return err
		}
	}
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	name := c.Value("name")
	all, err := svc.ListIPCPs(ctx)
	if err != nil {
		return err
	}
	found := choose(all, name)
	switch {
	case len(found) > 0:
	case !typed && !grammar.HasWildcard(name):
		return errno.New(errno.IPCP, "there is no IPCP %q to bootstrap", name).Next("add type TYPE to create it")
	case grammar.HasWildcard(name):
		return noIPCP(all, name)
	default:
		pid, err := svc.CreateIPCP(ctx, name, t)
		if err != nil {
			return err
		}
		found = []irm.IPCPInfo{{PID: pid, Name: name, Type: t}}
	}
	configs := make([]*irm.Config, len(found))
	for n, i := range found {
		if typed && i.Type != t {
			return invalid("the IPCP %q is %s, not %s", i.Name, i.Type, t).Next("leave type out, or choose another name")
		}
		if configs[n], err = c.config(i.Type); err != nil {
			return err
		}
	}
	c.warnUnused(found)
	for n := range found {
		if err := c.bootstrapOne(ctx, &found[n], configs[n]); err != nil {
			return err
		}
	}
	if c.Options.JSON {
		return c.json(views(found, viewIPCP))
	}
	return nil
}

// bootstrapOne binds the IPCP first when it is to be found in its layer, so
// that it is there when the layer is, and undoes that when bootstrapping
// fails.
func (c *call) bootstrapOne(ctx context.Context, i *irm.IPCPInfo, cfg *irm.Config) error {
	var bound []string
	var before map[string]bool
	if c.Has("autobind") && routes(i.Type) {
		var err error
		if before, err = c.nameSet(ctx); err != nil {
			return err
		}
		if bound, err = c.autobind(ctx, i.PID, i.Name, cfg.Layer); err != nil {
			c.undo(ctx, i.PID, bound, before)
			return err
		}
	}
	layer, err := c.svc.BootstrapIPCP(ctx, i.PID, cfg)
	if err != nil {
		c.undo(ctx, i.PID, bound, before)
		return err
	}
	i.Layer, i.Hash, i.State = layer.Name, layer.Hash, "operational"
	return nil
}

// routes reports whether members of the layer enroll and connect, and so need
// names.
func routes(t irm.IPCPType) bool { return t == irm.Unicast || t == irm.Broadcast }

// autobind binds an IPCP to names and gives those that it was not bound to
// before.
func (c *call) autobind(ctx context.Context, pid int, names ...string) ([]string, error) {
	var bound []string
	for _, n := range names {
		switch err := c.svc.BindProcess(ctx, pid, n); {
		case err == nil:
			bound = append(bound, n)
		case errors.Is(err, errno.Exist):
		default:
			return bound, err
		}
	}
	return bound, nil
}

// undo takes back what autobind did, and the names that it made; ctx may have
// ended already.
func (c *call) undo(ctx context.Context, pid int, names []string, before map[string]bool) {
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	for _, n := range names {
		if err := c.svc.UnbindProcess(ctx, pid, n); err != nil {
			c.warn("%v", err)
		}
	}
	c.tidyNames(ctx, before, names...)
}

// keywords that only some types look at.
var typeKeywords = map[string][]irm.IPCPType{
	"ip": {irm.UDP4, irm.UDP6}, "dns": {irm.UDP4, irm.UDP6}, "port": {irm.UDP4, irm.UDP6},
	"dns_zone": {irm.UDP4, irm.UDP6}, "dns_key": {irm.UDP4, irm.UDP6}, "hosts": {irm.UDP4, irm.UDP6}, "mtu": {irm.UDP4, irm.UDP6},
	"device": {irm.EthLLC, irm.EthDIX}, "ethertype": {irm.EthDIX},
	"hash":     {irm.Unicast, irm.EthLLC, irm.EthDIX, irm.Local},
	"autobind": {irm.Unicast, irm.Broadcast},
}

// warnUnused tells of keywords that no IPCP that is bootstrapped looks at.
func (c *call) warnUnused(found []irm.IPCPInfo) {
	for _, k := range c.Node.Keywords {
		types, special := typeKeywords[k.Word]
		if k.Word == "type" || k.Word == "layer" || k.Word == "name" || !c.Has(k.Word) {
			continue
		}
		if !special {
			types = []irm.IPCPType{irm.Unicast}
		}
		used := false
		for _, i := range found {
			for _, t := range types {
				used = used || i.Type == t
			}
		}
		if !used {
			c.warn("a %s layer does not use %q", found[0].Type, k.Word)
		}
	}
}

// config makes the configuration of a layer of the keywords.
func (c *call) config(t irm.IPCPType) (*irm.Config, error) {
	cfg := irm.NewConfig(t, c.Value("layer"))
	if h, ok := irm.ParseHash(c.Value("hash")); ok && t != irm.UDP4 && t != irm.UDP6 {
		cfg.Hash = h
	}
	var err error
	switch t {
	case irm.Unicast:
		c.unicast(cfg.Unicast)
	case irm.EthDIX, irm.EthLLC:
		err = c.eth(t, cfg.Eth)
	case irm.UDP4, irm.UDP6:
		err = c.udp(t, cfg.UDP)
	}
	if err != nil {
		return nil, err
	}
	return cfg, cfg.Validate()
}

func (c *call) unicast(u *irm.UnicastConfig) {
	for word, to := range map[string]*uint8{"addr": &u.AddrSize, "eid": &u.EIDSize, "ttl": &u.MaxTTL} {
		if c.Has(word) {
			*to = uint8(grammar.Number(c.Value(word)))
		}
	}
	for word, to := range map[string]*uint32{
		"dht_alpha": &u.DHTAlpha, "dht_k": &u.DHTK, "dht_t_expire": &u.DHTExpire,
		"dht_t_refresh": &u.DHTRefresh, "dht_t_replicate": &u.DHTReplicate,
		"ls_t_timeo": &u.LSTimeout, "ls_t_update": &u.LSUpdate, "ls_t_recalc": &u.LSRecalc,
	} {
		if c.Has(word) {
			*to = uint32(grammar.Number(c.Value(word)))
		}
	}
	if r, ok := irm.ParseRouting(c.Value("routing")); ok {
		u.Routing = r
	}
	if p, ok := irm.ParseCongestion(c.Value("congestion")); ok {
		u.Congestion = p
	}
}

func (c *call) eth(t irm.IPCPType, e *irm.EthConfig) error {
	if !c.Has("device") {
		return invalid(`an %s layer needs the keyword "device"`, t).Next("name a network interface; ip link shows them")
	}
	e.Device = c.Value("device")
	if c.Has("ethertype") {
		e.Ethertype, _ = grammar.Ethertype(c.Value("ethertype"))
	}
	return nil
}

func (c *call) udp(t irm.IPCPType, u *irm.UDPConfig) error {
	if !c.Has("ip") {
		return invalid(`a %s layer needs the keyword "ip"`, t).Next("give the %s address of this host", strings.Replace(t.String(), "udp", "IPv", 1))
	}
	u.IP, _ = netip.ParseAddr(c.Value("ip"))
	if c.Has("dns") {
		u.DNS, _ = netip.ParseAddr(c.Value("dns"))
	}
	if c.Has("port") {
		u.Port = uint16(grammar.Number(c.Value("port")))
	}
	if c.Has("mtu") {
		u.MTU = uint16(grammar.Number(c.Value("mtu")))
	}
	u.Zone = c.Value("dns_zone")
	if c.Has("hosts") {
		hosts, err := securityFile("hosts", c.Value("hosts"))
		if err != nil {
			return err
		}
		u.Hosts = hosts
	}
	if c.Has("dns_key") {
		key, err := securityFile("dns_key", c.Value("dns_key"))
		if err != nil {
			return err
		}
		u.Key = key
	}
	return nil
}

// layerMismatch says that enrolment led elsewhere.
func layerMismatch(i irm.IPCPInfo, want, dst string) error {
	return errno.New(errno.NameError, "the IPCP %q is in layer %q now, where %q led, and not in %q", i.Name, i.Layer, dst, want).
		Next("end it with: irm ipcp destroy name %s", i.Name)
}
