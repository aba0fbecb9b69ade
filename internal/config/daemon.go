package config

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
)

// daemon reads [daemon].
func (d *decoder) daemon(f *File, e *entry) {
	c := &f.Daemon
	d.table("[daemon]", e, []key{
		word("state", "what a restart does to names and bindings", []string{"keep", "forget"}, keepWord, &c.Keep),
		absolute("state_file", "the file that keeps the state", &c.StateFile),
		word("log_level", "a level", levelWords, levelWord(c), &c.LogLevel).spelled("log-level"),
		word("log_format", "a format", []string{"text", "json"}, oneOf("text", "json"), &c.LogFormat).spelled("log-format"),
		absolute("runtime_dir", "the runtime directory", &c.RuntimeDir).spelled("runtime-dir"),
	})
	if c.StateFile != "" && !c.Keep {
		d.warn(e.span, `add: state = "keep"`, "[daemon] names a state_file but keeps no state")
	}
}

func keepWord(w string) (keep, ok bool) { return w == "keep", w == "keep" || w == "forget" }

func oneOf(words ...string) func(string) (string, bool) {
	return func(w string) (string, bool) {
		for _, x := range words {
			if x == w {
				return w, true
			}
		}
		return "", false
	}
}

var levelWords = []string{"debug", "info", "warn", "error"}

// ParseLevel understands debug, info, warn, warning and error.
func ParseLevel(w string) (slog.Level, bool) {
	switch w {
	case "debug":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn", "warning":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	}
	return 0, false
}

func levelWord(c *Daemon) func(string) (slog.Level, bool) {
	return func(w string) (slog.Level, bool) {
		l, ok := ParseLevel(w)
		c.HasLevel = ok
		return l, ok
	}
}

// maxPath is the longest path that is accepted, in bytes.
const maxPath = 511

// absolute is a key with an absolute path.
func absolute(name, what string, dst *string) key {
	k := text(name, what, maxPath, dst)
	return key{name: name, read: func(d *decoder, e *entry) {
		if e.value.kind == aString && e.value.text != "" && !filepath.IsAbs(e.value.text) {
			d.fail(e.value.span, "", "%q cannot be %q: expected a path that begins with /", e.name, e.value.text)
			return
		}
		k.read(d, e)
	}}
}

// limits reads [limits].
func (d *decoder) limits(f *File, e *entry) {
	c := &f.Limits
	d.table("[limits]", e, []key{
		integer("flows", 1, MaxFlows, &c.Flows),
		integer("flows_per_process", 1, MaxFlows, &c.FlowsPerProcess),
		integer("accepts_per_process", 1, MaxFlows, &c.AcceptsPerProcess),
		integer("names", 1, 1<<20, &c.Names),
		integer("ipcps", 1, 1<<16, &c.IPCPs),
		integer("clients", 1, 1<<20, &c.Clients),
		integer("clients_per_user", 1, 1<<20, &c.ClientsPerUser).spelled("clients_per_uid"),
	})
}

// MaxFlows is the highest limit of flows that can be set.
const MaxFlows = 1 << 20

// access reads [access].
func (d *decoder) access(f *File, e *entry) {
	c := &f.Access
	all := false
	d.table("[access]", e, []key{
		principals("manage", nil, &c.Manage),
		principals("flows", &all, &c.Flows),
	})
}

// principals is a key with users and groups. When all is not nil, the word
// "all" instead of the array is everybody.
func principals(name string, all *bool, dst *[]Principal) key {
	want := `an array of users and groups, as ["alice", "@staff"]`
	if all != nil {
		want = `"all", or ` + want
	}
	return key{name: name, read: func(d *decoder, e *entry) {
		if all != nil && e.value.kind == aString && e.value.text == "all" {
			*all = true
			return
		}
		if e.value.kind != anArray {
			d.want(e, e.value, want)
			return
		}
		// An empty list is a list: nobody.
		list := []Principal{}
		for _, v := range e.value.items {
			if v.kind != aString {
				d.want(e, v, want)
				continue
			}
			p := Principal{Name: strings.TrimPrefix(v.text, "@"), Place: d.place(v.span)}
			p.Group = p.Name != v.text
			if p.Name == "" || strings.ContainsAny(p.Name, ":@ \t\n\x00") {
				d.fail(v.span, "", "%s is neither a user nor a group: expected a name or a number, a group with @ before it", fmt.Sprintf("%q", v.text))
				continue
			}
			list = append(list, p)
		}
		*dst = list
	}}
}
