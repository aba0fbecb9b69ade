package grammar

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// order is the match order that scripts rely on, by path; words that came
// later follow after the bar.
var order = map[string]string{
	"":                "ipcp bind unbind name help | flow process program status watch completion layer",
	"ipcp":            "create destroy bootstrap enroll connect disconnect list help | show",
	"bind":            "program process ipcp help |",
	"unbind":          "program process ipcp help |",
	"name":            "create destroy register unregister list help | show",
	"ipcp create":     "type name |",
	"ipcp destroy":    "name |",
	"ipcp bootstrap":  "type layer name hash ip dns device ethertype addr eid ttl port autobind addr_auth directory dht_alpha dht_k dht_t_expire dht_t_refresh dht_t_replicate routing ls_t_timeo ls_t_update ls_t_recalc congestion mtu dns_zone dns_key | addr_size eid_size max_ttl addr-auth",
	"ipcp enroll":     "name type layer dst autobind |",
	"ipcp connect":    "name dst component qos |",
	"ipcp disconnect": "name dst component |",
	"ipcp list":       "type name | layer",
	"name create":     "lb sencpath scrtpath skeypath cencpath ccrtpath ckeypath |",
	"name register":   "layer ipcp |",
	"name unregister": "layer ipcp |",
	"name list":       "list | detail",
	"bind program":    "program name | auto",
	"bind process":    "process name |",
	"bind ipcp":       "ipcp name |",
	"unbind program":  "program name |",
	"unbind process":  "process name |",
	"unbind ipcp":     "ipcp name |",
}

// exact words cannot be abbreviated.
var exact = map[string]bool{"auto": true, "detail": true, "mtu": true}

// spelling maps second spellings to the keyword that they mean.
var spelling = map[string]string{"addr_size": "addr", "eid_size": "eid", "max_ttl": "ttl", "addr-auth": "addr_auth"}

func find(t *testing.T, path string) *Node {
	t.Helper()
	n := IRM()
	for _, w := range strings.Fields(path) {
		var sub *Node
		for _, s := range n.Sub {
			if s.Word == w {
				sub = s
			}
		}
		if sub == nil {
			t.Fatalf("no node %q", path)
		}
		n = sub
	}
	return n
}

func TestEveryPrefixOfEveryWordMeansTheFirstThatItFits(t *testing.T) {
	for path, words := range order {
		n := find(t, path)
		list := strings.Fields(strings.ReplaceAll(words, "|", ""))
		for _, w := range list {
			for cut := 0; cut <= len(w); cut++ {
				prefix := w[:cut]
				want := ""
				for _, c := range list {
					if strings.HasPrefix(c, prefix) && (!exact[c] || prefix == c) {
						want = c
						break
					}
				}
				// A whole word means itself when nothing that it abbreviates
				// comes before it: none of the words is hidden so.
				if s, ok := spelling[want]; ok {
					want = s
				}
				got := ""
				if n.Leaf() {
					if k := n.match(prefix); k != nil {
						got = k.Word
					}
				} else if s := n.child(prefix); s != nil {
					got = s.Word
				}
				if got != want {
					t.Errorf("%q: %q means %q, want %q", path, prefix, got, want)
				}
			}
			if n.Leaf() {
				if k := n.match(w + "x"); k != nil {
					t.Errorf("%q: the longer word %q means %q", path, w+"x", k.Word)
				}
			} else if s := n.child(w + "x"); s != nil {
				t.Errorf("%q: the longer word %q means %q", path, w+"x", s.Word)
			}
		}
	}
}

func TestTheShortFormsOfTheSpec(t *testing.T) {
	for _, tt := range []struct{ path, short, word string }{
		{"", "i", "ipcp"}, {"", "b", "bind"}, {"", "u", "unbind"}, {"", "n", "name"}, {"", "h", "help"}, {"", "", "ipcp"},
		{"ipcp", "c", "create"}, {"ipcp", "co", "connect"}, {"ipcp", "d", "destroy"}, {"ipcp", "di", "disconnect"},
		{"ipcp", "b", "bootstrap"}, {"ipcp", "e", "enroll"}, {"ipcp", "enrol", "enroll"}, {"ipcp", "l", "list"}, {"ipcp", "h", "help"},
		{"bind", "p", "program"}, {"bind", "pr", "program"}, {"bind", "pro", "program"}, {"bind", "proc", "process"}, {"bind", "i", "ipcp"},
		{"name", "c", "create"}, {"name", "d", "destroy"}, {"name", "r", "register"}, {"name", "u", "unregister"}, {"name", "l", "list"},
		{"ipcp bootstrap", "t", "type"}, {"ipcp bootstrap", "l", "layer"}, {"ipcp bootstrap", "n", "name"}, {"ipcp bootstrap", "h", "hash"},
		{"ipcp bootstrap", "i", "ip"}, {"ipcp bootstrap", "d", "dns"}, {"ipcp bootstrap", "de", "device"}, {"ipcp bootstrap", "dev", "device"},
		{"ipcp bootstrap", "e", "ethertype"}, {"ipcp bootstrap", "ei", "eid"}, {"ipcp bootstrap", "a", "addr"}, {"ipcp bootstrap", "au", "autobind"},
		{"ipcp bootstrap", "addr_", "addr_auth"}, {"ipcp bootstrap", "addr_size", "addr"}, {"ipcp bootstrap", "max_ttl", "ttl"},
		{"ipcp bootstrap", "dht_t_re", "dht_t_refresh"}, {"ipcp bootstrap", "dht_t_e", "dht_t_expire"}, {"ipcp bootstrap", "ls_t_", "ls_t_timeo"},
		{"ipcp bootstrap", "c", "congestion"}, {"ipcp bootstrap", "tt", "ttl"}, {"ipcp bootstrap", "p", "port"}, {"ipcp bootstrap", "di", "directory"},
		{"ipcp bootstrap", "r", "routing"},
	} {
		n := find(t, tt.path)
		got := ""
		if n.Leaf() {
			got = n.match(tt.short).Word
		} else {
			got = n.child(tt.short).Word
		}
		if got != tt.word {
			t.Errorf("%s %q means %q, want %q", n.Line(), tt.short, got, tt.word)
		}
	}
}

func parse(line ...string) (*Command, error) { return Parse(IRM(), line) }

func mustParse(t *testing.T, line string) *Command {
	t.Helper()
	c, err := parse(strings.Fields(line)...)
	if err != nil {
		t.Fatalf("irm %s: %v", line, err)
	}
	return c
}

func TestKeywordsComeInAnyOrderAndTheLastCounts(t *testing.T) {
	for _, line := range []string{
		"ipcp bootstrap name a layer b type local hash SHA3_512",
		"ipcp bootstrap hash SHA3_512 type local layer b name a",
		"i b n x l y t uni h SHA3_224 n a l b t l h SHA3_512",
	} {
		c := mustParse(t, line)
		for word, want := range map[string]string{"name": "a", "layer": "b", "type": "local", "hash": "SHA3_512"} {
			if got := c.Value(word); got != want {
				t.Errorf("irm %s: %s = %q, want %q", line, word, got, want)
			}
		}
	}
	c := mustParse(t, "name register n layer a ipcp b l c i d layer a")
	if got := c.Values("layer"); !reflect.DeepEqual(got, []string{"a", "c", "a"}) {
		t.Errorf("layers %q", got)
	}
	if got := c.Values("ipcp"); !reflect.DeepEqual(got, []string{"b", "d"}) {
		t.Errorf("ipcps %q", got)
	}
}

func TestTypesOfBootstrapMayBeAbbreviated(t *testing.T) {
	for short, want := range map[string]string{"": "unicast", "u": "unicast", "uni": "unicast", "b": "broadcast", "ud": "udp4",
		"udp6": "udp6", "e": "eth-dix", "eth-l": "eth-llc", "l": "local"} {
		c, err := parse("ipcp", "bootstrap", "name", "a", "layer", "b", "type", short)
		if err != nil || c.Value("type") != want {
			t.Errorf("type %q: %v %v, want %s", short, c, err, want)
		}
	}
	if _, err := parse("ipcp", "create", "name", "a", "type", "uni"); err == nil {
		t.Error("ipcp create takes an abbreviated type")
	}
}

func TestAnObjectOfBindIsAlsoAKeyword(t *testing.T) {
	for line, want := range map[string][2]string{
		"bind program p name n":               {"program p", "n"},
		"bind pr p n n":                       {"program p", "n"},
		"bind program p name x program q n n": {"program q", "n"},
		"bind proc 12 name n":                 {"process 12", "n"},
		"bind i a n n":                        {"ipcp a", "n"},
		"unbind program p":                    {"program p", ""},
		"unbind ipcp a name n":                {"ipcp a", "n"},
	} {
		c := mustParse(t, line)
		subject := strings.Fields(want[0])
		if c.Value(subject[0]) != subject[1] || c.Value("name") != want[1] {
			t.Errorf("irm %s: %s = %q, name = %q", line, subject[0], c.Value(subject[0]), c.Value("name"))
		}
	}
}

func TestWordsAfterDashesAreArguments(t *testing.T) {
	c := mustParse(t, "bind program oping name oping auto -- --listen --json -h -- auto")
	if !c.Has("auto") || c.Options.JSON || c.Options.Help {
		t.Errorf("auto %v, options %+v", c.Has("auto"), c.Options)
	}
	if want := []string{"--listen", "--json", "-h", "--", "auto"}; !reflect.DeepEqual(c.Args, want) {
		t.Errorf("arguments %q, want %q", c.Args, want)
	}
	if c := mustParse(t, "bind program oping name oping --"); len(c.Args) != 0 || !c.Dashes {
		t.Errorf("arguments %q", c.Args)
	}
	// Before the subject they make any word a subject.
	if c := mustParse(t, "name destroy -- help"); c.Options.Help || c.Value("name") != "help" {
		t.Error("name destroy -- help does not destroy the name help")
	}
	if c := mustParse(t, "name destroy -- --json"); c.Options.JSON || c.Value("name") != "--json" {
		t.Error("name destroy -- --json does not destroy the name --json")
	}
}

func TestAFlagWithDashesMayStandBeforeTheSubject(t *testing.T) {
	for _, line := range []string{"layer graph big --dot", "layer graph --dot big", "layer graph big dot", "la g --dot -- big"} {
		if c := mustParse(t, line); !c.Has("dot") || c.Value("layer") != "big" {
			t.Errorf("irm %s: layer %q, dot %v", line, c.Value("layer"), c.Has("dot"))
		}
	}
	if c := mustParse(t, "layer graph -- --dot"); c.Has("dot") || c.Value("layer") != "--dot" {
		t.Error("a layer that is called --dot cannot be shown")
	}
	if c := mustParse(t, "layer graph dot"); c.Has("dot") || c.Value("layer") != "dot" {
		t.Error("a layer that is called dot cannot be shown")
	}
}

func TestOptionsStandAnywhere(t *testing.T) {
	for _, line := range []string{
		"--json --dir /d ipcp list name a",
		"ipcp --dir=/d list --json name a",
		"ipcp list name a --dir /d --json",
		"ipcp list name --json --dir /d a",
	} {
		c := mustParse(t, line)
		if !c.Options.JSON || c.Options.Dir != "/d" || c.Value("name") != "a" || c.Node.Path() != "ipcp list" {
			t.Errorf("irm %s: %+v %q", line, c.Options, c.Value("name"))
		}
	}
	for _, line := range []string{"ipcp list --dir", "--dir= ipcp list", "--dir -- ipcp"} {
		if _, err := parse(strings.Fields(line)...); err == nil || !strings.Contains(err.Error(), `"--dir" needs a value`) {
			t.Errorf("irm %s: %v", line, err)
		}
	}
}

func TestHelpIsOnEveryLevel(t *testing.T) {
	nodes := append([]*Node{IRM()}, IRM().Sub...)
	nodes = append(nodes, IRM().Leaves()...)
	for _, n := range nodes {
		if n.Hidden || n.IsHelp() {
			continue
		}
		path := strings.Fields(n.Path())
		for _, line := range [][]string{
			append(append([]string{}, path...), "help"),
			append(append([]string{}, path...), "-h"),
			append([]string{"--help"}, path...),
			append([]string{"help"}, path...),
		} {
			c, err := parse(line...)
			if err != nil || !c.Options.Help || c.Node.Path() != n.Path() {
				t.Errorf("irm %s: %+v %v", strings.Join(line, " "), c, err)
			}
		}
	}
	for _, line := range []string{"ipcp bootstrap name -h", "ipcp bootstrap zz -h", "zz -h", "ipcp zz -h", "help --man"} {
		if c := mustParse(t, line); !c.Options.Help {
			t.Errorf("irm %s gives no help", line)
		}
	}
}

func TestAKeywordAtTheEndOfTheLine(t *testing.T) {
	for _, n := range IRM().Leaves() {
		for _, k := range n.Keywords {
			line := strings.Fields(n.Path())
			if n.Subject != nil {
				line = append(line, value(n.Subject))
			}
			c, err := parse(append(line, k.Word)...)
			switch {
			case k.Arg == "":
				if err != nil && !strings.Contains(err.Error(), "needs") {
					t.Errorf("irm %s %s: %v", n.Path(), k.Word, err)
				}
			case n.Free != nil:
				if err != nil || c.Value(n.Free.Word) != k.Word {
					t.Errorf("irm %s %s: %v %v", n.Path(), k.Word, c, err)
				}
			default:
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("keyword %q needs a value: ", k.Word)) {
					t.Errorf("irm %s %s: %v", n.Path(), k.Word, err)
				}
			}
		}
	}
	_, err := parse("ipcp", "bootstrap", "name", "a", "hash")
	if want := `keyword "hash" needs a value: SHA3_224, SHA3_256, SHA3_384, SHA3_512`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// value gives something that a keyword takes.
func value(k *Keyword) string {
	switch {
	case len(k.Words) > 0:
		return k.Words[0]
	case k.Word == "process" || k.Word == "pid":
		return "1"
	case k.Word == "ip" || k.Word == "dns":
		return "192.0.2.1"
	case strings.HasPrefix(k.Default, "0x"):
		return k.Default
	case k.Default != "" && k.Default[0] >= '0' && k.Default[0] <= '9':
		return k.Default
	case k.Word == "count":
		return "1"
	}
	return "word"
}

func TestEveryKeywordTakesItsDefault(t *testing.T) {
	for _, n := range IRM().Leaves() {
		for _, k := range n.words() {
			if k.Arg == "" {
				continue
			}
			if _, err := k.read(n, value(k)); err != nil {
				t.Errorf("irm %s %s %s: %v", n.Path(), k.Word, value(k), err)
			}
		}
	}
}

func TestNumbersAreChecked(t *testing.T) {
	for _, tt := range []struct{ word, good, bad string }{
		{"addr", "4", "0 3 5 8 -4 x 4x +4 99999999999999999999"},
		{"eid", "8", "0 4 9 256"},
		{"ttl", "1 60 255", "0 256 -1 1.5"},
		{"port", "1 3435 65535", "0 65536"},
		{"ethertype", "a000 0xA000 0XFFFE 600 0600", "5ff 0x500 ffff 0x 10000 xyz -1"},
		{"dht_alpha", "1 10", "0 11"},
		{"dht_k", "1 20", "0 21"},
		{"dht_t_expire", "10 86400", "9 86401"},
		{"dht_t_refresh", "3 3600", "2 3601"},
		{"dht_t_replicate", "3 3600", "2 3601"},
		{"ls_t_timeo", "1 4294967295", "0 4294967296"},
		{"ls_t_update", "1", "0"},
		{"ls_t_recalc", "1", "0"},
		{"routing", "link_state link-state lfa ecmp", "Link_state ospf"},
		{"congestion", "none mb-ecn", "lfa"},
		{"directory", "DHT dht", "Dht"},
		{"addr_auth", "flat", "Flat"},
		{"hash", "SHA3_224 SHA3_512", "MD5 CRC32 sha3_256"},
		{"ip", "192.0.2.1 ::1", "zz 1.2.3 1.2.3.4.5"},
		{"dns", "192.0.2.1", "zz"},
		{"device", "eth0 123456789012345", "1234567890123456 a/b"},
	} {
		for i, list := range []string{tt.good, tt.bad} {
			for _, v := range append(strings.Fields(list), []string{}...) {
				_, err := parse("ipcp", "bootstrap", "name", "a", "layer", "b", tt.word, v)
				if (err == nil) != (i == 0) {
					t.Errorf("%s %s: %v", tt.word, v, err)
				}
			}
		}
		if _, err := parse("ipcp", "bootstrap", "name", "a", "layer", "b", tt.word, ""); err == nil {
			t.Errorf("%s takes an empty value", tt.word)
		}
	}
}

func TestNamesMayBeAnythingOf1To255Bytes(t *testing.T) {
	lines := [][]string{
		{"name", "create", "%"}, {"name", "register", "%", "layer", "x"}, {"name", "register", "x", "layer", "%"},
		{"name", "register", "x", "ipcp", "%"}, {"ipcp", "create", "type", "local", "name", "%"},
		{"ipcp", "bootstrap", "name", "x", "layer", "%"}, {"bind", "ipcp", "x", "name", "%"}, {"ipcp", "enroll", "name", "x", "dst", "%"},
	}
	good := []string{"a", " ", "a b", "*", "a*b", "ü", "名前", strings.Repeat("n", 254), strings.Repeat("n", 255), "--x", "-"}
	bad := []string{"", strings.Repeat("n", 256), strings.Repeat("ü", 128), "\xff", "a\x00b"}
	for _, line := range lines {
		for i, list := range [][]string{good, bad} {
			for _, name := range list {
				words := append([]string{}, line...)
				for j := range words {
					words[j] = strings.ReplaceAll(words[j], "%", name)
				}
				if _, err := parse(words...); (err == nil) != (i == 0) {
					t.Errorf("irm %q: %v", words, err)
				}
			}
		}
	}
}

func TestAMistakeNamesTheNextStep(t *testing.T) {
	for line, want := range map[string]string{
		"foo":                                    `"foo" is unknown after "irm"; possible: ipcp, bind, unbind`,
		"ipcpp":                                  `did you mean "ipcp"?`,
		"ipcp crate":                             `did you mean "create"?`,
		"ipcp bootsrap":                          `did you mean "bootstrap"?`,
		"ipcp create tpye local":                 `"tpye" is not a keyword of "irm ipcp create"; did you mean "type"?`,
		"ipcp create zz x":                       `possible: type, name`,
		"ipcp create name a type zz":             `keyword "type" cannot be "zz"; it can be unicast, broadcast`,
		"ipcp create name a type unicat":         `did you mean "unicast"?`,
		"ipcp create name a":                     `ipcp create needs the keyword "type"`,
		"name create":                            `name create needs <name>`,
		"name create a lb spil":                  `did you mean "spillover"? It can be round-robin, spillover`,
		"name destroy a b":                       `"b" is not a keyword of "irm name destroy"; it takes no keywords`,
		"name register a":                        `at least one of the keywords layer, ipcp`,
		"ipcp enroll name a":                     `at least one of the keywords layer, dst`,
		"bind program a name b --listen":         `put the arguments of the program after "--"`,
		"bind process abc name b":                `"abc" is not a process id`,
		"bind process 0 name b":                  `"0" is not a process id`,
		"bind program a":                         `needs the keyword "name"`,
		"bind program a name b a":                `"a" is not a keyword`,
		"ipcp connect name a dst b component zz": `keyword "component" cannot be "zz"; it can be dt, mgmt`,
		"ipcp list --jsn":                        `did you mean "--json"?`,
		"help zz":                                `"zz" is unknown after "irm"`,
		"watch kind x":                           `it can be ipcp, name, process, flow`,
		"watch count 0":                          `give a number above 0`,
		"completion tcsh":                        `it can be bash, zsh, fish`,
	} {
		_, err := parse(strings.Fields(line)...)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || e.Code != CodeFailure {
			t.Errorf("irm %s: %v, want %s", line, err, want)
		}
	}
	for line, code := range map[string]int{"": CodeNothing, "--json": CodeNothing, "ipcp": CodeFailure, "name": CodeFailure, "bind": CodeFailure, "unbind": CodeFailure} {
		_, err := parse(strings.Fields(line)...)
		var e *Error
		if !errors.As(err, &e) || e.Code != code || !e.Usage {
			t.Errorf("irm %s: %#v, want code %d and the usage", line, err, code)
		}
	}
}

func TestAKeywordThatAccumulatesHasALimit(t *testing.T) {
	line := []string{"name", "register", "n"}
	for i := range MaxMany {
		line = append(line, "layer", fmt.Sprint(i))
	}
	if _, err := parse(line...); err != nil {
		t.Fatal(err)
	}
	if _, err := parse(append(line, "layer", "one more")...); err == nil || !strings.Contains(err.Error(), "more than 128 times") {
		t.Errorf("got %v", err)
	}
}

func TestNameListTakesAPrefixOrTheOldKeyword(t *testing.T) {
	for line, want := range map[string][3]string{
		"name list":            {},
		"name list n1":         {"", "n1", ""},
		"name list list n1":    {"n1", "", ""},
		"name l l n1":          {"n1", "", ""},
		"name list l":          {"", "l", ""},
		"name list list":       {"", "list", ""},
		"name list detail":     {"", "", "y"},
		"name list -v web":     {"", "web", "y"},
		"name list web detail": {"", "web", "y"},
		"name list d":          {"", "d", ""},
	} {
		c := mustParse(t, line)
		detail := ""
		if c.Has("detail") {
			detail = "y"
		}
		if got := [3]string{c.Value("list"), c.Value("prefix"), detail}; got != want {
			t.Errorf("irm %s: %q, want %q", line, got, want)
		}
	}
	if c := mustParse(t, "ipcp show name l1"); c.Value("name") != "l1" {
		t.Errorf("ipcp show name l1 shows %q", c.Value("name"))
	}
	if c := mustParse(t, "ipcp show name"); c.Value("name") != "name" {
		t.Errorf("ipcp show name shows %q", c.Value("name"))
	}
}

func TestWildcard(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no string
	}{
		{"*", "a ab *", ""}, {"a*", "a ab a*", "b ba"}, {"*b", "b ab bb", "a ba"}, {"a*b", "ab axb axbb a*b", "a b abc"},
		{"a", "a", "aa b"}, {"*a*", "a bab", "b"}, {"a**b", "ab axb", "a"}, {"a*b*c", "abc axbxc abcbc", "acb ab"}, {"?", "?", "a"}, {"[a]", "[a]", "a"},
	} {
		for _, s := range strings.Fields(tt.yes) {
			if !Wildcard(tt.pattern, s) {
				t.Errorf("%q does not match %q", tt.pattern, s)
			}
		}
		for _, s := range strings.Fields(tt.no) {
			if Wildcard(tt.pattern, s) {
				t.Errorf("%q matches %q", tt.pattern, s)
			}
		}
	}
	if Wildcard("", "a") || !Wildcard("", "") || !Wildcard("*", "") || Wildcard("a*", "") {
		t.Error("empty texts match wrongly")
	}
	// A pattern of many stars takes no time to fail.
	if Wildcard(strings.Repeat("*a", 120), strings.Repeat("a", 119)+"b") {
		t.Error("matches")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ipcp\x1fbootstrap\x1fname\x1fa\x1flayer\x1fb\x1ftype\x1fu")
	f.Add("bind\x1fprogram\x1fa\x1fname\x1fb\x1fauto\x1f--\x1fx")
	f.Add("--json\x1f\x1f\x1f--dir\x1f/d\x1fname\x1flist\x1f-v")
	f.Add("name\x1fregister\x1f--\x1f*\x1flayer")
	root := IRM()
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, "\x1f")
		c, err := Parse(root, words)
		switch {
		case err == nil && c.Node == nil:
			t.Fatal("neither a command nor an error")
		case err == nil && !c.Options.Help && !c.Options.Version && !c.Node.Leaf():
			t.Fatalf("%q gives the object %q", words, c.Node.Line())
		case err != nil:
			var e *Error
			if !errors.As(err, &e) || e.Node == nil || e.Cause == "" && !e.Usage || e.Code == 0 {
				t.Fatalf("%q: %#v", words, err)
			}
		}
		Complete(root, words)
	})
}
