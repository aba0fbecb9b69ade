package registry

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

func TestAProgramIsKnownByItsFileAndAScriptByItsPath(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	elf := write("bin/server", "\x7fELF...")
	same := write("other/server", "\x7fELF...") // the same base name
	script := write("bin/server.py", "#!/usr/bin/env python3\n")
	plain := write("bin/plain.py", "import ouroboros\n")
	interp := write("bin/myinterp", "\x7fELF...")
	odd := write("bin/odd", "#!"+interp+" -x\n")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(elf, link); err != nil {
		t.Fatal(err)
	}
	hard := filepath.Join(dir, "hard")
	if err := os.Link(elf, hard); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name  string
		bound string
		id    Identity
		want  bool
	}{
		{"the executable", elf, Identity{Exe: elf}, true},
		{"another of the same base name", elf, Identity{Exe: same}, false},
		{"bound through a link", link, Identity{Exe: elf}, true},
		{"run through a hard link", elf, Identity{Exe: hard}, true},
		{"its words are not believed", elf, Identity{Exe: same, Args: []string{elf, elf}}, false},
		{"an executable as an argument of an interpreter", elf, Identity{Exe: "/usr/bin/python3", Args: []string{"python3", elf}}, false},
		{"a script", script, Identity{Exe: "/usr/bin/python3.13", Args: []string{"python3", script}}, true},
		{"a script with options", script, Identity{Exe: "/usr/bin/python3", Args: []string{"python3", "-u", "-X", "dev", script, "-v"}}, true},
		{"a script without #!", plain, Identity{Exe: "/usr/bin/python3", Args: []string{"python3", plain}}, true},
		{"a relative script", script, Identity{Exe: "/usr/bin/python3", Args: []string{"python3", "./server.py"}, Dir: filepath.Join(dir, "bin")}, true},
		{"a relative script elsewhere", script, Identity{Exe: "/usr/bin/python3", Args: []string{"python3", "server.py"}, Dir: dir}, false},
		{"a script that is only an argument", script, Identity{Exe: "/usr/bin/python3", Args: []string{"python3", plain, script}}, false},
		{"a script that is not run", script, Identity{Exe: "/usr/bin/python3", Args: []string{"python3", "-c", "pass", script}}, false},
		{"a script as an argument of no interpreter", script, Identity{Exe: same, Args: []string{"server", script}}, false},
		{"a script with an interpreter of its own", odd, Identity{Exe: interp, Args: []string{interp, "-x", odd}}, true},
		{"an IPCP of that name", elf, Identity{Exe: elf, IPCP: true}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, nil)
			for _, name := range []string{"a", "b"} {
				if err := n.BindProgram(bg, irm.ProgramBinding{Program: tc.bound, Name: name}); err != nil {
					t.Fatal(err)
				}
			}
			tc.id.PID = 10
			if _, err := n.Announce(tc.id, testOwner("p")); err != nil {
				t.Fatal(err)
			}
			procs, _ := n.ListProcesses(bg)
			if got := len(procs[0].Names) == 2; got != tc.want {
				t.Fatalf("bound: %v, want %v (%+v)", got, tc.want, procs[0])
			}
		})
	}
}

func TestProgramsAreBoundForThoseWhoComeAfterwards(t *testing.T) {
	n := newNode(t, nil)
	path := makeProgram(t, "server")
	names := func(pid int) []string {
		procs, _ := n.ListProcesses(bg)
		i := slices.IndexFunc(procs, func(p irm.ProcessInfo) bool { return p.PID == pid })
		return procs[i].Names
	}
	announce := func(pid int) {
		if _, err := n.Announce(Identity{PID: pid, Exe: path}, testOwner("p")); err != nil {
			t.Fatal(err)
		}
	}
	announce(10)
	b := irm.ProgramBinding{Program: path, Name: "a"}
	if err := n.BindProgram(bg, b); err != nil {
		t.Fatal(err)
	}
	wantIs(t, n.BindProgram(bg, b), errno.Exist)
	announce(11)
	if err := n.UnbindProgram(bg, "server", "a"); err != nil {
		t.Fatal(err)
	}
	announce(12)
	if len(names(10)) != 0 || !slices.Equal(names(11), []string{"a"}) || len(names(12)) != 0 {
		t.Fatalf("before %v, while %v, after %v", names(10), names(11), names(12))
	}
}

func TestProgramsThatCannotBeBound(t *testing.T) {
	n := newNode(t, nil)
	dir := t.TempDir()
	flat := filepath.Join(dir, "flat")
	os.WriteFile(flat, []byte("\x7fELF"), 0o644)
	for _, tc := range []struct {
		b    irm.ProgramBinding
		want error
	}{
		{irm.ProgramBinding{Program: "/nothing/here", Name: "a"}, errno.NoEntry},
		{irm.ProgramBinding{Program: "relative", Name: "a"}, errno.Invalid},
		{irm.ProgramBinding{Program: dir, Name: "a"}, errno.Perm},
		{irm.ProgramBinding{Program: flat, Name: "a"}, errno.Perm},
		{irm.ProgramBinding{Program: "/bin/sh", Name: ""}, errno.Invalid},
		{irm.ProgramBinding{Program: "/bin/sh", Name: "a", Args: make([]string, 2000)}, errno.Invalid},
		{irm.ProgramBinding{Program: "/bin/sh", Name: "a", Args: []string{"\x00"}}, errno.Invalid},
	} {
		wantIs(t, n.BindProgram(bg, tc.b), tc.want)
	}
	if names, _ := n.ListNames(bg); len(names) != 0 {
		t.Fatalf("a binding that failed left a name: %+v", names)
	}
}

func FuzzAppearance(f *testing.F) {
	f.Add("/usr/bin/python3", "python3\x00-u\x00x.py", "/tmp")
	f.Add("", "\x00\x00", "relative")
	f.Fuzz(func(t *testing.T, exe, args, dir string) {
		var argv []string
		start := 0
		for i := range args {
			if args[i] == 0 {
				argv = append(argv, args[start:i])
				start = i + 1
			}
		}
		look := lookAt(Identity{PID: 1, Exe: exe, Args: append(argv, args[start:]), Dir: dir})
		table := newProgramTable()
		table.running(look)
	})
}
