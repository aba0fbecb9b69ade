package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ouroboros/internal/netns"
	"ouroboros/test/host"
)

// tunnel starts ovpn in a namespace.
func tunnel(t *testing.T, d *host.Daemon, s *netns.Space, words ...string) *host.Process {
	t.Helper()
	return d.Go(t, nil, "/bin/ip", append([]string{"netns", "exec", s.Name, host.Bin(t) + "/ovpn"}, words...)...)
}

func needTUN(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("there is no /dev/net/tun (kernel module tun)")
	}
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("ping is not installed")
	}
}

func inside(t *testing.T, s *netns.Space, name string, words ...string) string {
	t.Helper()
	out, err := s.Command(t.Context(), name, words...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s in %s: %v\n%s", name, strings.Join(words, " "), s, err, out)
	}
	return string(out)
}

func TestOvpnIsACableBetweenTwoNamespaces(t *testing.T) {
	needTUN(t)
	a, b := netns.Empty(t), netns.Empty(t)
	d := host.Start(t)
	server := tunnel(t, d, a, "-i", "10.1.0.1/24")
	server.Out.Await(t, "Waiting for a new flow...")
	d.Bind(t, server, "tunnel")
	client := tunnel(t, d, b, "-n", "tunnel", "-i", "10.1.0.2", "-m", "255.255.255.0", "--json")
	client.Out.Await(t, `"start"`)
	server.Out.Await(t, "Starting read/write threads.")

	inside(t, b, "ping", "-c", "3", "-i", "0.2", "-W", "20", "10.1.0.1")
	inside(t, b, "ping", "-c", "1", "-s", "1472", "-M", "do", "-W", "20", "10.1.0.1")

	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Log("iperf3 is not installed: no stream through the tunnel")
	} else {
		s := a.Command(t.Context(), "iperf3", "-s", "-1", "-B", "10.1.0.1", "--forceflush")
		listening := host.NewOutput()
		s.Stdout, s.Stderr = listening, listening
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		listening.Await(t, "Server listening")
		var result struct {
			End struct {
				Received struct {
					Bytes float64 `json:"bytes"`
				} `json:"sum_received"`
			} `json:"end"`
		}
		out := inside(t, b, "iperf3", "-c", "10.1.0.1", "-n", "64M", "-J")
		if err := json.Unmarshal([]byte(out), &result); err != nil || result.End.Received.Bytes < 60e6 {
			t.Errorf("%v bytes came through, %v", result.End.Received.Bytes, err)
		}
		s.Wait()
	}

	// The server goes on after a client.
	client.Cmd.Process.Signal(os.Interrupt)
	client.Wait(t)
	client.Out.Await(t, `"interrupted"`)
	server.Out.Await(t, "Flow ended: ")
	again := tunnel(t, d, b, "-n", "tunnel", "-i", "10.1.0.3/24")
	again.Out.Await(t, "Starting read/write threads.")
	inside(t, b, "ping", "-c", "1", "-W", "20", "10.1.0.1")

	// The client does not outlive the server.
	server.Kill()
	if code := again.Wait(t); code != 1 {
		t.Errorf("the client of a killed server: exit %d\n%s", code, again.Out)
	}
}

func TestOvpnNeedsNoRootOnADeviceMadeBeforehand(t *testing.T) {
	needTUN(t)
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("setpriv is not installed")
	}
	a, b := netns.Empty(t), netns.Empty(t)
	place, err := os.MkdirTemp("", "ouroboros-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(place) })
	for _, dir := range []string{place, host.Bin(t)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := host.StartIn(t, place)
	// Some machines keep the file from users; here it is as it comes.
	node := filepath.Join(place, "tun")
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
		t.Skipf("the file of the TUN devices cannot be made here: %v", err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		t.Fatal(err)
	}
	for i, s := range []*netns.Space{a, b} {
		for _, words := range []string{
			"tuntap add dev ovpn0 mode tun user 65534",
			"address add 10.1.0." + string('1'+rune(i)) + "/24 dev ovpn0",
			"link set ovpn0 mtu 1300 up",
		} {
			if err := s.IP(strings.Fields(words)...); err != nil {
				t.Fatal(err)
			}
		}
	}
	stranger := func(s *netns.Space, words ...string) *host.Process {
		return d.Go(t, nil, "/bin/ip", append([]string{"netns", "exec", s.Name, "/bin/sh", "-c",
			`mount --bind "$0" /dev/net/tun && exec setpriv --reuid 65534 --clear-groups "$@"`, node,
			host.Bin(t) + "/ovpn"}, words...)...)
	}
	server := stranger(a, "--device", "ovpn0")
	server.Out.Await(t, "Waiting for a new flow...")
	d.Bind(t, server, "tunnel")
	client := stranger(b, "--device", "ovpn0", "-n", "tunnel")
	client.Out.Await(t, "Starting read/write threads.")
	inside(t, b, "ping", "-c", "2", "-i", "0.2", "-W", "20", "10.1.0.1")

	for _, words := range [][]string{{"-i", "10.2.0.1/24"}, {"--device", "other", "-i", "10.2.0.1/24"}} {
		refused := stranger(a, words...)
		if code := refused.Wait(t); code != 1 || !strings.Contains(refused.Out.String(), "ip tuntap add dev") {
			t.Errorf("%v: exit %d\n%s", words, code, refused.Out)
		}
	}
	busy := stranger(a, "--device", "ovpn0")
	if code := busy.Wait(t); code != 1 || !strings.Contains(busy.Out.String(), "another program uses") {
		t.Errorf("a device in use: exit %d\n%s", code, busy.Out)
	}
}
