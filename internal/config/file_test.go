package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ouroboros/irm"
)

func TestErrorsSayWhereAndWhatWasExpected(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"[nam.x]\n", "t.toml:1:2: unknown key \"nam\" in the file; did you mean \"name\"?\n  1 | [nam.x]\n    |  ^^^"},
		{"[name.x]\nlb = \"spil\"\n", "t.toml:2:6: \"lb\" cannot be \"spil\": expected a load-balancing policy: round-robin, spillover or spill; did you mean \"spill\"?\n  2 | lb = \"spil\"\n    |      ^^^^^^"},
		{"[unicast.u]\n\tenrol = \"é\" # ä\n\tüx = 1\n", "t.toml:3:2: this is not TOML: invalid character at start of key: U+00C3 'Ã'\n  3 | \tüx = 1\n    | \t^"},
		{"[unicast.u]\nenrol = \"x\"\n  autobnd = true", "t.toml:3:3: unknown key \"autobnd\" in [unicast.u]; did you mean \"autobind\"?\n  3 |   autobnd = true\n    |   ^^^^^^^"},
		{"[udp4.u]\nbootstrap = \"x\"\nip = \"127.0.0.1\"\ndev = \"lo\"\n", "t.toml:4:1: \"dev\" does not belong in [udp4.u], it is of eth-dix or eth-llc\n  4 | dev = \"lo\"\n    | ^^^"},
		{"[unicast.u]\nenrol = \"x\"\nenroll = \"y\"\n", "t.toml:3:1: \"enroll\" says the same as \"enrol\" on line 2; keep one of them\n  3 | enroll = \"y\"\n    | ^^^^^^"},
		{"[local.u]\nbootstrap = \"x\"\nbootstrap = \"y\"\n", "t.toml:3:1: \"bootstrap\" is given already on line 2; keep one of them\n  3 | bootstrap = \"y\"\n    | ^^^^^^^^^"},
		{"[local.u]\n[local.u]\n", "t.toml:2:2: table u already exists\n  2 | [local.u]\n    |  ^"},
		{"[local.u]\n[udp4.u]\n", "t.toml:2:7: an IPCP \"u\" is described already on line 1; choose another name\n  2 | [udp4.u]\n    |       ^"},
		{"local = 3\n", "t.toml:1:9: \"local\" is an integer: expected tables, as [local.NAME]\n  1 | local = 3\n    |         ^"},
		{"[local]\nu = 3\n", "t.toml:2:1: \"u\" in [local] is an integer: expected a table, as [local.NAME]\n  2 | u = 3\n    | ^"},
		{"[[local]]\n", "t.toml:1:3: \"local\" is an array: expected tables, as [local.NAME]\n  1 | [[local]]\n    |   ^^^^^"},
		{"x = \"abc", "t.toml:1:8: this is not TOML: unterminated basic string\n  1 | x = \"abc\n    |        ^"},
		{"[name.x]\nprog = \"/bin/x\"\n", "t.toml:2:8: \"prog\" cannot be \"/bin/x\": expected an array of strings: absolute paths of programs, as in [\"/bin/x\"]\n  2 | prog = \"/bin/x\"\n    |        ^^^^^^^^"},
		{"[broadcast.b]\nbootstrap = \"l\"\nreg = [\"x\"]\n", "t.toml:3:1: no names can be registered in a broadcast layer: its own name reaches all members\n  3 | reg = [\"x\"]\n    | ^^^"},
		{"[unicast.u]\nbootstrap = \"l\"\nconn = [\"x\"]\n", "t.toml:3:1: [unicast.u] does not enrol: only members of one layer can connect; add enrol\n  3 | conn = [\"x\"]\n    | ^^^^"},
		{"[udp4.u]\nenrol = \"l\"\n", "t.toml:2:1: \"enrol\" does not belong in [udp4.u], it is of unicast or broadcast\n  2 | enrol = \"l\"\n    | ^^^^^"},
		{"[local.u]\nreg = [\"x\"]\n", "t.toml:2:1: [local.u] is in no layer: \"reg\" is not possible; add bootstrap\n  2 | reg = [\"x\"]\n    | ^^^"},
	} {
		_, err := Parse("t.toml", []byte(c.doc))
		if err == nil {
			t.Errorf("%q is taken", c.doc)
		} else if err.Error() != c.want {
			t.Errorf("%q gives\n%s\nwant\n%s", c.doc, err, c.want)
		}
	}
}

func TestAllErrorsOfAFileAreReportedInItsOrder(t *testing.T) {
	_, err := Parse("t.toml", []byte("[name.x]\nlb = 1\n[unicast.u]\nenrol = 2\nx = 3\n[limits]\nflows = 0\n"))
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 4 {
		t.Fatalf("errors: %v", err)
	}
	for i, line := range []int{2, 4, 5, 7} {
		if errs[i].Line != line {
			t.Errorf("error %d is of line %d, want %d", i, errs[i].Line, line)
		}
	}
}

func TestWhatHasNoEffectIsWarnedOf(t *testing.T) {
	for doc, want := range map[string]string{
		"[unicast.u]\nenrol = \"x\"\nbootstrap = \"l\"\n":   "both bootstrap and enrol",
		"[unicast.u]\nenrol = \"x\"\nrouting = \"lfa\"\n":   "no effect",
		"[local.u]\nhash = \"SHA3_512\"\n":                  "nothing is bootstrapped",
		"[local.u]\nbootstrap = \"l\"\nautobind = true\n":   "no effect",
		"[daemon]\nstate_file = \"/x\"\nstate = \"forget\"": "keeps no state",
	} {
		f, err := Parse("t.toml", []byte(doc))
		if err != nil || len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0].Error(), want) {
			t.Errorf("%q: %v, %+v", doc, err, f)
		}
	}
	f, _ := Parse("t.toml", []byte("[unicast.u]\nenrol = \"x\"\nbootstrap = \"l\"\n"))
	if f.IPCPs[0].Bootstrap != nil || f.IPCPs[0].Enrol != "x" {
		t.Error("enrol does not win over bootstrap")
	}
	f, _ = Parse("t.toml", []byte("[local.u]\nbootstrap = \"l\"\nautobind = true\n"))
	if f.IPCPs[0].Autobind {
		t.Error("a local IPCP is bound")
	}
}

func TestANameHasProgramsWithTheirArguments(t *testing.T) {
	f, err := Parse("t.toml", []byte(`
[name."web.example.org"]
prog = ["/usr/bin/a", "/usr/bin/b", "/usr/bin/c", "/usr/bin/d"]
args = ["--port 80  -v", "", ["--title", "two words", ""]]
lb = "round-robin"
`))
	if err != nil {
		t.Fatal(err)
	}
	n := f.Names[0]
	if n.Info.Name != "web.example.org" || n.Info.Balance != irm.RoundRobin {
		t.Errorf("the name is %+v", n.Info)
	}
	want := []struct {
		prog string
		auto bool
		args []string
	}{
		{"/usr/bin/a", true, []string{"--port", "80", "-v"}},
		{"/usr/bin/b", true, nil},
		{"/usr/bin/c", true, []string{"--title", "two words", ""}},
		{"/usr/bin/d", false, nil},
	}
	for i, w := range want {
		p := n.Programs[i]
		if p.Program != w.prog || p.Auto != w.auto || !slices.Equal(p.Args, w.args) || p.Name != "web.example.org" {
			t.Errorf("program %d is %+v, want %+v", i, p.ProgramBinding, w)
		}
	}
	for _, bad := range []string{
		"prog = [\"/bin/a\"]\nargs = [\"\", \"\"]",
		"args = [\"\"]",
		"prog = [\"bin/a\"]",
		"prog = [\"/bin/a\", \"/bin/a\"]",
		"prog = [\"\"]",
		"prog = [1]",
		"prog = [\"/bin/a\"]\nargs = \"x\"",
		"prog = [\"/bin/a\"]\nargs = [1]",
		"prog = [\"/bin/a\"]\nargs = [[1]]",
		"prog = [\"/bin/a\"]\nargs = [\"\\u0000\"]",
	} {
		if _, err := Parse("t.toml", []byte("[name.x]\n"+bad+"\n")); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestANameIsSpilledUnlessSaid(t *testing.T) {
	for value, want := range map[string]irm.Balance{"": irm.Spill, "lb = \"spill\"": irm.Spill, "lb = \"spillover\"": irm.Spill, "lb = \"round-robin\"": irm.RoundRobin} {
		f, err := Parse("t.toml", []byte("[name.x]\n"+value+"\n"))
		if err != nil || f.Names[0].Info.Balance != want {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestSecurityFilesAreFoundBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	keys := map[string]func(i irm.NameInfo) string{
		"server_enc_file": func(i irm.NameInfo) string { return i.Server.Enc }, "sencpath": func(i irm.NameInfo) string { return i.Server.Enc },
		"server_crt_file": func(i irm.NameInfo) string { return i.Server.Cert }, "scrtpath": func(i irm.NameInfo) string { return i.Server.Cert },
		"server_key_file": func(i irm.NameInfo) string { return i.Server.Key }, "skeypath": func(i irm.NameInfo) string { return i.Server.Key },
		"client_enc_file": func(i irm.NameInfo) string { return i.Client.Enc }, "cencpath": func(i irm.NameInfo) string { return i.Client.Enc },
		"client_crt_file": func(i irm.NameInfo) string { return i.Client.Cert }, "ccrtpath": func(i irm.NameInfo) string { return i.Client.Cert },
		"client_key_file": func(i irm.NameInfo) string { return i.Client.Key }, "ckeypath": func(i irm.NameInfo) string { return i.Client.Key },
	}
	there := filepath.Join(dir, "there.pem")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for key, get := range keys {
		for _, path := range []string{"there.pem", there} {
			f, err := Parse(filepath.Join(dir, "t.toml"), []byte("[name.x]\n"+key+" = \""+path+"\"\n"))
			if err == nil {
				err = f.CheckFiles()
			}
			if err != nil || get(f.Names[0].Info) != there {
				t.Errorf("%s = %q: %v", key, path, err)
			}
		}
		for _, path := range []string{"missing.pem", "."} {
			f, err := Parse(filepath.Join(dir, "t.toml"), []byte("[name.x]\n"+key+" = \""+path+"\"\n"))
			if err != nil {
				t.Fatal(err)
			}
			err = f.CheckFiles()
			if err == nil || !strings.Contains(err.Error(), "t.toml:2:") || !strings.Contains(err.Error(), path) {
				t.Errorf("%s = %q: %v", key, path, err)
			}
		}
	}
}

func TestProgramsAreStartedAsAUserThatExists(t *testing.T) {
	f, err := Parse("t.toml", []byte("[name.x]\nprog = [\"/bin/x\"]\nargs = [\"\"]\nuser = \"0\"\n"))
	if err == nil {
		err = f.CheckUsers()
	}
	if err != nil || f.Names[0].User.Name != "0" {
		t.Error(err)
	}
	for doc, want := range map[string]string{
		"[name.x]\nprog = [\"/bin/x\"]\nargs = [\"\"]\nuser = \"no-such-user\"\n": "t.toml:4:8: there is no user \"no-such-user\" here",
		"[access]\nmanage = [\"0\", \"no-such-user\"]\n":                          "t.toml:2:16: there is no user \"no-such-user\" here",
		"[access]\nflows = [\"@no-such-group\"]\n":                                "t.toml:2:10: there is no group \"no-such-group\" here",
	} {
		f, err := Parse("t.toml", []byte(doc))
		if err == nil {
			err = f.Check()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q gives %v, want %s", doc, err, want)
		}
	}
	for _, bad := range []string{"user = 1", "user = \"@staff\"", "user = \"\""} {
		if _, err := Parse("t.toml", []byte("[name.x]\n"+bad+"\n")); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestSectionsKeepTheOrderOfTheFileWithinTheirStep(t *testing.T) {
	f, err := Parse("t.toml", []byte(`
unicast.u0.enrol = "e"
[unicast.u1]
bootstrap = "n1"
[name.b]
[udp4.y]
[local.x]
[name.a]
[broadcast.c]
[unicast.u2]
[eth-llc.z]
[udp6]
w = {}
`))
	if err != nil {
		t.Fatal(err)
	}
	var names, ipcps []string
	for _, n := range f.Names {
		names = append(names, n.Info.Name)
	}
	for _, p := range f.steps() {
		ipcps = append(ipcps, p.Name)
	}
	if got := strings.Join(names, " "); got != "b a" {
		t.Errorf("names: %s", got)
	}
	if got := strings.Join(ipcps, " "); got != "y x z w u0 u1 c u2" {
		t.Errorf("IPCPs: %s", got)
	}
}

func TestDottedKeysAndInlineTablesMeanTheSameAsHeaders(t *testing.T) {
	for _, doc := range []string{
		"[local.\"a.b\"]\nbootstrap = \"l\"\nreg = [\"n\"]\n",
		"local.\"a.b\".bootstrap = \"l\"\nlocal.'a.b'.reg = [\n  \"n\", # a name\n]\n",
		"[local]\n\"a.b\" = { bootstrap = \"l\", reg = [\"n\"] }\n",
		"local = { \"a.b\" = { bootstrap = '''l''', reg = [\"\\u006e\"] } }\n",
	} {
		p := parseOne(t, doc)
		if p.Name != "a.b" || p.Bootstrap.Layer != "l" || len(p.Reg) != 1 || p.Reg[0].Value != "n" {
			t.Errorf("%q gives %+v", doc, p)
		}
	}
}

func TestAnEmptyFileIsAConfiguration(t *testing.T) {
	for _, doc := range []string{"", "\n", "# nothing\n", "\r\n"} {
		if f, err := Parse("t.toml", []byte(doc)); err != nil || len(f.IPCPs)+len(f.Names) != 0 {
			t.Errorf("%q: %v", doc, err)
		}
	}
}

func TestFilesThatCannotBeReadSayWhy(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long.toml")
	if err := os.WriteFile(long, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(dir, "none"): "no such file", dir: "is a directory", long: "longer than"} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestNestingAndSizeAreBounded(t *testing.T) {
	for _, doc := range []string{
		"x = " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"x = " + strings.Repeat("{a=", 500) + "1" + strings.Repeat("}", 500),
		strings.Repeat("a.", 500) + "a = 1",
		"[" + strings.Repeat("a.", 500) + "a]",
		"x = [" + strings.Repeat("1,", maxKeys+1) + "]",
		"name.x.prog = [" + strings.Repeat("1,", 1000) + "]",
	} {
		_, err := Parse("t.toml", []byte(doc))
		var errs Errors
		if !errors.As(err, &errs) || len(errs) > maxErrors {
			t.Errorf("%.40q: %d errors", doc, len(errs))
		}
	}
}

func TestTheExampleFileParses(t *testing.T) {
	path := filepath.Join("..", "..", "packaging", "irmd.toml.example")
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Warnings) > 0 {
		t.Errorf("it has a warning: %v", f.Warnings[0])
	}
	// Each commented setting is one that exists, and stands there with its
	// default or a value in its range.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, line := range strings.Split(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") {
			line = rest
		}
		open = append(open, line)
	}
	if f, err = Parse("opened", []byte(strings.Join(open, "\n"))); err != nil {
		t.Errorf("with its comments opened:\n%v", err)
	} else {
		seen := map[irm.IPCPType]bool{}
		for _, p := range f.IPCPs {
			seen[p.Type] = true
		}
		for _, w := range irm.TypeWords() {
			if k, _ := irm.ParseType(w); !seen[k] {
				t.Errorf("it shows no %s IPCP", w)
			}
		}
	}
}
