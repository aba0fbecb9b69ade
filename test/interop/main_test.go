package interop

import (
	"os"
	"testing"

	"ouroboros/test/host"
)

// soak asks for the long forms of tests.
var soak = os.Getenv("OUROBOROS_SOAK")

func TestMain(m *testing.M) {
	if role := os.Getenv("OUROBOROS_TEST_ROLE"); role != "" {
		os.Exit(play(role))
	}
	os.Exit(host.Main(m))
}
