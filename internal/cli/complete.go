package cli

import (
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

// completeTimeout is how long a person at a prompt waits for live names.
const completeTimeout = 400 * time.Millisecond

func (c *call) completion(context.Context) error {
	script, _ := grammar.Script(c.Value("shell"), "irm")
	return c.printf("%s", script)
}

// complete answers the scripts of completion; without a daemon it gives what
// the grammar knows, silently.
func (c *call) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	done := grammar.Complete(grammar.IRM(), c.Args)
	typed := ""
	if len(c.Args) > 0 {
		typed = c.Args[len(c.Args)-1]
	}
	kind := map[grammar.Source]string{grammar.Files: "files", grammar.Dirs: "dirs", grammar.Commands: "commands"}[done.Source]
	if kind == "" {
		kind = "none"
	}
	if err := c.printf("%s\n", kind); err != nil {
		return err
	}
	for _, w := range done.Words {
		if err := c.printf("%s\t%s\n", w.Word, w.Help); err != nil {
			return err
		}
	}
	c.Options.Dir = done.Dir
	seen := map[string]bool{}
	for _, w := range c.live(ctx, done) {
		if seen[w.Word] || w.Word == "" || !strings.HasPrefix(w.Word, typed) || printable(w.Word) != w.Word {
			continue
		}
		seen[w.Word] = true
		if err := c.printf("%s\t%s\n", w.Word, printable(w.Help)); err != nil {
			return err
		}
	}
	return nil
}

// live asks the daemon, or the system, for the values of a source. Waiting for
// it ends with ctx.
func (c *call) live(ctx context.Context, done grammar.Completion) []grammar.Candidate {
	switch done.Source {
	case grammar.NoSource, grammar.Files, grammar.Dirs, grammar.Commands:
		return nil
	case grammar.Devices:
		return devices()
	}
	svc, err := c.service(ctx)
	if err != nil {
		return nil
	}
	switch done.Source {
	case grammar.IPCPs:
		return liveIPCPs(ctx, svc, false)
	case grammar.Layers:
		return liveIPCPs(ctx, svc, true)
	case grammar.Names:
		return liveNames(ctx, svc)
	case grammar.Members:
		return append(liveIPCPs(ctx, svc, true), liveIPCPs(ctx, svc, false)...)
	case grammar.Components:
		return liveComponents(ctx, svc, done.Of)
	case grammar.Peers:
		return append(liveIPCPs(ctx, svc, true), liveNames(ctx, svc)...)
	case grammar.Programs:
		all, _ := svc.ListPrograms(ctx)
		return views(all, func(p irm.ProgramInfo) grammar.Candidate {
			return grammar.Candidate{Word: p.Program, Help: "serves " + strings.Join(p.Names, " ")}
		})
	case grammar.Processes:
		all, _ := svc.ListProcesses(ctx)
		return views(all, func(p irm.ProcessInfo) grammar.Candidate {
			return grammar.Candidate{Word: strconv.Itoa(p.PID), Help: p.Program}
		})
	}
	return nil
}

func liveIPCPs(ctx context.Context, svc Service, layers bool) []grammar.Candidate {
	all, _ := svc.ListIPCPs(ctx)
	var words []grammar.Candidate
	for _, i := range all {
		switch {
		case !layers:
			words = append(words, grammar.Candidate{Word: i.Name, Help: i.Type.String() + " IPCP"})
		case enrolled(i):
			words = append(words, grammar.Candidate{Word: i.Layer, Help: i.Type.String() + " layer"})
		}
	}
	return words
}

// liveComponents lists the components of the IPCPs that an argument means.
func liveComponents(ctx context.Context, svc Service, arg string) []grammar.Candidate {
	all, _ := svc.ListIPCPs(ctx)
	var words []grammar.Candidate
	for _, i := range choose(all, arg) {
		shown, _ := svc.ShowIPCP(ctx, i.PID)
		for _, k := range slices.Sorted(maps.Keys(shown)) {
			words = append(words, grammar.Candidate{Word: k, Help: "component of the " + i.Type.String() + " IPCP " + i.Name})
		}
	}
	return words
}

func liveNames(ctx context.Context, svc Service) []grammar.Candidate {
	all, _ := svc.ListNames(ctx)
	return views(all, func(n irm.NameInfo) grammar.Candidate {
		return grammar.Candidate{Word: n.Name, Help: "name"}
	})
}

// devices lists the network interfaces of the host.
func devices() []grammar.Candidate {
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return nil
	}
	return views(entries, func(e os.DirEntry) grammar.Candidate {
		return grammar.Candidate{Word: e.Name(), Help: "network interface"}
	})
}
