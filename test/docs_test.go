package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ouroboros/internal/netns"
	"ouroboros/test/host"
)

var (
	shBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
)

// runBlocks runs all shell blocks of a page in one shell, which stops at the
// first command that fails.
func runBlocks(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(host.Root(), page))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n")
	blocks := shBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatalf("%s has no shell blocks", page)
	}
	for _, b := range blocks {
		script.WriteString(b[1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	words := []string{"bash", "-c", script.String()}
	if os.Getuid() == 0 && exec.Command("unshare", "-n", "ip", "link", "set", "lo", "up").Run() == nil {
		// In a network of its own, so that other tests have other ports.
		words = append([]string{"unshare", "-n", "bash", "-c", `ip link set lo up && exec "$@"`, "bash"}, words...)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.WaitDelay = time.Second // its children may hold the pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Dir = host.Root()
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", page, err, out)
	}
	return string(out)
}

func TestReadmeTourRunsAsItStands(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the tour uses curl, which is not installed")
	}
	out := runBlocks(t, "README.md")
	for _, want := range []string{
		"local-1", "home", // the list of IPC processes
		"3 packets transmitted, 3 received", // ping
		"udp-1",                             // the second host
		"certificate of far, issued by home",
		`"oping"`,                // JSON
		"nobody knows that name", // the error
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the tour does not show %q:\n%s", want, out)
		}
	}
}

func TestTutorialRunsAsItStands(t *testing.T) {
	runBlocks(t, "docs/tutorial.md")
}

func TestTutorialOfTwoHostsRunsAsItStands(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the tutorial uses curl, which is not installed")
	}
	out := runBlocks(t, "docs/two-hosts.md")
	if n := strings.Count(out, "3 packets transmitted, 3 received"); n != 2 {
		t.Errorf("%d of 2 clients had all replies:\n%s", n, out)
	}
	for _, want := range []string{"exit code 255", "exit code 1", "7862c6fec5ecaef4aa2e3934725e23b3", "directory", "internet"} {
		if !strings.Contains(out, want) {
			t.Errorf("the tutorial does not show %q:\n%s", want, out)
		}
	}
}

func TestTutorialOfTheEthernetRunsAsItStands(t *testing.T) {
	needTUN(t)
	s := netns.Empty(t) // skips where namespaces cannot be made
	s.Close()
	for _, name := range []string{"left", "right"} {
		if _, err := os.Stat("/run/netns/" + name); err == nil {
			t.Skipf("a network namespace %q exists already", name)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "delete", name).Run() })
	}
	out := runBlocks(t, "docs/ethernet.md")
	for _, want := range []string{"3 packets transmitted, 3 received, 0 out-of-order", "20 packets transmitted, 20 received", "3 packets transmitted, 3 received, 0% packet loss"} {
		if !strings.Contains(out, want) {
			t.Errorf("the tutorial does not show %q:\n%s", want, out)
		}
	}
}

func TestThePageOfNetworksRunsAsItStands(t *testing.T) {
	out := runBlocks(t, "docs/network.md")
	if n := strings.Count(out, "3 packets transmitted, 3 received"); n != 2 {
		t.Errorf("%d of 2 clients had all replies:\n%s", n, out)
	}
	for _, want := range []string{"net: 3 members, 3 links", "graph ", "30 packets transmitted"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page does not show %q:\n%s", want, out)
		}
	}
}

func TestThePageOfBroadcastLayersRunsAsItStands(t *testing.T) {
	out := runBlocks(t, "docs/broadcast.md")
	for want, times := range map[string]int{"hello, all": 3, "still once": 3, "the other way round": 1} {
		if n := strings.Count(out, want); n != times {
			t.Errorf("%q is heard %d times, want %d:\n%s", want, n, times, out)
		}
	}
}

func TestThePageOfEncryptionRunsAsItStands(t *testing.T) {
	out := runBlocks(t, "docs/encryption.md")
	if n := strings.Count(out, " received, "); n != 4 {
		t.Errorf("%d of 4 clients had replies:\n%s", n, out)
	}
	for _, want := range []string{
		"aes-256-gcm, client alice, server vault", // the table of flows
		`"exchange": "X25519MLKEM768"`,            // and its JSON
		"Failed to allocate flow: -1008",
		"weaker than the X25519", // the server's log
		"Failed to allocate flow: -1009",
		"revoked: the certificate of alice",
		"ok     ", "wrong  ",
		"trusts no authority",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page does not show %q:\n%s", want, out)
		}
	}
}

func TestGoOfThePagesIsInTheExamples(t *testing.T) {
	var sources strings.Builder
	files, _ := filepath.Glob(filepath.Join(host.Root(), "examples", "*", "*.go"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			sources.WriteString(strings.TrimSpace(line) + "\n")
		}
	}
	for _, page := range []string{"README.md", "docs/tutorial.md"} {
		text, err := os.ReadFile(filepath.Join(host.Root(), page))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range goBlock.FindAllStringSubmatch(string(text), -1) {
			var want strings.Builder
			for line := range strings.Lines(b[1]) {
				want.WriteString(strings.TrimSpace(line) + "\n")
			}
			if !strings.Contains(sources.String(), want.String()) {
				t.Errorf("%s shows Go that no example has:\n%s", page, b[1])
			}
		}
	}
}

func TestPagesLinkOnlyToWhatExists(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	pages, _ := filepath.Glob(filepath.Join(host.Root(), "docs", "*.md"))
	more, _ := filepath.Glob(filepath.Join(host.Root(), "docs", "*", "*.md"))
	pages = append(append(pages, more...), filepath.Join(host.Root(), "README.md"))
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}
