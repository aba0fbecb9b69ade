package grammar

func bindNode() *Node {
	return &Node{
		Word:    "bind",
		Purpose: "let a program, a process or an IPCP serve a name",
		Sub: []*Node{
			bindProgram(), bindProcess(), bindIPCP(),
			helpNode("show what can be bound"),
		},
		Notes:    []string{"A name that is missing is created with the policy spillover."},
		Examples: []Example{{"irm bind program oping name oping", ""}},
	}
}

func unbindNode() *Node {
	return &Node{
		Word:    "unbind",
		Purpose: "undo what bind did",
		Sub: []*Node{
			unbindProgram(), unbindProcess(), unbindIPCP(),
			helpNode("show what can be unbound"),
		},
		Examples: []Example{{"irm unbind program oping name oping", ""}},
	}
}

// bound makes an operation whose word is also the keyword of its subject.
func bound(subject *Keyword, more ...*Keyword) *Node {
	again := *subject
	again.Repeat, again.Required = true, false
	return &Node{Word: subject.Word, Subject: subject, Keywords: append([]*Keyword{&again}, more...)}
}

func boundName(required bool) *Keyword {
	k := &Keyword{Word: "name", Arg: "<name>", Check: text("name"), Source: Names, Required: required}
	if required {
		k.Help = "name to serve"
	} else {
		k.Help, k.Default = "name that it serves no longer", "all its names"
	}
	return k
}

func program(help string, s Source) *Keyword {
	return &Keyword{Word: "program", Arg: "<program>", Required: true, Source: s, Check: text("program"), Help: help}
}

func process() *Keyword {
	return &Keyword{Word: "process", Arg: "<pid>", Required: true, Source: Processes, Check: pid, Help: "process id"}
}

func bindable() *Keyword {
	return &Keyword{Word: "ipcp", Arg: "<ipcp>", Required: true, Source: IPCPs, Check: text("IPCP name"),
		Help: "name of the IPCP, or a pattern with *"}
}

func bindProgram() *Node {
	n := bound(program("path of the program, or its name if it is in PATH", Commands), boundName(true),
		&Keyword{Word: "auto", Exact: true, Help: "start the program when a flow arrives and nobody serves the name"})
	n.Purpose = "let every process that runs a program serve a name"
	n.Rest = &Rest{"<argument>...", "arguments for the program when it is started by auto"}
	n.Notes = []string{
		"Processes that run the program and start later are bound too. A script is found by its own path, not by that of its interpreter. What a program that was started by auto runs in turn serves the name too.",
	}
	n.Examples = []Example{
		{"irm bind program oping name oping", ""},
		{"irm bind program /usr/bin/oping name oping auto -- --listen", "started when somebody calls"},
	}
	return n
}

func bindProcess() *Node {
	n := bound(process(), boundName(true))
	n.Purpose = "let a running process serve a name"
	n.Notes = []string{"The process must use Ouroboros already."}
	n.Examples = []Example{{"irm bind process 4711 name oping", ""}}
	return n
}

func bindIPCP() *Node {
	n := bound(bindable(), boundName(true))
	n.Purpose = "let an IPCP be reached under a name"
	n.Examples = []Example{{"irm bind ipcp n1 name n1", "so that others can enroll with it"}}
	return n
}

func unbindProgram() *Node {
	n := bound(program("path of the program, or its base name", Programs), boundName(false))
	n.Purpose = "undo bind program"
	n.Notes = []string{"Processes that are bound already stay so; it is no longer started on demand."}
	n.Examples = []Example{{"irm unbind program oping name oping", ""}, {"irm unbind program /usr/bin/oping", "from all names"}}
	return n
}

func unbindProcess() *Node {
	n := bound(process(), boundName(false))
	n.Purpose = "undo bind process"
	n.Examples = []Example{{"irm unbind process 4711 name oping", ""}, {"irm unbind process 4711", "from all names"}}
	return n
}

func unbindIPCP() *Node {
	n := bound(bindable(), boundName(false))
	n.Purpose = "undo bind ipcp"
	n.Examples = []Example{{"irm unbind ipcp n1 name n1", ""}, {"irm unbind ipcp n1", "from all names"}}
	return n
}
