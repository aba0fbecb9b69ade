package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
)

// nobody is a finder that knows no name.
type nobody struct{}

func (nobody) String() string { return "nobody" }
func (nobody) Find(context.Context, string) ([]netip.Addr, time.Duration, error) {
	return nil, 0, errno.New(errno.NameError, "nobody knows")
}

func TestTheHostsFileIsReadAgainWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	h4 := newHosts(path, irm.UDP4, nobody{}, slog.New(slog.DiscardHandler))
	h6 := newHosts(path, irm.UDP6, nobody{}, slog.New(slog.DiscardHandler))
	find := func(h *hosts, name string) string {
		addrs, _, err := h.Find(t.Context(), dnsName(hash.Sum(irm.MD5, name)))
		if err != nil {
			if !errors.Is(err, errno.NameError) {
				t.Errorf("%s: %v", name, err)
			}
			return err.Error()
		}
		return fmt.Sprint(addrs)
	}
	if got := find(h4, "oping"); !strings.Contains(got, "no such file") || !strings.Contains(got, "mend the file") {
		t.Errorf("without a file: %s", got)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("# a comment\n\n10.0.0.2 oping  oecho # two names\nfd00::2\toping\n10.0.0.3 OPING oping\r\n" +
		"10.0.0.4 " + strings.ToUpper(dnsName(hash.Sum(irm.MD5, "hashed"))) + "\n::ffff:10.0.0.5 mapped\n")
	for name, want := range map[string]string{
		"oping": "[10.0.0.2 10.0.0.3]", "oecho": "[10.0.0.2]", "OPING": "[10.0.0.3]",
		"hashed": "[10.0.0.4]", "mapped": "[10.0.0.5]",
	} {
		if got := find(h4, name); got != want {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
	}
	if got := find(h6, "oping"); got != "[fd00::2]" {
		t.Errorf("oping is at %s", got)
	}
	if got := find(h4, "other"); !strings.Contains(got, "ADDRESS NAME") {
		t.Errorf("a name that is not there: %s", got)
	}
	write("10.0.0.6 oping\nnonsense here\n10.0.0.7\n10.0.0.8 other")
	if got := find(h4, "oping"); got != "[10.0.0.6]" {
		t.Errorf("after a change oping is at %s", got)
	}
	if got := find(h4, "other"); got != "[10.0.0.8]" {
		t.Errorf("after a line that is wrong: %s", got)
	}
	if got := find(h4, "oecho"); !strings.Contains(got, "line 2") {
		t.Errorf("a name that is not there beside a line that is wrong: %s", got)
	}
	os.Remove(path)
	if got := find(h4, "oping"); got != "[10.0.0.6]" {
		t.Errorf("without the file what was read last is forgotten: %s", got)
	}
}

func FuzzParseHosts(f *testing.F) {
	f.Add([]byte("10.0.0.1 a b # c\nfd00::1 x\n"), true)
	f.Fuzz(func(t *testing.T, text []byte, v6 bool) {
		names, _ := parseHosts(text, v6)
		for name, addrs := range names {
			if !isDigest(name) || len(addrs) == 0 {
				t.Errorf("%q: %v", name, addrs)
			}
			for _, a := range addrs {
				if a.Is6() != v6 {
					t.Errorf("%v in the other family", a)
				}
			}
		}
	})
}
