package seal

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Where a cipher may not be used, a flow is refused and the program goes on.
func TestACipherThatMayNotBeUsedIsAnError(t *testing.T) {
	const only = "fips140=only"
	if os.Getenv("GODEBUG") != only {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.v", "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "GODEBUG="+only)
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "not supported") {
			t.Skipf("%s", out)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if !fips140.Enabled() {
		t.Skip("not supported here")
	}
	for _, c := range all {
		s, err := New(Config{Cipher: c, Key: &testKey})
		if err != nil {
			t.Logf("%v: %v", c, err)
			continue
		}
		if got := sealed(s, "secret"); strings.Contains(string(got), "secret") {
			t.Errorf("%v: in the clear", c)
		}
		s.Close()
	}
}
