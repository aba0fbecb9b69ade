package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/internal/table"
	"ouroboros/irm"
)

// layerView is a layer as this node sees it.
type layerView struct {
	Layer string   `json:"layer"`
	Type  string   `json:"type"`
	Hash  string   `json:"hash"`
	IPCPs []string `json:"ipcps"` // of this node
	Names []string `json:"names"` // registered from here, in the order of the list of names
	Flows int      `json:"flows"` // over it, with an end here
}

var layerColumns = []table.Column{
	{Title: "layer", Width: 20}, {Title: "type", Width: 10}, {Title: "ipcps", Width: 20},
	{Title: "names", Width: 20}, {Title: "flows", Width: 5},
}

func (c *call) listLayers(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	ipcps, err := svc.ListIPCPs(ctx)
	if err != nil {
		return err
	}
	names, err := svc.ListNames(ctx)
	if err != nil {
		return err
	}
	flows, err := svc.ListFlows(ctx)
	if err != nil {
		return err
	}
	all := layersOf(ipcps, names, flows)
	shown := []layerView{}
	for _, l := range all {
		if (!c.Has("name") || grammar.Wildcard(c.Value("name"), l.Layer)) && (!c.Has("type") || c.Value("type") == l.Type) {
			shown = append(shown, l)
		}
	}
	if c.Options.JSON {
		return c.json(shown)
	}
	if len(all) == 0 {
		return c.printf("No layers in system.\n\n")
	}
	var rows [][]string
	for _, l := range shown {
		rows = append(rows, []string{printable(l.Layer), l.Type, scalar(strings.Join(l.IPCPs, " ")),
			scalar(strings.Join(l.Names, " ")), strconv.Itoa(l.Flows)})
	}
	return c.table(layerColumns, rows)
}

// layersOf gathers the layers, in the order of their first IPCPs. Two layers of
// one name and different types are two.
func layersOf(ipcps []irm.IPCPInfo, names []irm.NameInfo, flows []irm.FlowInfo) []layerView {
	var all []layerView
	by := map[string]int{} // IPCP -> index in all
	for _, i := range ipcps {
		if !enrolled(i) {
			continue
		}
		at := slices.IndexFunc(all, func(l layerView) bool { return l.Layer == i.Layer && l.Type == i.Type.String() })
		if at < 0 {
			at = len(all)
			all = append(all, layerView{Layer: i.Layer, Type: i.Type.String(), Hash: i.Hash.String(), Names: []string{}})
		}
		all[at].IPCPs = append(all[at].IPCPs, i.Name)
		by[i.Name] = at
	}
	for _, n := range names {
		for _, r := range n.Registrations {
			if at, ok := by[r.IPCP]; ok && !slices.Contains(all[at].Names, n.Name) {
				all[at].Names = append(all[at].Names, n.Name)
			}
		}
	}
	for _, f := range flows {
		if at, ok := by[f.IPCP]; ok {
			all[at].Flows++
		}
	}
	return all
}

func (c *call) graphLayer(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	all, err := svc.ListIPCPs(ctx)
	if err != nil {
		return err
	}
	i, err := graphIPCP(all, c.Value("layer"))
	if err != nil {
		return err
	}
	state, err := svc.ShowIPCP(ctx, i.PID)
	if err != nil {
		return err
	}
	components, _ := tidy(state).(map[string]any)
	g, err := graphOf(i, components)
	switch {
	case err != nil:
		return err
	case c.Has("dot"):
		return c.printf("%s", g.dot())
	case c.Options.JSON:
		return c.json(g)
	}
	return c.printf("%s", g.text())
}

// graphIPCP finds the IPCP that knows the graph of the layer arg; arg may be
// its own name, too. Of several in layers of that name a unicast one is best.
func graphIPCP(all []irm.IPCPInfo, arg string) (irm.IPCPInfo, error) {
	var in []irm.IPCPInfo
	var known []string
	for _, i := range all {
		if enrolled(i) {
			known = append(known, i.Layer)
			if i.Layer == arg {
				in = append(in, i)
			}
		}
	}
	if len(in) == 0 {
		for _, i := range all {
			if i.Name != arg {
				continue
			}
			if !enrolled(i) {
				return i, errno.New(errno.IPCPState, "the IPCP %q is in no layer yet", arg).Next("bootstrap or enroll it first")
			}
			in = append(in, i)
		}
	}
	if len(in) == 0 {
		err := errno.New(errno.IPCP, "no IPCP of this node is in a layer %q, or is called so", arg)
		if near := grammar.Nearest(arg, known); near != "" {
			return irm.IPCPInfo{}, err.Next("did you mean %q?", near)
		}
		return irm.IPCPInfo{}, err.Next("see: irm layer list")
	}
	for _, t := range []irm.IPCPType{irm.Unicast, irm.Broadcast} {
		for _, i := range in {
			if i.Type == t {
				return i, nil
			}
		}
	}
	return in[0], errno.New(errno.NotSup, "the layer %q is %s: its members are not linked with each other one by one", in[0].Layer, in[0].Type).
		Next("only unicast layers have a graph, and broadcast layers their neighbours; see: irm ipcp show %s", in[0].Name)
}
