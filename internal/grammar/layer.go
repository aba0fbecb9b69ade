package grammar

// layerNode is the newest object: it stands behind the older ones.
func layerNode() *Node {
	return &Node{
		Word: "layer", Purpose: "see the layers that the node is in",
		Sub: []*Node{
			{
				Word: "list", Purpose: "list the layers that an IPCP of the node is in",
				Keywords: []*Keyword{
					{Word: "name", Arg: "<layer>", Check: text("layer name"), Source: Layers, Help: "only layers whose name matches, * for any run of characters"},
					{Word: "type", Arg: "<type>", Words: createWords, Help: "only those of the type"},
				},
				Notes: []string{"ipcps are the node's members, names what is registered in the layer from here, flows the flows of this node over it."},
				JSON:  []string{"layer", "type", "hash", "ipcps", "names", "flows"}, List: true,
				Examples: []Example{{"irm layer list", ""}, {"irm layer list type unicast --json", ""}},
			},
			{
				Word: "graph", Purpose: "show who is linked with whom in a layer",
				Subject: &Keyword{Word: "layer", Arg: "<layer>", Help: "a layer that an IPCP of this node is in, or the name of the IPCP", Required: true,
					Check: text("layer name"), Source: Members},
				Keywords: []*Keyword{
					{Word: "dot", Also: []string{"--dot"}, Exact: true, Help: "in the language of Graphviz; also --dot"},
				},
				Notes: []string{
					"Of a unicast layer it shows what its routing has heard: members are addresses, and a link that only one of its ends tells of is marked; nothing is sent over it. Of a broadcast layer only the own neighbours are known.",
					"In the JSON an element of edges has the fields a, b, both (false: only a tells of it), mtu (bytes, 0 when it is not known) and state (of a broadcast layer).",
				},
				JSON: []string{"layer", "type", "own", "nodes", "edges"},
				Examples: []Example{
					{"irm layer graph big", ""},
					{"irm layer graph big --dot", "a picture of it: pipe this into dot -Tsvg"},
				},
			},
			helpNode("show the operations on layers"),
		},
		Examples: []Example{{"irm layer list", ""}, {"irm layer graph big", ""}},
	}
}
