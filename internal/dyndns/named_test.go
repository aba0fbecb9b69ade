package dyndns

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long something may take that ought to happen.
const patience = 30 * time.Second

const (
	keyName   = "layer-key"
	keySecret = "bm90IHZlcnkgc2VjcmV0IGF0IGFsbCwgYnV0IGxvbmc="
	wrong     = "YW5vdGhlciBzZWNyZXQsIHdoaWNoIG5vYm9keSBoYXM="
)

// zones are those of the server in the tests, and who may change them.
var zones = map[string]string{
	".":              "any;",
	"signed.example": `key "` + keyName + `";`,
	"closed.example": "none;",
}

const zoneFile = `$TTL 60
@ SOA ns root 1 60 60 60 60
@ NS ns
ns A 127.0.0.1
alias CNAME target
target A 192.0.2.7
`

// named runs a server on a port of the loopback address until the end of the
// test, and gives its address and the file with its key.
func named(t *testing.T) (server netip.AddrPort, keyFile string) {
	t.Helper()
	exe, err := exec.LookPath("named")
	if err != nil {
		if exe, err = exec.LookPath("/usr/sbin/named"); err != nil {
			t.Skip("the program named is missing (package bind9): dynamic DNS is not tested against a real server")
		}
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keyFile = write("key.conf", fmt.Sprintf("// of the layer\nkey \"%s\" {\n\talgorithm hmac-sha256;\n\tsecret \"%s\";\n};\n", keyName, keySecret))
	server = freePort(t)
	conf := fmt.Sprintf(`include %q;
options {
	directory %q; pid-file none; session-keyfile none; recursion no; notify no;
	listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
	dnssec-validation no;
};
controls { };
`, keyFile, dir, server.Port())
	i := 0
	for zone, who := range zones {
		i++
		file := write(fmt.Sprintf("zone%d.db", i), zoneFile)
		conf += fmt.Sprintf("zone %q { type primary; file %q; allow-update { %s }; };\n", zone, file, who)
	}
	var said logBuffer
	cmd := exec.Command(exe, "-g", "-n", "1", "-c", write("named.conf", conf))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Log(said.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		m := new(dns.Msg)
		m.SetQuestion(".", dns.TypeSOA)
		c := dns.Client{Timeout: time.Second}
		if r, _, err := c.ExchangeContext(ctx, m, server.String()); err == nil && r.Rcode == dns.RcodeSuccess {
			return server, keyFile
		}
		select {
		case <-exited:
			t.Fatalf("named ended:\n%s", said.String())
		case <-ctx.Done():
			t.Fatalf("named does not answer:\n%s", said.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// freePort gives a loopback address where nobody listens, over UDP and TCP.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	for range 100 {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", c.LocalAddr().String())
		c.Close()
		if err != nil {
			continue
		}
		l.Close()
		return netip.MustParseAddrPort(c.LocalAddr().String())
	}
	t.Fatal("no free port")
	return netip.AddrPort{}
}
