package main

/*
#include <stdlib.h>
*/
import "C"

import (
	"sync"

	"ouroboros"
)

// current is the connection of the process to its daemon.
var current struct {
	mu     sync.Mutex
	dir    string
	client *ouroboros.Client
}

// client gives the connection, and makes it at first use. After a failure, or
// when the daemon has ended, the next call makes a new one.
func client(dir string) (*ouroboros.Client, error) {
	current.mu.Lock()
	defer current.mu.Unlock()
	if c := current.client; c != nil && !c.Ended() && current.dir == dir {
		return c, nil
	}
	c, err := ouroboros.Open(dir)
	if err != nil {
		return nil, err
	}
	current.client, current.dir = c, dir
	return c, nil
}

// runtimeDir is where the program says that the daemon lives; empty means that
// it does not say. The environment of the Go runtime is that of the start of
// the process: what the program has set since then only C sees.
func runtimeDir() string { return C.GoString(C.getenv(runtimeVariable)) }

var runtimeVariable = C.CString("OUROBOROS_RUNTIME_DIR")
