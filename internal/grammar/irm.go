package grammar

// IRM gives the grammar of irm(1). Every call makes a new tree.
func IRM() *Node {
	root := &Node{
		Word:    "irm",
		Purpose: "manage the IPC processes, names and bindings of an Ouroboros node",
		Sub: []*Node{
			ipcpNode(),
			bindNode(),
			unbindNode(),
			nameNode(),
			helpNode("show this help, or that of an operation: irm help ipcp create"),
			flowNode(),
			processNode(),
			programNode(),
			statusNode(),
			watchNode(),
			completionNode(),
			layerNode(),
			certNode(),
			completeNode(),
		},
		Notes: []string{
			"Words may be abbreviated: irm i l is irm ipcp list. Of several words that begin alike the first in the help counts. Keywords come in any order, and the last value of a repeated one counts. In names of IPCPs and layers, * stands for any run of characters.",
			"The word help alone after an operation shows its help; for a name that looks like a word of irm, put -- before it: irm name destroy -- help.",
			"irm speaks to the daemon of this user, or else to that of the system; --dir and OUROBOROS_RUNTIME_DIR choose another one.",
			"Tables and help go to standard output, errors to standard error. The exit code is 0 when all is done, 1 when something failed, and 255 for irm without words.",
		},
		Examples: []Example{
			{"irm ipcp bootstrap name l1 type local layer home", "make a layer that spans this host"},
			{"irm bind program oping name oping", "let every oping serve the name oping"},
			{"irm name register oping layer home", "make it reachable in the layer"},
			{"irm ipcp list --json", "what there is, for a script"},
		},
	}
	return root.link()
}

func helpNode(purpose string) *Node { return &Node{Word: helpWord, Purpose: purpose} }

// Option describes one of the global options.
type Option struct{ Word, Arg, Help string }

// GlobalOptions lists those that may stand anywhere before "--".
func GlobalOptions() []Option {
	return []Option{
		{"--json", "", "print what is listed or shown as JSON"},
		{"--dir", "<directory>", "runtime directory of the daemon"},
		{"--version", "", "print the version"},
		{"--help", "", "print the help of the words so far; also -h"},
	}
}
