package config

import "ouroboros/irm"

// security reads [security].
func (d *decoder) security(f *File, e *entry) {
	c := &f.Security
	d.table("[security]", e, []key{
		d.securityDir(f, "dir").spelled("security_dir"),
		absolute("cacert", "the directory of trusted certificates", &c.CACert),
		absolute("untrusted", "the directory of certificates in between", &c.Untrusted),
		absolute("revoked", "the directory of revoked certificates", &c.Revoked),
		demand("server_demand", &c.ServerDemand),
		demand("client_demand", &c.ClientDemand),
		boolean("sandbox", &c.Sandbox),
	})
}

// securityDir is a key with the security directory, which two tables know.
func (d *decoder) securityDir(f *File, name string) key {
	dst := &f.Security.Dir
	k := absolute(name, "the security directory", dst)
	return key{name: name, read: func(d *decoder, e *entry) {
		if *dst != "" {
			d.fail(e.span, "keep one of them", "%q is given twice: in [daemon] and in [security]", name)
			return
		}
		k.read(d, e)
	}}
}

// demand is a key with what is demanded of the other side.
func demand(name string, dst *irm.Demand) key {
	return word(name, "a demand", irm.DemandWords(), irm.ParseDemand, dst)
}

// allowed is the key of a name with the clients that may.
func (n *Name) allowed() key {
	return list("allow", "names of clients", func(d *decoder, v *node) {
		if d.named(v.span, "name of an allowed client", v.text) {
			n.Info.Allow = append(n.Info.Allow, v.text)
		}
	})
}
