package grammar

// The objects that came after those of older scripts.

func flowNode() *Node {
	return &Node{
		Word: "flow", Purpose: "see the flows of the node",
		Sub: []*Node{
			{
				Word: "list", Purpose: "list the flows",
				Keywords: []*Keyword{
					{Word: "name", Arg: "<name>", Source: Names, Help: "only flows to a name that matches, * for any run of characters"},
					{Word: "layer", Arg: "<layer>", Source: Layers, Help: "only flows in a layer that matches"},
					{Word: "ipcp", Arg: "<ipcp>", Source: IPCPs, Help: "only flows that an IPCP that matches carries"},
					{Word: "pid", Arg: "<pid>", Source: Processes, Check: pid, Help: "only flows with this process at an end"},
				},
				Notes: []string{
					"An end on another node has the pid 0; a flow between two processes of this node has no ipcp and no layer.",
					"In the JSON qos has the fields text, delay_ms, bandwidth_bps, availability, loss, ber, in_order, max_gap_ms and timeout_ms.",
					"The column protection has the cipher and the names in the certificates of the ends that showed one: none is a flow in clear, local one within the node. In the JSON it has the fields cipher, exchange, kdf, client and server.",
				},
				JSON: []string{"id", "state", "name", "client_pid", "server_pid", "ipcp", "layer", "qos", "mpl_ms", "mtu", "since", "protection"}, List: true,
				Examples: []Example{{"irm flow list", ""}, {"irm flow list name oping --json", ""}},
			},
			helpNode("show the operations on flows"),
		},
		Examples: []Example{{"irm flow list", ""}},
	}
}

func processNode() *Node {
	return &Node{
		Word: "process", Purpose: "see the processes that use the node",
		Sub: []*Node{
			{
				Word: "list", Purpose: "list the processes that use the node, IPCPs included",
				Keywords: []*Keyword{
					{Word: "name", Arg: "<name>", Source: Names, Help: "only processes bound to a name that matches, * for any run of characters"},
					{Word: "pid", Arg: "<pid>", Source: Processes, Check: pid, Help: "only this process"},
				},
				JSON: []string{"pid", "uid", "program", "names", "flows", "accepts", "ipcp", "auto", "since"}, List: true,
				Examples: []Example{{"irm process list", ""}},
			},
			helpNode("show the operations on processes"),
		},
		Examples: []Example{{"irm process list", ""}},
	}
}

func programNode() *Node {
	return &Node{
		Word: "program", Purpose: "see the programs that are bound",
		Sub: []*Node{
			{
				Word: "list", Purpose: "list the programs that are bound to names",
				Keywords: []*Keyword{
					{Word: "name", Arg: "<name>", Source: Names, Help: "only programs bound to a name that matches, * for any run of characters"},
				},
				JSON: []string{"program", "names"}, List: true,
				Examples: []Example{{"irm program list", ""}},
			},
			helpNode("show the operations on programs"),
		},
		Examples: []Example{{"irm program list", ""}},
	}
}

func statusNode() *Node {
	return &Node{
		Word: "status", Purpose: "show the daemon: version, directory, counters",
		JSON:     []string{"version", "pid", "uid", "since", "dir", "state", "counters"},
		Examples: []Example{{"irm status", ""}},
	}
}

// EventWords lists the kinds of events.
func EventWords() []string { return []string{"ipcp", "name", "process", "flow"} }

func watchNode() *Node {
	return &Node{
		Word: "watch", Purpose: "print what changes, one line an event, until interrupted",
		Keywords: []*Keyword{
			{Word: "kind", Arg: "<kind>", Many: true, Words: EventWords(), Help: "only events of the kind; may be repeated"},
			{Word: "count", Arg: "<number>", Check: count, Help: "end after so many events"},
		},
		Notes:    []string{"An event of the kind lost says that some were missed. With --json every event is one line."},
		JSON:     []string{"time", "kind", "action", "name", "pid", "flow_id", "layer", "detail"},
		Examples: []Example{{"irm watch", ""}, {"irm watch kind flow --json", ""}},
	}
}

// ShellWords lists the shells that completion is for.
func ShellWords() []string { return []string{"bash", "zsh", "fish"} }

func completionNode() *Node {
	return &Node{
		Word: "completion", Purpose: "print a script that completes words of irm in a shell",
		Subject: &Keyword{Word: "shell", Arg: "<shell>", Required: true, Words: ShellWords(), Help: "bash, zsh or fish"},
		Examples: []Example{
			{"source <(irm completion bash)", "for this shell, also with zsh"},
			{"irm completion fish > ~/.config/fish/completions/irm.fish", "for good"},
		},
	}
}

// CompleteWord is the hidden operation that the scripts of completion call.
const CompleteWord = "__complete"

func completeNode() *Node {
	return &Node{Word: CompleteWord, Purpose: "complete words", Hidden: true,
		Rest: &Rest{"<word>...", "words after irm, the last one being typed"}}
}
