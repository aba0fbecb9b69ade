package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ouroboros/irm"
)

// pair describes two hosts in one layer that routes and one that broadcasts,
// over UDP on this machine: the first bootstraps, the second enrols.
func pair(t *testing.T, dirs [2]string) (configs [2]string) {
	pid := os.Getpid()
	addr := func(n int) string { return fmt.Sprintf("127.%d.%d.%d", 1+pid>>16&0x3f, pid>>8&0xff, n+2*(pid&0x3f)) }
	hosts := write(t, filepath.Join(dirs[0], "hosts"), addr(1)+" n1 big b1 all\n"+addr(2)+" n2 b2\n")
	os.Chmod(hosts, 0o644)
	for n, part := range []string{`
reg = ["n1", "big", "b1", "all"]
[unicast.n1]
bootstrap = "big"
autobind = true
[broadcast.b1]
bootstrap = "all"
autobind = true
`, `
[unicast.n2]
enrol = "big"
autobind = true
conn = ["n1"]
[broadcast.b2]
enrol = "all"
conn = ["b1"]
`} {
		configs[n] = write(t, filepath.Join(dirs[n], "irmd.toml"), fmt.Sprintf(
			"[daemon]\nstate = \"keep\"\nstate_file = %q\n[udp4.u]\nbootstrap = \"net\"\nip = %q\nhosts = %q%s",
			filepath.Join(dirs[n], "state"), addr(n+1), hosts, part))
	}
	return configs
}

// linked waits until the host has a link to its neighbour in both layers.
func linked(t *testing.T, c *irm.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen string
	for ctx.Err() == nil {
		seen = ""
		all, err := c.ListIPCPs(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			shown, err := c.ShowIPCP(ctx, i.PID)
			if err != nil {
				t.Fatal(err)
			}
			switch i.Type {
			case irm.Unicast:
				routing, _ := shown["linkstate"].(map[string]any)
				if routes, _ := routing["routes"].([]any); len(routes) > 0 {
					seen += "big "
				}
			case irm.Broadcast:
				forwarding, _ := shown["forwarding"].(map[string]any)
				list, _ := forwarding["neighbours"].([]any)
				for _, n := range list {
					if m, _ := n.(map[string]any); m["state"] == "forwarding" {
						seen += "all "
					}
				}
			}
		}
		if strings.Contains(seen, "big") && strings.Contains(seen, "all") {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	t.Fatalf("linked are only: %q", seen)
}

func TestADaemonThatStartsBeforeItsNeighbourFindsItLaterAndAgain(t *testing.T) {
	dirs := [2]string{shortDir(t), shortDir(t)}
	configs := pair(t, dirs)
	second := start(t, dirs[1], nil, "--stdout", "--config", configs[1]).ready(t)
	second.printed(t, "not all neighbours of the configuration can be reached yet")
	first := start(t, dirs[0], nil, "--stdout", "--config", configs[0]).ready(t)
	linked(t, second.irm(t))
	linked(t, first.irm(t))

	// It comes back with what it kept, and connects once.
	second.signal(t, os.Interrupt)
	second.exit(t)
	second = start(t, dirs[1], nil, "--stdout", "--config", configs[1]).ready(t)
	linked(t, second.irm(t))
	if n := strings.Count(second.out.String(), "INFO  connected ipcp="); n > 3 {
		t.Errorf("it connected %d times", n)
	}
	for _, c := range []*child{first, second} {
		c.signal(t, os.Interrupt)
		if code := c.exit(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestALayerOfAnotherTypeIsAFailureWithItsPlace(t *testing.T) {
	dirs := [2]string{shortDir(t), shortDir(t)}
	configs := pair(t, dirs)
	start(t, dirs[0], nil, "--config", configs[0]).ready(t)
	text, err := os.ReadFile(configs[1])
	if err != nil {
		t.Fatal(err)
	}
	wrong := write(t, configs[1], strings.Replace(string(text), `enrol = "big"`, `enrol = "all"`, 1))
	c := start(t, dirs[1], nil, "--stdout", "--config", wrong)
	if code := c.exit(t); code == 0 {
		t.Error("it ended well")
	}
	for _, want := range []string{wrong + ":9:9", `[unicast.n2]: cannot enrol with \"all\"`} {
		if !strings.Contains(c.out.String(), want) {
			t.Errorf("it does not say %s", want)
		}
	}
}
