package ctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ouroboros/test/host"
)

// Each program holds the sentences of one part of the interface.
func TestCallsDoWhatTheInterfaceSays(t *testing.T) {
	for _, name := range []string{
		"layout", "flows", "events", "irm", "cep", "aio", "threads", "fork", "signals", "limits",
	} {
		t.Run(name, func(t *testing.T) {
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

func TestAProgramWithoutADaemonIsToldSo(t *testing.T) {
	d := host.Start(t)
	program := compile(t, "cc", source("alone"))
	d.Kill()
	run(t, d, program)
}

func TestFlowsEndWithTheirProcess(t *testing.T) {
	d := host.Start(t)
	program := compile(t, "cc", source("exit"))
	for _, how := range []string{"exit", "interrupt", "kill", "_exit"} {
		t.Run(how, func(t *testing.T) { run(t, d, program, how) })
	}
}

// The long form: OUROBOROS_SOAK=1.
func TestSoak(t *testing.T) {
	rounds := "2000"
	if os.Getenv("OUROBOROS_SOAK") != "" {
		rounds = "100000"
	}
	run(t, host.Start(t), compile(t, "cc", source("soak")), rounds)
}
