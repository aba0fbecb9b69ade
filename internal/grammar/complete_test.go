package grammar

import (
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	for _, tt := range []struct {
		line   string // a blank at the end: a new word begins
		words  string
		source Source
	}{
		{"", "ipcp bind unbind name help flow process program status watch completion layer cert", NoSource},
		{"n", "name", NoSource},
		{"ipcp ", "create destroy bootstrap enroll connect disconnect list help show", NoSource},
		{"i de", "destroy", NoSource},
		{"ipcp create ", "type name", NoSource},
		{"ipcp create type ", "unicast broadcast local udp4 udp6 eth-llc eth-dix", NoSource},
		{"ipcp create type u", "unicast udp4 udp6", NoSource},
		{"ipcp create type local ", "name", NoSource},
		{"ipcp create type local name ", "", NoSource},
		{"ipcp destroy n ", "", IPCPs},
		{"ipcp bootstrap ls", "ls_t_timeo ls_t_update ls_t_recalc", NoSource},
		{"ipcp bootstrap autobind au", "", NoSource},
		{"ipcp bootstrap dev ", "", Devices},
		{"ipcp bootstrap routing ", "link_state lfa ecmp", NoSource},
		{"ipcp show ", "", IPCPs},
		{"ipcp show name ", "", IPCPs},
		{"ipcp show n1 ", "component", NoSource},
		{"ipcp show n1 component ", "", Components},
		{"layer ", "list graph help", NoSource},
		{"layer graph ", "", Members},
		{"layer graph big ", "dot", NoSource},
		{"layer graph --dot ", "", Members},
		{"layer graph --dot big ", "", NoSource},
		{"layer list name ", "", Layers},
		{"name register ", "", Names},
		{"name register x ", "layer ipcp", NoSource},
		{"name register x layer a layer ", "", Layers},
		{"name register x layer a ", "layer ipcp", NoSource},
		{"name list ", "list detail", Names},
		{"name create x skeypath ", "", Files},
		{"name set x sdemand ", "default none auth encryption both", NoSource},
		{"cert ", "ca issue trust encrypt kem show check revoke list help", NoSource},
		{"cert ca x algorithm P", "P-256 P-384 P-521", NoSource},
		{"cert issue x to ", "", Names},
		{"cert issue x into ", "", Dirs},
		{"cert trust ", "", Files},
		{"cert encrypt x kdf sha3", "sha3-256 sha384 sha3-384 sha3-512", NoSource},
		{"bind program ", "", Commands},
		{"bind program x ", "name auto --", NoSource},
		{"bind program x name ", "", Names},
		{"bind program x name y -- ", "", Files},
		{"unbind program ", "", Programs},
		{"bind process ", "", Processes},
		{"bind process 1 ", "name", NoSource},
		{"help ipcp cr", "create", NoSource},
		{"help name list ", "", NoSource},
		{"ipcp list --", "--json --dir --version --help", NoSource},
		{"--json ipcp list --j", "--json", NoSource},
		{"--dir ", "", Dirs},
		{"--dir /x ipcp destroy name ", "", IPCPs},
		{"completion ", "bash zsh fish", NoSource},
		{"watch kind flow kind ", "ipcp name process flow", NoSource},
		{"zz ", "", NoSource},
		{"ipcp create zz ", "", NoSource},
		{"_", "", NoSource},
	} {
		got := Complete(IRM(), strings.Split(tt.line, " "))
		var words []string
		for _, w := range got.Words {
			words = append(words, w.Word)
		}
		if strings.Join(words, " ") != tt.words || got.Source != tt.source {
			t.Errorf("irm %q: %v from source %d, want %s from %d", tt.line, words, got.Source, tt.words, tt.source)
		}
	}
	if got := Complete(IRM(), []string{"--dir=/x", "ipcp", "destroy", "name", ""}).Dir; got != "/x" {
		t.Errorf("the directory is %q", got)
	}
	for _, line := range []string{"ipcp show n1 component ", "ipcp show name n1 component ", "i sh -- n1 comp x"} {
		if got := Complete(IRM(), strings.Split(line, " ")).Of; got != "n1" {
			t.Errorf("%q asks for the components of %q", line, got)
		}
	}
	Complete(IRM(), nil)
}
