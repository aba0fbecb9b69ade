package host

import (
	"os"
	"strings"
	"sync"
	"testing"

	"ouroboros/internal/netns"
)

// quantum is whether the installed C implementation has the algorithms that stand
// against quantum computers.
var quantum struct {
	sync.Mutex
	asked bool
	lacks string // "" = it has them
}

// NeedQuantum skips a test for which the C implementation must have ML-KEM, ML-DSA
// and SLH-DSA. Whether it has depends on the library that it was built with and
// on the one that it finds, so it is asked: two of its own processes are to have a
// flow with such a key exchange. What carries ML-KEM has the others, too.
func NeedQuantum(t testing.TB) {
	t.Helper()
	quantum.Lock()
	defer quantum.Unlock()
	if !quantum.asked {
		space := netns.Empty(t)
		conf := []byte("kex=ML-KEM-512\n")
		r := StartReference(t, space, SecurityFile{"client/oping/enc.conf", conf}, SecurityFile{"server/oping/enc.conf", conf})
		r.OK(t, "irm", "ipcp", "bootstrap", "name", "l1", "type", "local", "layer", "home")
		p := r.Go(t, nil, "oping", "--listen")
		r.Bind(t, p, "oping")
		r.OK(t, "irm", "name", "register", "oping", "layer", "home")
		out := r.Run(t, "oping", "-n", "oping", "-c", "1")
		r.Kill()
		switch text := out.Stdout + out.Stderr; {
		case strings.Contains(text, "Failed to allocate flow: -9."): // it sends nothing
			quantum.lacks = text
		case !strings.Contains(text, " 1 received"):
			t.Fatalf("whether the C implementation has ML-KEM cannot be told: exit %d\n%s", out.Code, text)
		}
		quantum.asked = true
	}
	if quantum.lacks != "" {
		t.Skipf("the C implementation in %s has no ML-KEM, for which it must be built with OpenSSL 3.5 or newer; it says: %s",
			os.Getenv(ReferenceVariable), strings.TrimSpace(quantum.lacks))
	}
}
