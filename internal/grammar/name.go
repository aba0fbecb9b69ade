package grammar

import (
	"slices"

	"ouroboros/irm"
)

func nameNode() *Node {
	return &Node{
		Word:    "name",
		Purpose: "make names, and make them reachable in layers",
		Sub: []*Node{
			createName(), destroyName(), registerName(), unregisterName(), listNames(),
			helpNode("show the operations on names"),
			showName(), setName(),
		},
		Notes: []string{
			"A flow is allocated to a name. Programs and processes that are bound to it serve it; a layer that it is registered in leads to it.",
		},
		Examples: []Example{{"irm name register oping layer home", ""}, {"irm name list", ""}},
	}
}

func nameFields() []string {
	return []string{"name", "lb", "registrations", "programs", "processes", "accepting", "server", "client", "server_demand", "client_demand", "allow", "problems"}
}

// nameNote describes the lists among the fields.
const nameNote = "In the JSON an element of registrations has the fields pid, ipcp, layer and hash (hexadecimal), one of programs has program, args and auto; processes are pids; server and client have the paths enc, key and crt that are set; problems says in words what keeps a file from being used."

func nameSubject(help string) *Keyword {
	return &Keyword{Word: "name", Arg: "<name>", Help: help, Required: true, Check: text("name"), Source: Names}
}

// settings gives the keywords of the settings of a name. A path that is the
// word default goes back to the place of the node where reset is set.
func nameSettings(reset bool) []*Keyword {
	file := func(word, side, what, def string) *Keyword {
		k := &Keyword{Word: word, Arg: "<path>", Group: "Security files", Check: path(word), Source: Files,
			Help:    what + " of the " + side,
			Default: "<security directory>/" + side + "/<name>/" + def}
		if reset {
			k.Help += ", or default"
		}
		return k
	}
	demand := func(word, help string) *Keyword {
		return &Keyword{Word: word, Arg: "<demand>", Group: "Demands", Words: irm.DemandWords(), Default: "default", Help: help}
	}
	return []*Keyword{
		{Word: "lb", Arg: "<policy>", Default: "round-robin", Words: irm.BalanceWords(), Accept: accept(irm.ParseBalance),
			Help: "who gets the next flow: all in turn, or the same until it is busy"},
		file("sencpath", "server", "encryption settings", "enc.conf"),
		file("scrtpath", "server", "certificate", "crt.pem"),
		file("skeypath", "server", "private key", "key.pem"),
		file("cencpath", "client", "encryption settings", "enc.conf"),
		file("ccrtpath", "client", "certificate", "crt.pem"),
		file("ckeypath", "client", "private key", "key.pem"),
		demand("sdemand", "what the server demands of its clients"),
		demand("cdemand", "what clients of this node demand of the server"),
		{Word: "allow", Arg: "<client>", Group: "Demands", Many: true, Check: text("name of an allowed client"),
			Help: "name in the certificate of a client that may, and no other then; may be repeated"},
	}
}

// demandNotes describe the keywords of nameSettings.
var demandNotes = []string{
	"A path that is given must exist; it is made absolute.",
	"A demand is auth (a certificate that this node trusts), encryption, both, none, or default, which leaves it to the table [security] of the configuration. A flow that does not meet it is refused at both ends. A list of allowed clients demands auth of them.",
}

func createName() *Node {
	subject := nameSubject("the new name, 1 to 255 bytes")
	subject.Source = NoSource
	return &Node{
		Word: "create", Purpose: "make a name; one that is there is kept as it is",
		Subject:  subject,
		Keywords: nameSettings(false),
		Notes:    append(slices.Clone(demandNotes), "irm name set changes the settings of a name that is there."),
		Examples: []Example{{"irm name create oping", ""}, {"irm name create web lb spillover", ""},
			{"irm name create vault sdemand both allow alice allow bob", "two clients, known by their certificates, and encrypted"}},
	}
}

func setName() *Node {
	settings := nameSettings(true)
	var words []string
	for _, k := range settings {
		words = append(words, k.Word)
		k.Default = ""
	}
	all := &Keyword{Word: "allow-all", Exact: true, Group: "Demands", Help: "allow every client again"}
	return &Node{
		Word: "set", Purpose: "change the settings of a name; what is not given stays",
		Subject:  nameSubject("the name"),
		Keywords: append(settings, all),
		AnyOf:    append(words, all.Word),
		Notes:    append(slices.Clone(demandNotes), "The flows to come go by the new settings; those that are there go on. A list of allowed clients replaces the one before."),
		Examples: []Example{{"irm name set vault sdemand both", "only encrypted flows, only for clients with a certificate"},
			{"irm name set vault scrtpath default skeypath default", "the files in the security directory again"}},
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
