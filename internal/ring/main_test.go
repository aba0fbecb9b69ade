package ring

import (
	"os"
	"testing"

	"ouroboros/internal/leak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(child(role))
	}
	leak.Main(m)
}
