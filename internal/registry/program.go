package registry

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// program is an executable or a script that is bound to names. r.mu guards
// what can change.
//
// A bound program binds every process that announces itself afterwards and
// runs it: because the program is the very file that the process executes, or
// because it is a script and the process is an interpreter that was given it.
// As in the C implementation, processes that run already are not affected, neither by
// a binding nor by its end: bind or unbind those by their pid.
type program struct {
	path     string // as it was bound: absolute
	real     string // without symbolic links
	file     fileID
	script   bool
	interp   string         // of a script: what its first line names
	bindings []*progBinding // oldest first

	starting  *startup
	failures  int       // in a row
	notBefore time.Time // the next start, after failures
	lastErr   error
}

// progBinding binds a program to a name.
type progBinding struct {
	prog     *program
	n        *serviceName
	args     []string
	auto     bool
	born     uint64
	uid, gid uint32 // of whoever bound it
}

func (b *progBinding) info() irm.ProgramBinding {
	return irm.ProgramBinding{Program: b.prog.path, Args: slices.Clone(b.args), Name: b.n.info.Name, Auto: b.auto}
}

// fileID says which file a path led to. The zero value is no file.
type fileID struct{ dev, ino uint64 }

// programTable finds programs by what a process runs. r.mu guards it.
type programTable struct {
	byPath map[string]*program   // as bound
	byReal map[string][]*program // without symbolic links
	byFile map[fileID][]*program
}

func newProgramTable() programTable {
	return programTable{make(map[string]*program), make(map[string][]*program), make(map[fileID][]*program)}
}

func (t *programTable) add(p *program) {
	t.byPath[p.path] = p
	t.byReal[p.real] = append(t.byReal[p.real], p)
	if p.file != (fileID{}) {
		t.byFile[p.file] = append(t.byFile[p.file], p)
	}
}

func (t *programTable) remove(p *program) {
	without := func(ps []*program) []*program {
		return slices.DeleteFunc(slices.Clone(ps), func(o *program) bool { return o == p })
	}
	delete(t.byPath, p.path)
	if t.byReal[p.real] = without(t.byReal[p.real]); len(t.byReal[p.real]) == 0 {
		delete(t.byReal, p.real)
	}
	if t.byFile[p.file] = without(t.byFile[p.file]); len(t.byFile[p.file]) == 0 {
		delete(t.byFile, p.file)
	}
}

// running gives the programs that a process runs.
func (t *programTable) running(look appearance) []*program {
	var found []*program
	add := func(ps []*program, fits func(*program) bool) {
		for _, p := range ps {
			if fits(p) && !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
	}
	any := func(*program) bool { return true }
	if look.exe != "" {
		add(t.byReal[look.exe], any)
	}
	if look.exeFile != (fileID{}) {
		add(t.byFile[look.exeFile], any)
	}
	interprets := func(p *program) bool {
		return p.script && (look.interpreter || p.interp != "" && p.interp == look.exe)
	}
	if look.script != "" {
		add(t.byReal[look.script], interprets)
	}
	if look.scriptFile != (fileID{}) {
		add(t.byFile[look.scriptFile], interprets)
	}
	return found
}

// appearance is what a process runs, as the file system has it.
type appearance struct {
	exe         string // without symbolic links
	exeFile     fileID
	interpreter bool   // exe is one that is known
	script      string // the first argument that could be a script
	scriptFile  fileID
}

// interpreters are known by the beginning of their names, so that versions
// (python3.13, node22) are too.
var interpreters = []string{"python", "pypy", "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "busybox",
	"perl", "ruby", "node", "nodejs", "deno", "bun", "lua", "luajit", "php", "tclsh", "wish", "env", "guile", "racket",
	"Rscript", "julia", "awk", "gawk", "expect", "java", "groovy", "pwsh", "raku", "elixir", "escript"}

func isInterpreter(exe string) bool {
	base := strings.TrimRight(filepath.Base(exe), "0123456789.-")
	return slices.Contains(interpreters, base)
}

// lookAt reads what a process runs.
func lookAt(id Identity) appearance {
	if id.IPCP || id.Exe == "" {
		return appearance{}
	}
	look := appearance{exe: realPath(id.Exe), exeFile: idOf(id.Exe), interpreter: isInterpreter(id.Exe)}
	if s := scriptArg(id.Args); s != "" {
		if !filepath.IsAbs(s) {
			if id.Dir == "" {
				return look
			}
			s = filepath.Join(id.Dir, s)
		}
		look.script, look.scriptFile = realPath(s), idOf(s)
	}
	return look
}

// scriptArg gives the script argument of an interpreter's command line: the
// first that is not an option. Options that bring the program themselves mean
// that there is none.
func scriptArg(argv []string) string {
	for i := 1; i < len(argv); i++ {
		a := argv[i]
		switch {
		case a == "--":
			if i+1 < len(argv) {
				return argv[i+1]
			}
			return ""
		case a == "-" || a == "-c" || a == "-m" || a == "-e" || a == "--eval" || a == "-p":
			return ""
		case a == "-W" || a == "-X" || a == "-r" || a == "--require" || a == "-I" || a == "-o":
			i++ // takes a value
		case strings.HasPrefix(a, "-"):
		default:
			return a
		}
	}
	return ""
}

func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

func idOf(path string) fileID {
	fi, err := os.Stat(path)
	if err != nil {
		return fileID{}
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{uint64(st.Dev), st.Ino}
}

// examine reads what can be bound. A program that is not there makes an error
// together with what is known of it.
func examine(path string) (*program, error) {
	p := &program{path: filepath.Clean(path), real: realPath(path)}
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return p, errno.New(errno.NoEntry, "the program %s does not exist", path)
	case !fi.Mode().IsRegular():
		return p, errno.New(errno.Perm, "%s is not a program", path)
	}
	p.file = idOf(path)
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		line, _ := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
		p.script = !strings.HasPrefix(line, "\x7fELF")
		if words := strings.Fields(strings.TrimPrefix(line, "#!")); strings.HasPrefix(line, "#!") && len(words) > 0 {
			p.interp = realPath(words[0])
		}
	}
	return p, nil
}

// BindProgram binds a program on behalf of the daemon's own user.
func (r *Registry) BindProgram(ctx context.Context, b irm.ProgramBinding) error {
	return r.BindProgramAs(ctx, b, uint32(os.Getuid()), uint32(os.Getgid()))
}

// BindProgramAs is BindProgram by a user: what is started on demand runs with
// that user's rights.
func (r *Registry) BindProgramAs(_ context.Context, b irm.ProgramBinding, uid, gid uint32) error {
	fail := func(err error) error { return because(err, "cannot bind the program %s", b.Program) }
	if err := irm.CheckName("name", b.Name); err != nil {
		return fail(err)
	}
	if !filepath.IsAbs(b.Program) || len(b.Program) > 4095 || strings.ContainsRune(b.Program, 0) {
		return fail(errno.New(errno.Invalid, "its path is not absolute").Next("give the whole path, from / on"))
	}
	if err := checkArgs(b.Args); err != nil {
		return fail(err)
	}
	p, err := examine(b.Program)
	if err != nil {
		return fail(err)
	}
	if fi, err := os.Stat(b.Program); err == nil && fi.Mode()&0o111 == 0 && (b.Auto || !p.script) {
		return fail(errno.New(errno.Perm, "it may not be executed").Next("chmod +x %s", b.Program))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.bindProgram(p, b, uid, gid); err != nil {
		return fail(err)
	}
	return nil
}

// checkArgs bounds what a binding holds in memory.
func checkArgs(args []string) error {
	size := 0
	for _, a := range args {
		size += len(a) + 1
		if strings.ContainsRune(a, 0) {
			return errno.New(errno.Invalid, "an argument holds a zero byte")
		}
	}
	if len(args) > 1024 || size > 64<<10 {
		return errno.New(errno.Invalid, "its arguments are %d with %d bytes, the most is 1024 with 65536", len(args), size)
	}
	return nil
}

// bindProgram enters a binding; seen is the program if it is not known yet.
// r.mu is held.
func (r *Registry) bindProgram(seen *program, b irm.ProgramBinding, uid, gid uint32) error {
	p := r.programs.byPath[seen.path]
	if p == nil {
		if len(r.programs.byPath) >= r.cfg.Limits.Programs {
			r.count.limit++
			return errno.New(errno.NoBufs, "%d programs are bound, and not more may be", len(r.programs.byPath))
		}
	} else {
		for _, o := range p.bindings {
			if o.n.info.Name == b.Name {
				return errno.New(errno.Exist, "it is bound to %q already", b.Name).
					Next("unbind it first: irm unbind program %s name %s", b.Program, b.Name)
			}
		}
	}
	n, err := r.implicitName(b.Name)
	if err != nil {
		return err
	}
	if p == nil {
		p = seen
		r.programs.add(p)
	} else if p.real != seen.real || p.file != seen.file {
		// The file was replaced since the first binding.
		r.programs.remove(p)
		p.real, p.file, p.script, p.interp = seen.real, seen.file, seen.script, seen.interp
		r.programs.add(p)
	}
	pb := &progBinding{prog: p, n: n, args: slices.Clone(b.Args), auto: b.Auto, born: r.tick(), uid: uid, gid: gid}
	p.bindings = append(p.bindings, pb)
	n.progs = slices.Insert(n.progs, 0, pb)
	if b.Auto {
		n.autos = slices.Insert(n.autos, 0, pb)
	}
	r.publish(irm.Event{Kind: "name", Action: "bound", Name: b.Name, Detail: p.path})
	r.dirty()
	return nil
}

// dropProgBinding undoes a binding, with its entry for starting on demand.
// r.mu is held.
func (r *Registry) dropProgBinding(b *progBinding) {
	isIt := func(o *progBinding) bool { return o == b }
	b.n.progs = slices.DeleteFunc(b.n.progs, isIt)
	b.n.autos = slices.DeleteFunc(b.n.autos, isIt)
	b.prog.bindings = slices.DeleteFunc(b.prog.bindings, isIt)
	if len(b.prog.bindings) == 0 {
		r.programs.remove(b.prog)
	}
	r.kick(b.n)
	r.publish(irm.Event{Kind: "name", Action: "unbound", Name: b.n.info.Name, Detail: b.prog.path})
	r.dirty()
}

// UnbindProgram undoes BindProgram. prog is the path or the base name, which
// then means every program that has it; an empty name means all names.
func (r *Registry) UnbindProgram(_ context.Context, prog, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var undo []*progBinding
	known := false
	for _, p := range r.programs.byPath {
		if p.path != filepath.Clean(prog) && (strings.Contains(prog, "/") || filepath.Base(p.path) != prog) {
			continue
		}
		known = true
		for _, b := range p.bindings {
			if name == "" || b.n.info.Name == name {
				undo = append(undo, b)
			}
		}
	}
	switch {
	case !known:
		return errno.New(errno.NoEntry, "cannot unbind the program %s: it is not bound to any name", prog).
			Next("see: irm program list")
	case len(undo) == 0 && name != "" && r.names[name] == nil:
		return errNoName("unbind the program "+prog, name)
	case len(undo) == 0:
		return errno.New(errno.NoEntry, "cannot unbind the program %s: it is not bound to %q", prog, name).
			Next("see: irm program list")
	}
	for _, b := range undo {
		r.dropProgBinding(b)
	}
	return nil
}

// bindByProgram binds a process to the names of what it runs. r.mu is held.
func (r *Registry) bindByProgram(p *proc, look appearance) {
	for _, prog := range r.programs.running(look) {
		p.program = prog.path
		for _, b := range prog.bindings {
			if p.names[b.n] == nil {
				r.bind(p, b.n)
				p.names[b.n].byProgram = true
			}
		}
		if prog.starting != nil {
			p.starts = append(p.starts, prog.starting)
		}
	}
	if p.program == p.id.Exe && look.interpreter && look.script != "" {
		p.program = look.script
	}
}

// ListPrograms lists the bound programs by path.
func (r *Registry) ListPrograms(context.Context) ([]irm.ProgramInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	infos := make([]irm.ProgramInfo, 0, len(r.programs.byPath))
	for _, p := range r.programs.byPath {
		info := irm.ProgramInfo{Program: p.path}
		for _, b := range p.bindings {
			info.Names = append(info.Names, b.n.info.Name)
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b irm.ProgramInfo) int { return cmp.Compare(a.Program, b.Program) })
	return infos, nil
}
