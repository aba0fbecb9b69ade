package config

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"ouroboros/irm"
)

// File is a configuration file that was understood.
type File struct {
	Path     string
	Daemon   Daemon
	Security Security
	Limits   Limits
	Access   Access
	Names    []*Name // in the order of the file
	IPCPs    []*IPCP // in the order of the file

	// Warnings are things that have no effect and were probably meant to
	// have one.
	Warnings []*Error

	data []byte
}

// Daemon is the table [daemon].
type Daemon struct {
	Keep       bool       // state = "keep": names, registrations and bindings survive a restart
	StateFile  string     // where they are kept; empty = the daemon's own place
	LogLevel   slog.Level // meaningful when HasLevel
	HasLevel   bool
	LogFormat  string // "text", "json"; empty = not said
	RuntimeDir string // empty = not said
	User       string // that a daemon of root becomes; empty = it stays root
	ClockSlack int    // ms that the clock of another node may be ahead; 0 = not said
}

// Security is the table [security].
type Security struct {
	// Dir holds the security files of names that do not say where theirs are.
	// Empty = the daemon's own place. [daemon] security_dir says the same.
	Dir string
	// Where the certificates are that are trusted, that lead to those, and that
	// are not accepted any more. Empty = cacert, untrusted, revoked below Dir.
	CACert, Untrusted, Revoked string
	// What is demanded of clients and servers where a name leaves it to the node.
	ServerDemand, ClientDemand irm.Demand
	Sandbox                    bool // the daemon writes nowhere but to its own directories, and starts no programs
}

// Limits is the table [limits]. Zero means the node's own limit.
type Limits struct {
	Flows             int // on the node
	FlowsPerProcess   int
	FlowsPerUser      int // of others than root and the daemon's user
	AcceptsPerProcess int // pending
	AllocsPerProcess  int // pending
	Names             int
	Programs          int
	Processes         int
	IPCPs             int
	Watchers          int // of events
	Clients           int // connected processes
	ClientsPerUser    int // of others than root and the daemon's user
	Calls             int // connections to the management socket
	CallsPerUser      int
}

// Access is the table [access].
type Access struct {
	// Manage says who may manage the node, besides root, the daemon's own
	// user and the members of the group ouroboros.
	Manage []Principal
	// Flows says who may have flows. Nil = every local user.
	Flows []Principal
}

// Principal is a user or a group, by name or number.
type Principal struct {
	Name  string // "alice", "1000"
	Group bool   // written "@staff"
	at    span
}

func (p Principal) String() string {
	if p.Group {
		return "@" + p.Name
	}
	return p.Name
}

// Name is a table [name.SERVICE].
type Name struct {
	Info     irm.NameInfo
	Programs []Program
	User     *Principal // whom programs are started as; nil = the daemon's own user

	at    span
	files []secFile
}

// Program is an element of prog with its arguments.
type Program struct {
	irm.ProgramBinding
	at span
}

// secFile is a security file that a name is given.
type secFile struct {
	path string
	dst  *string // in Info
	at   span
}

// IPCP is a table such as [unicast.NAME].
type IPCP struct {
	Name      string
	Type      irm.IPCPType
	Bootstrap *irm.Config // nil: not bootstrapped
	Enrol     string      // destination; empty: not enrolled
	Autobind  bool
	Reg       []Text
	Conn      []Text

	at, atLayer, atEnrol, atBind span
}

// Text is a string and where it stands.
type Text struct {
	Value string
	at    span
}

// Load reads the file at path.
func Load(path string) (*File, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", path)
	}
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse understands a file. path is for messages only; the error is Errors.
func Parse(path string, data []byte) (*File, error) {
	data = slices.Clone(data)
	root, err := build(path, data)
	if err != nil {
		return nil, Errors{err}
	}
	d := &decoder{path: path, data: data}
	f := &File{Path: path, data: data}
	d.file(f, root)
	if len(d.errs) > 0 {
		slices.SortStableFunc(d.errs, byPlace)
		return nil, d.errs
	}
	slices.SortStableFunc(d.warnings, byPlace)
	f.Warnings = d.warnings
	return f, nil
}

func byPlace(a, b *Error) int {
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	return a.Column - b.Column
}

// file reads the top level.
func (d *decoder) file(f *File, root *node) {
	keys := []key{
		{name: "daemon", read: func(d *decoder, e *entry) { d.daemon(f, e) }},
		{name: "security", read: func(d *decoder, e *entry) { d.security(f, e) }},
		{name: "limits", read: func(d *decoder, e *entry) { d.limits(f, e) }},
		{name: "access", read: func(d *decoder, e *entry) { d.access(f, e) }},
		{name: "name", read: func(d *decoder, e *entry) {
			d.each(e, func(s *entry) { d.service(f, s) })
		}},
	}
	for _, w := range irm.TypeWords() {
		t, _ := irm.ParseType(w)
		keys = append(keys, key{name: w, read: func(d *decoder, e *entry) {
			d.each(e, func(s *entry) { d.ipcp(f, t, s) })
		}})
	}
	d.table("the file", &entry{value: root}, keys)
	d.sameNames(f)
	f.sort()
}

// each reads the tables below a top-level table: one a service or IPCP.
func (d *decoder) each(e *entry, read func(*entry)) {
	if e.value.kind != aTable {
		d.fail(e.value.span, "", "%q is %s: expected tables, as [%s.NAME]", e.name, e.value.kind, e.name)
		return
	}
	for _, s := range e.value.keys {
		if s.value.kind != aTable {
			d.fail(s.span, "", "%q in [%s] is %s: expected a table, as [%s.NAME]", s.name, e.name, s.value.kind, e.name)
			continue
		}
		if d.named(s.span, "name", s.name) {
			read(s)
		}
	}
}

// sameNames refuses two IPCPs of one name: their kinds are different tables,
// so that TOML does not see it.
func (d *decoder) sameNames(f *File) {
	first := map[string]*IPCP{}
	for _, p := range f.IPCPs {
		if o := first[p.Name]; o != nil {
			d.fail(p.at, "choose another name", "an IPCP %q is described already on line %d", p.Name, d.place(o.at).Line)
			continue
		}
		first[p.Name] = p
	}
}

// sort puts the sections of different tables into the order of the file.
func (f *File) sort() {
	slices.SortStableFunc(f.IPCPs, func(a, b *IPCP) int { return a.at.at - b.at.at })
	slices.SortStableFunc(f.Names, func(a, b *Name) int { return a.at.at - b.at.at })
}

// resolve gives the absolute path of a file that the configuration names:
// relative ones start at the directory of the configuration file.
func (f *File) resolve(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(f.Path), path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

func (f *File) errorAt(at span, cause error, hint, format string, args ...any) *Error {
	e := errorAt(f.Path, f.data, at, fmt.Sprintf(format, args...), hint)
	e.cause = cause
	return e
}
