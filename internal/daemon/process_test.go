package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/leak"
	"ouroboros/internal/rundir"
	"ouroboros/irm"
)

// asDaemon makes the test program the daemon: the tests run it as a child.
const asDaemon = "OUROBOROS_TEST_AS_DAEMON"

// asClient makes the test program a client that asks for a flow to nobody and
// prints what it is told.
const asClient = "OUROBOROS_TEST_AS_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		os.Unsetenv(asDaemon)
		os.Exit(Main(os.Args[1:]))
	}
	if dir := os.Getenv(sandboxRole); dir != "" {
		inSandbox(dir)
		os.Exit(0)
	}
	if os.Getenv(asClient) != "" {
		c, err := ouroboros.Open("")
		if err == nil {
			_, err = c.Alloc(context.Background(), "nobody", nil)
		}
		fmt.Println(err)
		os.Exit(0)
	}
	leak.Main(m)
}

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// transcript collects what a child prints.
type transcript struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	grew chan struct{}
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.grew <- struct{}{}:
	default:
	}
	return o.buf.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// child is a daemon in a process of its own.
type child struct {
	dir    string
	cmd    *exec.Cmd
	out    *transcript
	notify *net.UnixConn
	ended  chan struct{}
}

// shortDir is a directory whose path is short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "irmd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a daemon in dir; change may alter the command.
func start(t *testing.T, dir string, change func(*exec.Cmd), args ...string) *child {
	t.Helper()
	c := &child{dir: filepath.Join(dir, "run"), out: &transcript{grew: make(chan struct{}, 1)}, ended: make(chan struct{})}
	socket := filepath.Join(dir, "notify")
	os.Remove(socket)
	c.notify = manager(t, socket)
	c.notify.SetReadDeadline(time.Now().Add(patience))
	c.cmd = exec.Command(os.Args[0], args...)
	c.cmd.Env = append(os.Environ(), asDaemon+"=1", rundir.Env+"="+c.dir, "NOTIFY_SOCKET="+socket)
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if change != nil {
		change(c.cmd)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		<-c.ended
		if t.Failed() {
			t.Logf("the daemon printed:\n%s", c.out)
		}
	})
	return c
}

// ready waits until the daemon says so.
func (c *child) ready(t *testing.T) *child {
	t.Helper()
	if got := heard(t, c.notify); got != "READY=1" {
		t.Fatalf("the daemon says %q", got)
	}
	return c
}

// printed waits until the daemon has printed text.
func (c *child) printed(t *testing.T, text string) {
	t.Helper()
	limit := time.After(patience)
	for !strings.Contains(c.out.String(), text) {
		select {
		case <-c.out.grew:
		case <-c.ended:
			if !strings.Contains(c.out.String(), text) {
				t.Fatalf("the daemon ended and has not printed %q", text)
			}
		case <-limit:
			t.Fatalf("the daemon has not printed %q", text)
		}
	}
}

// exit waits for the end of the daemon.
func (c *child) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		t.Fatal("the daemon does not end")
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func (c *child) irm(t *testing.T) *irm.Client {
	t.Helper()
	m, err := irm.DialDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func sockets(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "*.sock"))
	return found
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheDaemonSaysWhenItIsReadyAndWhenItStops(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		c := start(t, shortDir(t), nil, "--stdout").ready(t)
		st, err := c.irm(t).Status(t.Context())
		if err != nil || st.PID != c.cmd.Process.Pid || st.Dir != c.dir || st.State != "forget" || st.Version != ouroboros.Version {
			t.Fatalf("status %+v, %v", st, err)
		}
		begin := time.Now()
		c.signal(t, s)
		if got := heard(t, c.notify); got != "STOPPING=1" {
			t.Errorf("the daemon says %q", got)
		}
		if code := c.exit(t); code != 0 {
			t.Errorf("%v: exit code %d", s, code)
		}
		if took := time.Since(begin); took > grace {
			t.Errorf("%v: it took %v", s, took)
		}
		if left := sockets(c.dir); len(left) > 0 {
			t.Errorf("%v leaves %v", s, left)
		}
		if strings.Contains(c.out.String(), "\x1b") {
			t.Errorf("colours in a file:\n%s", c.out)
		}
	}
}

func TestTheDaemonGivesSignsOfLife(t *testing.T) {
	c := start(t, shortDir(t), func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "WATCHDOG_USEC=300000") })
	seen := map[string]bool{}
	for !seen["READY=1"] || !seen["WATCHDOG=1"] {
		seen[heard(t, c.notify)] = true
	}
}

func TestASecondDaemonIsRefused(t *testing.T) {
	dir := shortDir(t)
	first := start(t, dir, nil).ready(t)
	second := start(t, dir, nil)
	if code := second.exit(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if out := second.out.String(); !strings.HasPrefix(out, fmt.Sprintf("irmd: another irmd already runs here as pid %d", first.cmd.Process.Pid)) {
		t.Errorf("it says:\n%s", out)
	}
	if _, err := first.irm(t).Status(t.Context()); err != nil {
		t.Errorf("the first is disturbed: %v", err)
	}
}

func TestTheSocketsOfAKilledDaemonAreTakenOver(t *testing.T) {
	dir := shortDir(t)
	first := start(t, dir, nil).ready(t)
	first.signal(t, syscall.SIGKILL)
	first.exit(t)
	if len(sockets(first.dir)) == 0 {
		t.Fatal("a killed daemon leaves no sockets")
	}
	second := start(t, dir, nil).ready(t)
	st, err := second.irm(t).Status(t.Context())
	if err != nil || st.PID != second.cmd.Process.Pid {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestFlowsGoDownWhenTheDaemonStops(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		c := start(t, shortDir(t), nil).ready(t)
		server, err := ouroboros.Open(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		l, err := server.Listen(t.Context(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan *ouroboros.Flow, 1)
		go func() {
			f, err := l.AcceptFlow(t.Context())
			if err != nil {
				t.Error(err)
			}
			accepted <- f
		}()
		client, err := ouroboros.Open(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		f, err := client.Alloc(t.Context(), "echo", nil)
		if err != nil {
			t.Fatal(err)
		}
		g := <-accepted
		if _, err := f.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 16)
		if n, err := g.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		down := make(chan error, 2)
		for _, end := range []*ouroboros.Flow{f, g} {
			go func() {
				_, err := end.Read(make([]byte, 16))
				down <- err
			}()
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := l.AcceptFlow(context.Background())
			waiting <- err
		}()
		c.signal(t, s)
		for range 2 {
			select {
			case err := <-down:
				if !errors.Is(err, ouroboros.ErrFlowDown) {
					t.Errorf("%v: a reader gets %v", s, err)
				}
			case <-time.After(patience):
				t.Fatalf("%v: a reader waits on", s)
			}
		}
		select {
		case err := <-waiting:
			if err == nil {
				t.Errorf("%v: an accept succeeds", s)
			}
		case <-time.After(patience):
			t.Fatalf("%v: an accept waits on", s)
		}
		if code := c.exit(t); s == syscall.SIGTERM && code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	dir := shortDir(t)
	stubborn := filepath.Join(dir, "stubborn")
	write(t, stubborn, "#!/bin/sh\ntrap '' TERM\necho stubborn runs\nwhile :; do sleep 0.1; done\n")
	if err := os.Chmod(stubborn, 0o755); err != nil {
		t.Fatal(err)
	}
	c := start(t, dir, nil, "--stdout").ready(t)
	if err := c.irm(t).BindProgram(t.Context(), irm.ProgramBinding{Program: stubborn, Name: "x", Auto: true}); err != nil {
		t.Fatal(err)
	}
	client, err := ouroboros.Open(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		client.Alloc(ctx, "x", nil)
	}()
	c.printed(t, "stubborn runs")
	var pid int
	for _, line := range strings.Split(c.out.String(), "\n") {
		if i := strings.Index(line, "pid="); i >= 0 && strings.Contains(line, "stubborn runs") {
			fmt.Sscanf(line[i:], "pid=%d", &pid)
		}
	}
	t.Cleanup(func() {
		if pid > 1 {
			syscall.Kill(-pid, syscall.SIGKILL)
		}
	})
	c.signal(t, syscall.SIGTERM)
	c.printed(t, "irmd stops")
	c.signal(t, syscall.SIGTERM)
	if code := c.exit(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	<-asked
}

func TestKeptStateSurvivesARestart(t *testing.T) {
	dir := shortDir(t)
	conf := write(t, filepath.Join(dir, "irmd.toml"), "[daemon]\nstate = \"keep\"\n")
	c := start(t, dir, nil, "--config", conf).ready(t)
	m := c.irm(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pid, err := m.CreateIPCP(ctx, "l1", irm.Local)
	must(err)
	_, err = m.BootstrapIPCP(ctx, pid, irm.NewConfig(irm.Local, "home"))
	must(err)
	must(m.CreateName(ctx, irm.NameInfo{Name: "web", Balance: irm.RoundRobin}))
	must(m.RegName(ctx, "web", pid))
	must(m.BindProgram(ctx, irm.ProgramBinding{Program: "/bin/sh", Args: []string{"-c", "exit 3"}, Name: "web", Auto: true}))

	check := func(c *child) {
		t.Helper()
		names, err := c.irm(t).ListNames(ctx)
		if err != nil || len(names) != 1 {
			t.Fatalf("names %+v, %v", names, err)
		}
		n := names[0]
		if n.Name != "web" || n.Balance != irm.RoundRobin {
			t.Errorf("the name is %+v", n)
		}
		if len(n.Registrations) != 1 || n.Registrations[0].IPCP != "l1" || n.Registrations[0].Layer != "home" {
			t.Errorf("registered: %+v", n.Registrations)
		}
		if len(n.Programs) != 1 || !strings.HasSuffix(n.Programs[0].Program, "sh") || !n.Programs[0].Auto || len(n.Programs[0].Args) != 2 {
			t.Errorf("programs: %+v", n.Programs)
		}
		st, err := c.irm(t).Status(ctx)
		if err != nil || st.State != "keep" {
			t.Errorf("status %+v, %v", st, err)
		}
	}
	c.signal(t, syscall.SIGTERM)
	if code := c.exit(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	c = start(t, dir, nil, "--config", conf).ready(t)
	check(c)
	// A killed daemon has saved what it was told some time before.
	c.signal(t, syscall.SIGKILL)
	c.exit(t)
	c = start(t, dir, nil, "--config", conf).ready(t)
	check(c)
	// The file may describe what comes back.
	c.signal(t, syscall.SIGTERM)
	c.exit(t)
	write(t, conf, `[daemon]
state = "keep"
[name.web]
prog = ["/bin/sh"]
args = [["-c", "exit 3"]]
[local.l1]
bootstrap = "home"
reg = ["web"]
`)
	check(start(t, dir, nil, "--config", conf).ready(t))
}

func TestForgottenStateDoesNotComeBack(t *testing.T) {
	dir := shortDir(t)
	c := start(t, dir, nil).ready(t)
	if err := c.irm(t).CreateName(t.Context(), irm.NameInfo{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	c.signal(t, syscall.SIGTERM)
	c.exit(t)
	c = start(t, dir, nil).ready(t)
	if names, err := c.irm(t).ListNames(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("names %+v, %v", names, err)
	}
}

func TestTheConfigurationIsCarriedOut(t *testing.T) {
	dir := shortDir(t)
	conf := write(t, filepath.Join(dir, "irmd.toml"), `
[local."l.2"]
bootstrap = "two"
hash = "SHA3_512"
reg = ["a", "implied"]
[local.l1]
bootstrap = "one"
reg = ["a"]
[local.idle]
[name.a]
lb = "round-robin"
prog = ["/bin/sh", "/bin/cat"]
args = ["-c true"]
`)
	m := start(t, dir, nil, "--config", conf).ready(t).irm(t)
	ipcps, err := m.ListIPCPs(t.Context())
	if err != nil || len(ipcps) != 3 {
		t.Fatalf("%+v, %v", ipcps, err)
	}
	for i, want := range []irm.IPCPInfo{{Name: "l.2", Layer: "two", Hash: irm.SHA3_512}, {Name: "l1", Layer: "one", Hash: irm.SHA3_256}, {Name: "idle", Layer: irm.NotEnrolled}} {
		if got := ipcps[i]; got.Name != want.Name || got.Layer != want.Layer || want.Layer != irm.NotEnrolled && got.Hash != want.Hash {
			t.Errorf("IPCP %d is %+v, want %+v", i, got, want)
		}
	}
	names, err := m.ListNames(t.Context())
	if err != nil || len(names) != 2 {
		t.Fatalf("%+v, %v", names, err)
	}
	for _, n := range names {
		switch n.Name {
		case "a":
			if n.Balance != irm.RoundRobin || len(n.Registrations) != 2 || len(n.Programs) != 2 {
				t.Errorf("the name is %+v", n)
			}
		case "implied":
			if n.Balance != irm.Spill || len(n.Registrations) != 1 {
				t.Errorf("the name is %+v", n)
			}
		}
	}
}

func TestAConfigurationThatFailsEndsTheDaemonAndSaysWhere(t *testing.T) {
	dir := shortDir(t)
	conf := write(t, filepath.Join(dir, "irmd.toml"), "[name.a]\n\n[udp4.u]\nbootstrap = \"net\"\nip = \"192.0.2.1\"\n")
	c := start(t, dir, nil, "--config", conf)
	if code := c.exit(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if out := c.out.String(); !strings.Contains(out, conf+":3:") && !strings.Contains(out, conf+":4:") || !strings.Contains(out, "[udp4.u]") {
		t.Errorf("it says:\n%s", out)
	}
	if left := sockets(c.dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestCheckReadsTheConfigurationOnly(t *testing.T) {
	dir := shortDir(t)
	check := func(text string) (int, string) {
		t.Helper()
		c := start(t, dir, nil, "--check", "--config", write(t, filepath.Join(dir, "irmd.toml"), text))
		code := c.exit(t)
		if _, err := os.Stat(c.dir); err == nil {
			t.Error("it makes the runtime directory")
		}
		return code, c.out.String()
	}
	if code, out := check("[local.x]\nbootstrap = \"l\"\n"); code != 0 || !strings.Contains(out, "no errors") {
		t.Errorf("%d: %s", code, out)
	}
	if code, out := check("[local.x]\nhash = \"SHA3_256\"\n"); code != 0 || !strings.Contains(out, "warning") || !strings.Contains(out, ":2:1: ") {
		t.Errorf("%d: %s", code, out)
	}
	for text, want := range map[string]string{
		"[local.x]\nbootstrap = 3\n":                   "irmd.toml:2:13: ",
		"[local.x]\n bootstrp = \"l\"\n":               "irmd.toml:2:2: unknown key \"bootstrp\"",
		"[name.x]\nserver_key_file = \"/none/key\"\n":  "irmd.toml:2:19: cannot use the file",
		"[access]\nmanage = [\"no-such-user-here\"]\n": "irmd.toml:2:11: there is no user",
		"x = ": "irmd.toml:1:",
	} {
		if code, out := check(text); code != 1 || !strings.Contains(out, want) || !strings.Contains(out, "^") {
			t.Errorf("%q: %d: %s", text, code, out)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none"), dir} {
		c := start(t, dir, nil, "--check", "--config", path)
		if code := c.exit(t); code != 1 || !strings.HasPrefix(c.out.String(), "irmd: cannot read the configuration: ") || !strings.Contains(c.out.String(), path) {
			t.Errorf("%s: %d: %s", path, code, c.out)
		}
	}
}

func TestTheCommandLineAnswersWithoutADaemon(t *testing.T) {
	for _, line := range []struct {
		args string
		code int
		want string
	}{
		{"--version", 0, "Ouroboros version " + ouroboros.Version + "\n"},
		{"--help", 0, Usage},
		{"--nonsense", 1, "irmd: \"--nonsense\" is unknown\ntry: irmd --help\n"},
		{"--config", 1, "irmd: --config needs a value: the path of a configuration file\ntry: irmd --help\n"},
	} {
		c := start(t, shortDir(t), nil, strings.Fields(line.args)...)
		if code := c.exit(t); code != line.code || c.out.String() != line.want {
			t.Errorf("%s: %d: %s", line.args, code, c.out)
		}
	}
}

func TestSignalsTuneTheDaemon(t *testing.T) {
	dir := shortDir(t)
	conf := write(t, filepath.Join(dir, "irmd.toml"), "[daemon]\nlog_format = \"json\"\n")
	c := start(t, dir, nil, "--config", conf).ready(t)
	c.printed(t, `"level":"INFO","msg":"irmd is ready"`)
	c.signal(t, syscall.SIGUSR1)
	c.printed(t, `"log level changed","level":"DEBUG"`)
	c.signal(t, syscall.SIGUSR2)
	c.printed(t, `"log level changed","level":"INFO"`)
	c.signal(t, syscall.SIGPIPE)
	write(t, conf, "[daemon]\nlog_level = \"loud\"\n")
	c.signal(t, syscall.SIGHUP)
	c.printed(t, "the configuration stays as it was")
	write(t, conf, "[daemon]\nlog_level = \"debug\"\n[access]\nflows = []\n")
	c.signal(t, syscall.SIGHUP)
	c.printed(t, `as the configuration says`)
	if _, err := c.irm(t).Status(t.Context()); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// publicProgram copies the test program to where every user can run it.
func publicProgram(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "irmd")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnyUserHasADaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	const uid = 65534
	for _, withXDG := range []bool{true, false} {
		dir := shortDir(t)
		program := publicProgram(t, dir)
		want := fmt.Sprintf("/tmp/ouroboros-%d", uid)
		xdg := ""
		if _, err := os.Stat(want); err != nil && !withXDG {
			t.Cleanup(func() { os.RemoveAll(want) })
		}
		if withXDG {
			xdg = filepath.Join(dir, "xdg")
			if err := os.Mkdir(xdg, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(xdg, uid, uid); err != nil {
				t.Fatal(err)
			}
			want = filepath.Join(xdg, "ouroboros")
		}
		c := start(t, dir, func(cmd *exec.Cmd) {
			cmd.Path = program
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
			var env []string
			for _, v := range cmd.Env {
				if !strings.HasPrefix(v, rundir.Env) && !strings.HasPrefix(v, "XDG_") && !strings.HasPrefix(v, "NOTIFY") {
					env = append(env, v)
				}
			}
			if withXDG {
				env = append(env, "XDG_RUNTIME_DIR="+xdg)
			}
			cmd.Env = env
		}, "--stdout")
		select {
		case <-c.ended:
			if strings.Contains(c.out.String(), "already runs here") {
				t.Logf("another daemon lives in %s", want)
				continue
			}
		case <-c.out.grew:
		}
		c.printed(t, "dir="+want+" ")
		c.printed(t, "irmd is ready")
		c.dir = want
		if st, err := c.irm(t).Status(t.Context()); err != nil || st.UID != uid {
			t.Errorf("%+v, %v", st, err)
		}
		info, err := os.Stat(want)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info, err)
		}
		c.signal(t, syscall.SIGTERM)
		if code := c.exit(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

func TestAccessIsWhatTheConfigurationSays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	dir := shortDir(t)
	program := publicProgram(t, dir)
	conf := write(t, filepath.Join(dir, "irmd.toml"), "[access]\nflows = []\n")
	c := start(t, dir, nil, "--stdout", "--config", conf).ready(t)
	ask := func() string {
		t.Helper()
		cmd := exec.Command(program)
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), asClient+"=1", rundir.Env+"="+c.dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	const refused = "does not allow flows for user 65534"
	if got := ask(); !strings.Contains(got, refused) {
		t.Errorf("nobody may have flows: %s", got)
	}
	for _, who := range []string{`"all"`, `["65534"]`, `["@65534"]`} {
		write(t, conf, "[access]\nflows = "+who+"\n")
		c.signal(t, syscall.SIGHUP)
		deadline := time.Now().Add(patience)
		got := ask()
		for strings.Contains(got, refused) && time.Now().Before(deadline) {
			got = ask()
		}
		if strings.Contains(got, refused) {
			t.Errorf("%s may have flows: %s", who, got)
		}
		write(t, conf, "[access]\nflows = []\n")
		c.signal(t, syscall.SIGHUP)
		for got = ask(); !strings.Contains(got, refused) && time.Now().Before(deadline); {
			got = ask()
		}
		if !strings.Contains(got, refused) {
			t.Errorf("nobody may have flows again: %s", got)
		}
	}
}
