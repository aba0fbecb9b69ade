package config

import (
	"slices"
	"strings"
	"testing"

	"ouroboros/irm"
)

func TestTheSecurityOfANodeIsRead(t *testing.T) {
	f, err := Parse("t.toml", []byte(`[security]
dir = "/etc/x"
cacert = "/etc/ca"
untrusted = "/etc/between"
revoked = "/etc/revoked"
server_demand = "encryption"
client_demand = "both"
sandbox = true
`))
	want := Security{Dir: "/etc/x", CACert: "/etc/ca", Untrusted: "/etc/between", Revoked: "/etc/revoked",
		ServerDemand: irm.DemandEncryption, ClientDemand: irm.DemandBoth, Sandbox: true}
	if err != nil || f.Security != want {
		t.Errorf("%+v, %v", f, err)
	}
	for doc, want := range map[string]string{
		"[security]\ndir = \"x\"":                                            "begins with /",
		"[security]\ncacert = 1":                                             "a string",
		"[security]\nserver_demand = \"all\"":                                "none, auth, encryption or both",
		"[security]\nclient_demand = true":                                   "a demand",
		"[security]\ndir = \"/a\"\n[daemon]\nsecurity_dir = \"/a\"":          "given twice",
		"[daemon]\nsecurity_dir = \"/a\"\n[security]\ndir = \"/b\"":          "keep one of them",
		"[security]\nsandbox = 1":                                            "true or false",
		"[daemon]\nuser = \"@staff\"":                                        "expected a user",
		"[daemon]\nuser = 1":                                                 "a daemon of root becomes",
		"[name.x]\nserver_demand = \"never\"":                                "a demand",
		"[name.x]\nallow = \"alice\"":                                        "an array of strings",
		"[name.x]\nallow = []":                                               "is empty",
		"[name.x]\nallow = [\"\"]":                                           "is empty",
		"[name.x]\nallow = [" + strings.Repeat(`"a",`, irm.MaxAllow+1) + "]": "has 1025 names",
	} {
		if _, err := Parse("t.toml", []byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s does not say %q: %v", doc, want, err)
		}
	}
}

func TestTheDemandsOfANameAreRead(t *testing.T) {
	for _, doc := range []string{
		"[name.x]\nserver_demand = \"both\"\nclient_demand = \"auth\"\nallow = [\"alice\", \"bob\"]",
		"[name.x]\nsdemand = \"both\"\ncdemand = \"auth\"\nallow = [\"alice\", \"bob\"]",
	} {
		f, err := Parse("t.toml", []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		n := f.Names[0].Info
		if n.ServerDemand != irm.DemandBoth || n.ClientDemand != irm.DemandAuth || !slices.Equal(n.Allow, []string{"alice", "bob"}) {
			t.Errorf("%+v", n)
		}
	}
}
