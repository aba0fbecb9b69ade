package cli

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"ouroboros/internal/grammar"
	"ouroboros/internal/table"
	"ouroboros/irm"
)

var flowColumns = []table.Column{
	{Title: "id", Width: 5}, {Title: "state", Width: 12}, {Title: "name", Width: 20},
	{Title: "client", Width: 8}, {Title: "server", Width: 8},
	{Title: "ipcp", Width: 12}, {Title: "layer", Width: 12}, {Title: "qos", Width: 5},
	{Title: "protection", Width: 10},
}

func (c *call) listFlows(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	all, err := svc.ListFlows(ctx)
	if err != nil {
		return err
	}
	pid := int(grammar.Number(c.Value("pid")))
	var shown []irm.FlowInfo
	for _, f := range all {
		if c.Has("name") && !grammar.Wildcard(c.Value("name"), f.Name) ||
			c.Has("layer") && !grammar.Wildcard(c.Value("layer"), f.Layer) ||
			c.Has("ipcp") && !grammar.Wildcard(c.Value("ipcp"), f.IPCP) ||
			c.Has("pid") && f.ClientPID != pid && f.ServerPID != pid {
			continue
		}
		shown = append(shown, f)
	}
	if c.Options.JSON {
		return c.json(views(shown, viewFlow))
	}
	if len(all) == 0 {
		return c.printf("No flows in system.\n\n")
	}
	var rows [][]string
	for _, f := range shown {
		spec := f.QoS.String()
		if word, _, long := strings.Cut(spec, " ("); long {
			spec = word // the numbers are in the JSON
		}
		rows = append(rows, []string{
			strconv.Itoa(f.ID), f.State, printable(f.Name), end(f.ClientPID), end(f.ServerPID),
			scalar(f.IPCP), scalar(f.Layer), spec, protection(f.Protection),
		})
	}
	return c.table(flowColumns, rows)
}

// protection writes what protects a flow, and who is known at its ends.
func protection(p irm.Protection) string {
	s := scalar(p.Cipher)
	for _, end := range [][2]string{{"client", p.Client}, {"server", p.Server}} {
		if end[1] != "" {
			s += ", " + end[0] + " " + printable(end[1])
		}
	}
	return s
}

// end writes the process at an end of a flow.
func end(pid int) string {
	if pid == 0 {
		return "remote"
	}
	return strconv.Itoa(pid)
}

var processColumns = []table.Column{
	{Title: "pid", Width: 8}, {Title: "uid", Width: 6}, {Title: "program", Width: 20},
	{Title: "flows", Width: 5}, {Title: "accepts", Width: 7}, {Title: "names", Width: 20},
}

func (c *call) listProcesses(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	all, err := svc.ListProcesses(ctx)
	if err != nil {
		return err
	}
	var shown []irm.ProcessInfo
	for _, p := range all {
		if c.Has("name") && !anyMatches(c.Value("name"), p.Names) ||
			c.Has("pid") && int(grammar.Number(c.Value("pid"))) != p.PID {
			continue
		}
		shown = append(shown, p)
	}
	if c.Options.JSON {
		return c.json(views(shown, viewProcess))
	}
	if len(all) == 0 {
		return c.printf("No processes in system.\n\n")
	}
	var rows [][]string
	for _, p := range shown {
		program := p.Program
		if !p.IPCP {
			program = filepath.Base(program)
		}
		rows = append(rows, []string{
			strconv.Itoa(p.PID), strconv.FormatUint(uint64(p.UID), 10), scalar(program),
			strconv.Itoa(p.Flows), strconv.Itoa(p.Accepts), scalar(strings.Join(p.Names, " ")),
		})
	}
	return c.table(processColumns, rows)
}

var programColumns = []table.Column{{Title: "program", Width: 40}, {Title: "names", Width: 30}}

func (c *call) listPrograms(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	all, err := svc.ListPrograms(ctx)
	if err != nil {
		return err
	}
	var shown []irm.ProgramInfo
	for _, p := range all {
		if !c.Has("name") || anyMatches(c.Value("name"), p.Names) {
			shown = append(shown, p)
		}
	}
	if c.Options.JSON {
		return c.json(views(shown, func(p irm.ProgramInfo) programView {
			return programView{p.Program, append([]string{}, p.Names...)}
		}))
	}
	if len(all) == 0 {
		return c.printf("No programs in system.\n\n")
	}
	var rows [][]string
	for _, p := range shown {
		rows = append(rows, []string{printable(p.Program), scalar(strings.Join(p.Names, " "))})
	}
	return c.table(programColumns, rows)
}

func anyMatches(pattern string, names []string) bool {
	for _, n := range names {
		if grammar.Wildcard(pattern, n) {
			return true
		}
	}
	return false
}

// table writes a table that no script knows: its columns are as wide as they
// need be.
func (c *call) table(columns []table.Column, rows [][]string) error {
	if err := table.Write(c.env.Stdout, table.Fit(columns, rows), rows); err != nil {
		return err
	}
	return c.printf("\n")
}
