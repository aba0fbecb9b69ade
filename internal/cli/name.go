package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/internal/table"
	"ouroboros/irm"
)

func (c *call) createName(ctx context.Context) error {
	change, err := c.nameChange()
	if err != nil {
		return err
	}
	info := change.Apply(irm.NameInfo{Name: c.Value("name")})
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	if err := c.warnKept(ctx, change, info); err != nil {
		return err
	}
	return svc.CreateName(ctx, info)
}

func (c *call) setName(ctx context.Context) error {
	change, err := c.nameChange()
	if err != nil {
		return err
	}
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	return svc.SetName(ctx, c.Value("name"), change)
}

// nameChange gives the settings that the command line has.
func (c *call) nameChange() (change irm.NameChange, err error) {
	if b, ok := irm.ParseBalance(c.Value("lb")); ok {
		change.Balance = &b
	}
	for _, f := range []struct {
		word string
		to   **string
	}{
		{"sencpath", &change.Server.Enc}, {"scrtpath", &change.Server.Cert}, {"skeypath", &change.Server.Key},
		{"cencpath", &change.Client.Enc}, {"ccrtpath", &change.Client.Cert}, {"ckeypath", &change.Client.Key},
	} {
		if !c.Has(f.word) {
			continue
		}
		path := ""
		if given := c.Value(f.word); given != "default" || c.Node.Word != "set" {
			if path, err = securityFile(f.word, given); err != nil {
				return change, err
			}
		}
		*f.to = &path
	}
	for word, to := range map[string]**irm.Demand{"sdemand": &change.Server.Demand, "cdemand": &change.Client.Demand} {
		if d, ok := irm.ParseDemand(c.Value(word)); ok {
			*to = &d
		}
	}
	switch allow := c.Values("allow"); {
	case len(allow) > 0 && c.Has("allow-all"):
		return change, invalid("%q and %q contradict each other", "allow", "allow-all").Next("give one of them")
	case len(allow) > 0:
		change.Allow = &allow
	case c.Has("allow-all"):
		change.Allow = new([]string)
	}
	return change, nil
}

// warnKept says when a name is there with other settings than those that were
// asked for: it is kept as it is, and creating it again is no error.
func (c *call) warnKept(ctx context.Context, change irm.NameChange, asked irm.NameInfo) error {
	files := asked.Server != irm.SecPaths{} || asked.Client != irm.SecPaths{}
	demands := change.Server.Demand != nil || change.Client.Demand != nil || change.Allow != nil
	if change.Balance == nil && !files && !demands {
		return nil
	}
	all, err := c.svc.ListNames(ctx)
	if err != nil {
		return err
	}
	for _, n := range all {
		switch {
		case n.Name != asked.Name:
		case change.Balance != nil && n.Balance != asked.Balance:
			c.warn("the name %q is there and keeps the policy %v; to change it: irm name set", n.Name, n.Balance)
		case files && (n.Server != asked.Server || n.Client != asked.Client):
			c.warn("the name %q is there and keeps its security files; to change them: irm name set", n.Name)
		case demands && (n.ServerDemand != asked.ServerDemand || n.ClientDemand != asked.ClientDemand || !slices.Equal(n.Allow, asked.Allow)):
			c.warn("the name %q is there and keeps its demands; to change them: irm name set", n.Name)
		}
	}
	return nil
}

// securityFile makes a path absolute; the file must be there.
func securityFile(word, path string) (string, error) {
	full, err := filepath.Abs(path)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(full)
	}
	switch {
	case err != nil:
		return "", errno.New(errno.NoEntry, "cannot use %q for %s: %v", path, word, cause(err)).Next("create the file first")
	case info.IsDir():
		return "", invalid("cannot use %q for %s: it is a directory", path, word).Next("name a file in it")
	case len(full) > irm.MaxPath:
		return "", invalid("cannot use %q for %s: the whole path is longer than %d bytes", path, word, irm.MaxPath).Next("move the file")
	}
	return full, nil
}

// cause gives what the system said, without the operation and the path.
func cause(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		return p.Err
	}
	return err
}

func (c *call) destroyName(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	return svc.DestroyName(ctx, c.Value("name"))
}

// nameColumns are those that scripts know.
var nameColumns = []table.Column{{Title: "name", Width: 50}, {Title: "load-balance policy", Width: 20}}

func (c *call) listNames(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	all, err := svc.ListNames(ctx)
	if err != nil {
		return err
	}
	shown := []irm.NameInfo{}
	for _, n := range all {
		if c.Has("list") && !strings.HasPrefix(c.Value("list"), n.Name) ||
			c.Has("prefix") && !strings.HasPrefix(n.Name, c.Value("prefix")) {
			continue
		}
		shown = append(shown, n)
	}
	switch {
	case c.Options.JSON:
		return c.json(views(shown, viewName))
	case len(all) == 0:
		return c.printf("No names in system.\n\n")
	case c.Has("detail"):
		return c.nameDetails(shown)
	}
	var rows [][]string
	for _, n := range shown {
		rows = append(rows, []string{printable(n.Name), n.Balance.String()})
	}
	return table.Write(c.env.Stdout, nameColumns, rows)
}

func (c *call) showName(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	all, err := svc.ListNames(ctx)
	if err != nil {
		return err
	}
	arg := c.Value("name")
	var exact, match []irm.NameInfo
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
		if n.Name == arg {
			exact = append(exact, n)
		}
		if grammar.Wildcard(arg, n.Name) {
			match = append(match, n)
		}
	}
	if len(exact) > 0 {
		match = exact
	}
	switch {
	case len(match) == 0:
		return noName(names, arg)
	case !c.Options.JSON:
		return c.nameDetails(match)
	case len(match) == 1 && !grammar.HasWildcard(arg):
		return c.json(viewName(match[0]))
	}
	return c.json(views(match, viewName))
}

// nameDetails writes a paragraph a name.
func (c *call) nameDetails(names []irm.NameInfo) error {
	for i, n := range names {
		if i > 0 {
			if err := c.printf("\n"); err != nil {
				return err
			}
		}
		rows := [][2]string{{"load balance", n.Balance.String()}}
		for _, r := range n.Registrations {
			rows = append(rows, [2]string{"registered", fmt.Sprintf("layer %s, IPCP %s", printable(r.Layer), printable(r.IPCP))})
		}
		for _, p := range n.Programs {
			rows = append(rows, [2]string{"program", programLine(p)})
		}
		if len(n.Processes) > 0 {
			pids := make([]string, len(n.Processes))
			for i, p := range n.Processes {
				pids[i] = strconv.Itoa(p)
			}
			rows = append(rows, [2]string{"processes", strings.Join(pids, " ")})
		}
		rows = append(rows, [2]string{"accepting", strconv.Itoa(n.Accepting)})
		for _, f := range []struct{ what, path string }{
			{"server enc", n.Server.Enc}, {"server crt", n.Server.Cert}, {"server key", n.Server.Key},
			{"client enc", n.Client.Enc}, {"client crt", n.Client.Cert}, {"client key", n.Client.Key},
		} {
			if f.path != "" {
				rows = append(rows, [2]string{f.what, printable(f.path)})
			}
		}
		rows = append(rows, demandRows(n)...)
		if err := c.printf("%s\n", printable(n.Name)); err != nil {
			return err
		}
		last := ""
		for _, r := range rows {
			label := r[0]
			if label == last {
				label = ""
			}
			last = r[0]
			if err := c.printf("  %-12s  %s\n", label, r[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// demandRows says what a name demands, and what is wrong with its files.
func demandRows(n irm.NameInfo) (rows [][2]string) {
	for _, d := range []struct {
		of     string
		demand irm.Demand
	}{{"of clients", n.ServerDemand}, {"of servers", n.ClientDemand}} {
		if d.demand != irm.DemandDefault {
			rows = append(rows, [2]string{"demands", d.demand.String() + " " + d.of})
		}
	}
	for _, a := range n.Allow {
		rows = append(rows, [2]string{"allows", printable(a)})
	}
	for _, p := range n.Problems {
		rows = append(rows, [2]string{"problem", printable(p)})
	}
	return rows
}

func programLine(p irm.ProgramBinding) string {
	line := printable(p.Program)
	for _, a := range p.Args {
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\") {
			a = strconv.Quote(a)
		}
		line += " " + printable(a)
	}
	if p.Auto {
		line += " (started on demand)"
	}
	return line
}
