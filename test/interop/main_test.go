package interop

import (
	"os"
	"testing"

	"ouroboros/test/host"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("OUROBOROS_TEST_ROLE"); role != "" {
		os.Exit(play(role))
	}
	os.Exit(host.Main(m))
}
