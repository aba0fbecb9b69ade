package cli

import (
	"errors"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(asIRM) != "" {
		os.Exit(actAsIRM())
	}
	os.Exit(m.Run())
}
func populated(string) (Service, error) { return nil, errors.New("x") }
func newNode(t *testing.T) Service      { t.Skip(); return nil }
