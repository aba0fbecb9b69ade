package config

import (
	"path/filepath"
	"strings"

	"ouroboros/irm"
)

// service reads [name.SERVICE].
func (d *decoder) service(f *File, e *entry) {
	n := &Name{Info: irm.NameInfo{Name: e.name, Balance: irm.Spill}, at: e.span}
	var progs []Program
	var args [][]string
	var argsAt []span
	seen := d.table("[name."+quoteKey(e.name)+"]", e, []key{
		list("prog", "absolute paths of programs", func(d *decoder, v *node) {
			if !filepath.IsAbs(v.text) {
				d.fail(v.span, "write the whole path", "the program %q has no absolute path", v.text)
				return
			}
			if d.isPath(v, "a program") {
				progs = append(progs, Program{irm.ProgramBinding{Program: v.text, Name: e.name}, v.span})
			}
		}),
		{name: "args", read: func(d *decoder, e *entry) { args, argsAt = d.arguments(e) }},
		{name: "user", read: func(d *decoder, e *entry) {
			if p, ok := d.user(e, "a string: the user whom programs are started as"); ok {
				n.User = &p
			}
		}},
		word("lb", "a load-balancing policy", append(irm.BalanceWords(), "spill"), irm.ParseBalance, &n.Info.Balance),
		n.file("server_enc_file", "sencpath", &n.Info.Server.Enc),
		n.file("server_crt_file", "scrtpath", &n.Info.Server.Cert),
		n.file("server_key_file", "skeypath", &n.Info.Server.Key),
		n.file("client_enc_file", "cencpath", &n.Info.Client.Enc),
		n.file("client_crt_file", "ccrtpath", &n.Info.Client.Cert),
		n.file("client_key_file", "ckeypath", &n.Info.Client.Key),
		demand("server_demand", &n.Info.ServerDemand).spelled("sdemand"),
		demand("client_demand", &n.Info.ClientDemand).spelled("cdemand"),
		n.allowed(),
	})
	if a := seen["allow"]; a != nil {
		d.pass(a.span, irm.CheckAllow(n.Info.Allow))
		if a.value.kind == anArray && len(a.value.items) == 0 {
			d.fail(a.value.span, "leave it out to allow all; for no client at all, register the name nowhere", "the list \"allow\" is empty")
		}
	}
	given := 0
	if p := seen["prog"]; p != nil {
		given = len(p.value.items)
	}
	if len(args) > given {
		d.fail(argsAt[given], "each element of args belongs to the element of prog at the same place",
			"[name.%s] has arguments for %d programs, but prog has %d", quoteKey(e.name), len(args), given)
	}
	for i, first := range progs {
		for _, again := range progs[i+1:] {
			if first.Program == again.Program {
				d.fail(again.at, "", "the program %q is given twice", again.Program)
			}
		}
	}
	for i := range progs {
		if i < len(args) {
			progs[i].Args, progs[i].Auto = args[i], true
		}
	}
	n.Programs = progs
	if u := seen["user"]; u != nil && len(args) == 0 {
		d.warn(u.span, "add args", "\"user\" has no effect in [name.%s]: none of its programs is started on demand", quoteKey(e.name))
	}
	f.Names = append(f.Names, n)
}

// user reads a key with a user.
func (d *decoder) user(e *entry, want string) (Principal, bool) {
	if e.value.kind != aString {
		d.want(e, e.value, want)
		return Principal{}, false
	}
	p, ok := d.principal(e.value)
	if ok && p.Group {
		d.fail(e.value.span, "", "\"user\" cannot be the group %q: expected a user", p.Name)
		return p, false
	}
	return p, ok
}

// arguments reads args: a string is split at blanks, an array of strings is
// taken as it is.
func (d *decoder) arguments(e *entry) (args [][]string, at []span) {
	const want = `an array with one element a program: a string such as "--port 80", or an array of strings`
	if e.value.kind != anArray {
		d.want(e, e.value, want)
		return nil, nil
	}
	for _, v := range e.value.items {
		words := []string{}
		switch v.kind {
		case aString:
			words = strings.Fields(v.text)
		case anArray:
			for _, w := range v.items {
				if w.kind != aString {
					d.want(e, w, want)
					continue
				}
				words = append(words, w.text)
			}
		default:
			d.want(e, v, want)
		}
		for _, w := range words {
			if strings.ContainsRune(w, 0) {
				d.fail(v.span, "", "an argument holds a zero byte")
			}
		}
		args, at = append(args, words), append(at, v.span)
	}
	return args, at
}

// file is a key with a security file of the name. Whether it exists is looked
// at when the configuration is applied.
func (n *Name) file(name, also string, dst *string) key {
	k := path(name, "a file", dst)
	return key{name: name, also: []string{also}, read: func(d *decoder, e *entry) {
		k.read(d, e)
		if *dst != "" {
			n.files = append(n.files, secFile{*dst, dst, e.value.span})
		}
	}}
}

// quoteKey writes a key as TOML does.
func quoteKey(k string) string {
	for _, r := range k {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return `"` + printable(k) + `"`
		}
	}
	return k
}
