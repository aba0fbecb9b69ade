package config_test

import (
	"errors"
	"strings"
	"testing"

	"ouroboros/internal/config"
	"ouroboros/irm"
	"ouroboros/stack"
)

func node(t *testing.T) *stack.Node {
	t.Helper()
	n, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func parse(t *testing.T, doc string) *config.File {
	t.Helper()
	f, err := config.Parse("t.toml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestANameKeepsItsPolicyThoughAnIPCPRegistersItFirst(t *testing.T) {
	n := node(t)
	if _, err := config.Apply(t.Context(), n, parse(t, `
[local.l1]
bootstrap = "home"
reg = ["a", "b"]
[name.a]
lb = "round-robin"
`)); err != nil {
		t.Fatal(err)
	}
	names, err := n.ListNames(t.Context())
	if err != nil || len(names) != 2 {
		t.Fatalf("%+v, %v", names, err)
	}
	for _, i := range names {
		if want := map[string]irm.Balance{"a": irm.RoundRobin, "b": irm.Spill}[i.Name]; i.Balance != want {
			t.Errorf("%q is %v", i.Name, i.Balance)
		}
		if len(i.Registrations) != 1 || i.Registrations[0].Layer != "home" {
			t.Errorf("%q is registered in %+v", i.Name, i.Registrations)
		}
	}
}

func TestAConfigurationCanBeAppliedAgain(t *testing.T) {
	n := node(t)
	f := parse(t, "[name.a]\nprog = [\"/bin/sh\"]\n[local.l1]\nbootstrap = \"home\"\nreg = [\"a\"]\n[local.l2]\n")
	for range 2 {
		if _, err := config.Apply(t.Context(), n, f); err != nil {
			t.Fatal(err)
		}
	}
	if ipcps, err := n.ListIPCPs(t.Context()); err != nil || len(ipcps) != 2 {
		t.Errorf("%+v, %v", ipcps, err)
	}
}

func TestTheFirstFailureStopsWithItsPlace(t *testing.T) {
	for _, c := range []struct{ doc, place, text string }{
		{"[name.a]\nprog = [\"/bin/sh\", \"/no/such/program\"]\nargs = [\"\", \"\"]\n[local.l1]\n", "t.toml:2:20: ", "cannot bind the program \"/no/such/program\""},
		{"[local.l1]\nbootstrap = \"home\"\n[local.l2]\n[udp4.u]\nbootstrap = \"x\"\nip = \"192.0.2.1\"\n[local.l3]\n", "t.toml:5:13: ", "[udp4.u]: cannot bootstrap the layer"},
		{"[name.a]\nserver_crt_file = \"/no/such/file\"\n", "t.toml:2:19: ", "cannot use the file \"/no/such/file\": no such file or directory"},
	} {
		n := node(t)
		_, err := config.Apply(t.Context(), n, parse(t, c.doc))
		var e *config.Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Error(), c.place) || !strings.Contains(e.Error(), c.text) {
			t.Errorf("%q gives %v", c.doc, err)
		}
		ipcps, _ := n.ListIPCPs(t.Context())
		for _, i := range ipcps {
			if i.Name == "l3" || strings.HasPrefix(c.doc, "[name.a]") {
				t.Errorf("%q goes on after the failure: %+v", c.doc, ipcps)
			}
		}
	}
}

func TestAnIPCPThatIsAlreadyElsewhereIsNotTaken(t *testing.T) {
	n := node(t)
	if _, err := config.Apply(t.Context(), n, parse(t, "[local.l1]\nbootstrap = \"home\"\n")); err != nil {
		t.Fatal(err)
	}
	_, err := config.Apply(t.Context(), n, parse(t, "[local.l1]\nbootstrap = \"work\"\n"))
	if err == nil || !strings.Contains(err.Error(), `it exists and is in the layer "home"`) {
		t.Error(err)
	}
	_, err = config.Apply(t.Context(), n, parse(t, "[eth-llc.l1]\n"))
	if err == nil || !strings.Contains(err.Error(), "t.toml:1:10: ") {
		t.Error(err)
	}
}
