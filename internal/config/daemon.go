package config

import (
	"log/slog"
	"path/filepath"
	"strings"

	"ouroboros/irm"
)

// daemon reads [daemon].
func (d *decoder) daemon(f *File, e *entry) {
	c := &f.Daemon
	d.table("[daemon]", e, []key{
		word("state", "what a restart does to names and bindings", []string{"keep", "forget"}, keepWord, &c.Keep),
		absolute("state_file", "the state file", &c.StateFile),
		word("log_level", "a level", levelWords, levelWord(c), &c.LogLevel).spelled("log-level"),
		word("log_format", "a format", []string{"text", "json"}, oneOf("text", "json"), &c.LogFormat).spelled("log-format"),
		absolute("runtime_dir", "the runtime directory", &c.RuntimeDir).spelled("runtime-dir"),
		d.securityDir(f, "security_dir"),
		{name: "user", read: func(d *decoder, e *entry) {
			p, ok := d.user(e, "a string: the user whom a daemon of root becomes")
			if ok {
				c.User = p.Name
			}
		}},
		integer("clock_slack", clockSlack, &c.ClockSlack).spelled("clock-slack"),
	})
	if c.StateFile != "" && !c.Keep {
		d.warn(e.span, `add: state = "keep"`, "[daemon] names a state_file but keeps no state")
	}
}

// clockSlack are the milliseconds that the clock of another node may be ahead.
// A request is never older than 20 s, so more makes no sense.
var clockSlack = irm.Range{Min: 1, Max: 20000}

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

// absolute is a key with an absolute path.
func absolute(name, what string, dst *string) key {
	k := path(name, what, dst)
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
	limit := func(name string, dst *int) key {
		return integer(name, irm.Range{Min: 1, Max: maxLimit}, dst)
	}
	d.table("[limits]", e, []key{
		limit("flows", &c.Flows),
		limit("flows_per_process", &c.FlowsPerProcess),
		limit("flows_per_user", &c.FlowsPerUser).spelled("flows_per_uid"),
		limit("accepts_per_process", &c.AcceptsPerProcess),
		limit("allocs_per_process", &c.AllocsPerProcess),
		limit("names", &c.Names),
		limit("programs", &c.Programs),
		limit("processes", &c.Processes),
		limit("ipcps", &c.IPCPs),
		limit("watchers", &c.Watchers),
		limit("clients", &c.Clients),
		limit("clients_per_user", &c.ClientsPerUser).spelled("clients_per_uid"),
		limit("calls", &c.Calls),
		limit("calls_per_user", &c.CallsPerUser).spelled("calls_per_uid"),
	})
}

// maxLimit is the highest value of a limit.
const maxLimit = 1 << 20

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
			if p, ok := d.principal(v); ok {
				list = append(list, p)
			}
		}
		*dst = list
	}}
}

// principal reads a user or, with @ before it, a group.
func (d *decoder) principal(v *node) (Principal, bool) {
	name, group := strings.CutPrefix(v.text, "@")
	if name == "" || strings.ContainsAny(name, ":@ \t\n\x00") {
		d.fail(v.span, "", "%q is neither a user nor a group: expected a name or a number, a group with @ before it", v.text)
		return Principal{}, false
	}
	return Principal{Name: name, Group: group, at: v.span}, true
}
