package ctest

import (
	"os/exec"
	"path/filepath"
	"testing"

	"ouroboros/test/host"
)

// Each program holds the sentences of one part of the interface.
func TestCallsDoWhatTheInterfaceSays(t *testing.T) {
	for _, name := range []string{"layout", "flows", "events"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, host.Start(t), compile(t, "cc", source(name)))
		})
	}
}

func TestHeadersAreThoseOfC99AndCPlusPlus(t *testing.T) {
	library(t)
	headers := filepath.Join(host.Root(), "include")
	for _, h := range []string{"dev", "fccntl", "fqueue", "irm", "qos", "name", "ipcp", "errno", "cep", "proto", "cdefs", "version", "ouro"} {
		for _, c := range [][]string{{"cc", "-std=c99", "-x", "c"}, {"c++", "-std=c++11", "-x", "c++"}} {
			if _, err := exec.LookPath(c[0]); err != nil {
				t.Logf("skipped without %s", c[0])
				continue
			}
			args := append(c[1:], "-Wall", "-Wextra", "-Wno-unused-const-variable", "-Werror", "-fsyntax-only", "-I"+headers,
				"-include", "ouroboros/"+h+".h", "/dev/null")
			if out, err := shell(t, "", c[0], args...); err != nil {
				t.Errorf("%s.h with %s: %v\n%s", h, c[1], err, out)
			}
		}
	}
}
