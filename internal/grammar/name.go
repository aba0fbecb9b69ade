package grammar

import "ouroboros/irm"

func nameNode() *Node {
	return &Node{
		Word:    "name",
		Purpose: "make names, and make them reachable in layers",
		Sub: []*Node{
			createName(), destroyName(), registerName(), unregisterName(), listNames(),
			helpNode("show the operations on names"),
			showName(),
		},
		Notes: []string{
			"A flow is allocated to a name. Programs and processes that are bound to it serve it; a layer that it is registered in leads to it.",
		},
		Examples: []Example{{"irm name register oping layer home", ""}, {"irm name list", ""}},
	}
}

func nameFields() []string {
	return []string{"name", "lb", "registrations", "programs", "processes", "accepting", "server", "client"}
}

// nameNote describes the lists among the fields.
const nameNote = "In the JSON an element of registrations has the fields pid, ipcp, layer and hash (hexadecimal), one of programs has program, args and auto; processes are pids; server and client have the paths enc, key and crt that are set."

func nameSubject(help string) *Keyword {
	return &Keyword{Word: "name", Arg: "<name>", Help: help, Required: true, Check: text("name"), Source: Names}
}

func createName() *Node {
	subject := nameSubject("the new name, 1 to 255 bytes")
	subject.Source = NoSource
	file := func(word, side, what, def string) *Keyword {
		return &Keyword{Word: word, Arg: "<path>", Group: "Security files", Check: path(word), Source: Files,
			Help:    what + " of the " + side,
			Default: "<security directory>/" + side + "/<name>/" + def}
	}
	return &Node{
		Word: "create", Purpose: "make a name; one that is there is kept as it is",
		Subject: subject,
		Keywords: []*Keyword{
			{Word: "lb", Arg: "<policy>", Default: "round-robin", Words: irm.BalanceWords(), Accept: accept(irm.ParseBalance),
				Help: "who gets the next flow: all in turn, or the same until it is busy"},
			file("sencpath", "server", "encryption settings", "enc.conf"),
			file("scrtpath", "server", "certificate", "crt.pem"),
			file("skeypath", "server", "private key", "key.pem"),
			file("cencpath", "client", "encryption settings", "enc.conf"),
			file("ccrtpath", "client", "certificate", "crt.pem"),
			file("ckeypath", "client", "private key", "key.pem"),
		},
		Notes:    []string{"A path that is given must exist; it is made absolute."},
		Examples: []Example{{"irm name create oping", ""}, {"irm name create web lb spillover", ""}},
	}
}

func destroyName() *Node {
	return &Node{
		Word: "destroy", Purpose: "remove a name, its bindings and its registrations",
		Subject:  nameSubject("the name"),
		Notes:    []string{"Running flows go on."},
		Examples: []Example{{"irm name destroy oping", ""}},
	}
}

// places gives the keywords that choose IPCPs for a name.
func places(verb string) []*Keyword {
	return []*Keyword{
		{Word: "layer", Arg: "<layer>", Many: true, Check: text("layer name"), Source: Layers,
			Help: "layer to " + verb + ", or a pattern with *; may be repeated"},
		{Word: "ipcp", Arg: "<ipcp>", Many: true, Check: text("IPCP name"), Source: IPCPs,
			Help: "IPCP to " + verb + ", or a pattern with *; may be repeated"},
	}
}

func registerName() *Node {
	return &Node{
		Word: "register", Purpose: "make a name reachable in layers",
		Subject:  nameSubject("the name; one that is missing is created with spillover"),
		Keywords: places("register with"),
		AnyOf:    []string{"layer", "ipcp"},
		Examples: []Example{
			{"irm name register oping layer home", ""},
			{"irm name register oping ipcp l1 ipcp 'eth*'", "with the IPCP l1 and all whose names begin with eth"},
		},
	}
}

func unregisterName() *Node {
	return &Node{
		Word: "unregister", Purpose: "undo the registration of a name",
		Subject:  nameSubject("the name"),
		Keywords: places("unregister from"),
		AnyOf:    []string{"layer", "ipcp"},
		Examples: []Example{{"irm name unregister oping layer home", ""}, {"irm name unregister oping ipcp '*'", "from all"}},
	}
}

func listNames() *Node {
	return &Node{
		Word: "list", Purpose: "list the names",
		Free: &Keyword{Word: "prefix", Arg: "<prefix>", Help: "only names that begin so", Source: Names},
		Keywords: []*Keyword{
			{Word: "list", Arg: "<word>", Help: "only names that the word begins with, as older scripts ask for them", Source: Names},
			{Word: "detail", Also: []string{"-v"}, Exact: true, Help: "with registrations, bindings and accepting processes; -v for short"},
		},
		Notes: []string{nameNote},
		JSON:  nameFields(), List: true,
		Examples: []Example{{"irm name list", ""}, {"irm name list web", "those that begin with web"}, {"irm name list detail", ""}},
	}
}

func showName() *Node {
	return &Node{
		Word: "show", Purpose: "show a name: where it is registered, who serves it",
		Subject:  nameSubject("the name, or a pattern with *"),
		Notes:    []string{nameNote},
		JSON:     nameFields(),
		Examples: []Example{{"irm name show oping", ""}},
	}
}
