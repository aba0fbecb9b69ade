package test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ouroboros/internal/cert"
	"ouroboros/internal/netns"
	"ouroboros/irm"
	"ouroboros/test/host"
)

const nobody = 65534

// public makes a directory that everybody can look into, with the built
// commands in reach.
func public(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can act as another user")
	}
	dir, err := os.MkdirTemp("", "ouroboros-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{dir, host.Bin(t)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// as gives an error when a command fails as another user.
func as(uid uint32, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = "/"
	return cmd.Run()
}

// statusOf reads fields of a process.
func statusOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		fields[k] = strings.Join(strings.Fields(v), " ")
	}
	return fields
}

// A daemon that root has started, and that has become another user, has frames
// of Ethernet and nothing else of root; and neither have its programs.
func TestADaemonOfRootBecomesAnotherUser(t *testing.T) {
	place := public(t)
	space, _ := netns.Pair(t)
	sec := cert.Dir(filepath.Join(place, "security"))
	config := filepath.Join(place, "irmd.toml")
	text := fmt.Sprintf("[daemon]\nstate = \"keep\"\nstate_file = %q\nuser = \"nobody\"\n[security]\ndir = %q\nsandbox = false\n",
		filepath.Join(place, "state", "state.json"), sec)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d := host.StartAt(t, space, "--config", config)

	id := strconv.Itoa(nobody)
	pid, err := os.ReadFile(filepath.Join(d.Dir, "irmd.lock"))
	if err != nil {
		t.Fatal(err)
	}
	irmd, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatal(err)
	}
	s := statusOf(t, irmd)
	four := strings.Join([]string{id, id, id, id}, " ")
	if s["Uid"] != four || s["Gid"] != four || s["CapEff"] != "0000000000002000" || s["CapBnd"] != s["CapEff"] || s["NoNewPrivs"] != "1" {
		t.Errorf("the daemon has %+v", s)
	}

	// It does what a daemon of root does on an Ethernet.
	cfg := irm.NewConfig(irm.EthDIX, "lan")
	cfg.Eth.Device = netns.Dev
	at := &site{name: "here", Daemon: d}
	at.bootstrap(t, "e", cfg)

	// What root has bound is started as its own user, without its right.
	oping := filepath.Join(host.Bin(t), "oping")
	d.OK(t, "irm", "bind", "program", oping, "name", "oping", "auto", "--", "--listen", "--quiet")
	if out := d.Run(t, "oping", "-n", "oping", "-c", "1", "-i", "10ms"); out.Code != 0 {
		t.Fatalf("%s%s", out.Stdout, out.Stderr)
	}
	procs, err := d.Irm.ListProcesses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	started := 0
	for _, p := range procs {
		if !p.Auto {
			continue
		}
		started++
		s := statusOf(t, p.PID)
		if s["Uid"] != four || s["CapEff"] != "0000000000000000" || s["CapPrm"] != s["CapEff"] || s["CapAmb"] != s["CapEff"] {
			t.Errorf("the program has %+v", s)
		}
	}
	if started != 1 {
		t.Errorf("%d programs were started: %+v", started, procs)
	}

	// Its memory is closed to those of its user, its state to all others.
	for _, path := range []string{"exe", "fd", "environ", "maps", "mem"} {
		if as(nobody, "ls", "-l", fmt.Sprintf("/proc/%d/%s/", irmd, path)) == nil || as(nobody, "cat", fmt.Sprintf("/proc/%d/%s", irmd, path)) == nil {
			t.Errorf("another process of the user sees %s of the daemon", path)
		}
	}
	if err := as(nobody+1, "cat", filepath.Join(place, "state", "state.json")); err == nil {
		t.Error("others can read the state")
	}

	// A key is root's: the daemon reads it when its group may, and says so when
	// it may not.
	if _, err := sec.MakeAuthority("home", cert.Options{}); err != nil {
		t.Fatal(err)
	}
	made, err := sec.Issue(cert.Request{Name: "oping"})
	if err != nil {
		t.Fatal(err)
	}
	problems := func() string {
		names, err := d.Irm.ListNames(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names[0].Problems, "\n")
	}
	if p := problems(); !strings.Contains(p, "key.pem cannot be read") || !strings.Contains(p, "let the user that the daemon runs as read it") {
		t.Errorf("with a key of root alone: %q", p)
	}
	if err := os.Chown(string(sec), 0, nobody); err != nil {
		t.Fatal(err)
	}
	if _, err := sec.Issue(cert.Request{Name: "oping", Options: cert.Options{Replace: true}}); err != nil {
		t.Fatal(err)
	}
	if p := problems(); p != "" {
		t.Errorf("with a key for its group: %q", p)
	}
	if fi, err := os.Stat(made.Files[1]); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("the key has the mode %v, %v", fi.Mode(), err)
	}
}

// What a daemon and irm cert make is for those that it is for.
func TestFilesAreClosedToOthers(t *testing.T) {
	place := public(t)
	sec := cert.Dir(filepath.Join(place, "security"))
	config := filepath.Join(place, "irmd.toml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf("[daemon]\nstate = \"keep\"\n[security]\ndir = %q\n", sec)), 0o644); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(place, "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	d := host.StartIn(t, run, "--config", config)
	d.OK(t, "irm", "name", "create", "web", "sdemand", "both", "allow", "alice")
	for _, line := range []string{"ca home", "issue web", "issue alice to web", "encrypt web", "encrypt web client", "kem web", "kem pem kex ML-KEM-768"} {
		d.OK(t, "irm", append(append([]string{"cert"}, strings.Fields(line)...), "dir", string(sec))...)
	}
	host.Eventually(t, "the state is saved", func() bool {
		_, err := os.Stat(filepath.Join(run, "state.json"))
		return err == nil
	})
	secret := regexp.MustCompile(`key|/ca/|state\.json`)
	files := 0
	err := filepath.WalkDir(place, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeSocket == 0 && info.Mode().Perm()&0o022 != 0 {
			t.Errorf("others can write %s: %v", path, info.Mode())
		}
		if e.IsDir() || info.Mode()&os.ModeSocket != 0 {
			return nil
		}
		files++
		err = as(nobody, "cat", path)
		if hidden := secret.MatchString(path); hidden != (err != nil) {
			t.Errorf("another user reads %s: %v", path, err)
		}
		if err := as(nobody, "sh", "-c", `echo x >> "$0"`, path); err == nil {
			t.Errorf("another user writes %s", path)
		}
		return nil
	})
	if err != nil || files < 14 {
		t.Errorf("%d files, %v", files, err)
	}
	for _, dir := range []string{run, string(sec), filepath.Join(string(sec), "cacert"), filepath.Join(string(sec), "server", "web")} {
		if err := as(nobody, "touch", filepath.Join(dir, "new")); err == nil {
			t.Errorf("another user writes to %s", dir)
		}
	}
}

func TestADaemonInASandboxServes(t *testing.T) {
	d := host.Start(t, "--sandbox")
	if strings.Contains(d.Log().String(), "there is no sandbox") {
		t.Skip("this kernel has no sandbox")
	}
	d.Log().Await(t, "irmd is in a sandbox")
	at := &site{name: "here", Daemon: d}
	at.bootstrap(t, "l", irm.NewConfig(irm.Local, "home"))
	at.serve(t, "echo", "home", echoes)
	at.talk(t, "echo", nil)
	oping := filepath.Join(host.Bin(t), "oping")
	d.OK(t, "irm", "bind", "program", oping, "name", "oping", "auto", "--", "--listen")
	if out := d.Run(t, "oping", "-n", "oping", "-c", "1"); out.Code == 0 || !strings.Contains(out.Stdout+out.Stderr, "in a sandbox, and starts no programs") {
		t.Errorf("%s%s", out.Stdout, out.Stderr)
	}
}

func TestTheSystemsUnitIsTight(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	b, err := os.ReadFile(filepath.Join(host.Root(), "packaging", "irmd.service.in"))
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "irmd.service")
	if err := os.WriteFile(unit, []byte(strings.NewReplacer("@sbindir@", host.Bin(t), "@sysconfdir@", "/etc").Replace(string(b))), 0o644); err != nil {
		t.Fatal(err)
	}
	// The threshold is in tenths: 2.5 of 10, "OK", for a service that is on the
	// network with a right of root.
	out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=25", unit).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && !strings.Contains(string(out), "exposure level"):
		t.Skipf("systemd-analyze cannot look at units here: %s", out)
	default:
		t.Errorf("%v\n%s", err, out)
	}
}
