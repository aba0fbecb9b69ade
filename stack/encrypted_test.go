package stack

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros"
	"ouroboros/internal/crypt"
	"ouroboros/internal/packet"
	"ouroboros/internal/seal"
	"ouroboros/irm"
	"ouroboros/qos"
)

// secured makes a configuration of nodes that encrypt the flows to some names.
func secured(t *testing.T, conf string, names ...string) Config {
	t.Helper()
	dir := t.TempDir()
	for _, side := range []string{"client", "server"} {
		for _, name := range names {
			path := filepath.Join(dir, side, name, "enc.conf")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return Config{SecurityDir: dir}
}

// wiretap looks for words in whatever is on the wire.
type wiretap struct {
	words [][]byte
	seen  atomic.Int64 // packets that are not empty
	read  atomic.Int64 // of these, with a word in them
}

func (w *wiretap) look(b *packet.Buffer) {
	if b.Len() == 0 {
		return
	}
	w.seen.Add(1)
	for _, word := range w.words {
		if bytes.Contains(b.Bytes(), word) {
			w.read.Add(1)
		}
	}
}

func tapFor(words ...string) *wiretap {
	w := &wiretap{}
	for _, s := range words {
		w.words = append(w.words, []byte(s))
	}
	return w
}

// talk writes messages at both ends, and reads them at the other.
func talk(t *testing.T, client, server *ouroboros.Flow, count int) {
	t.Helper()
	var wg sync.WaitGroup
	for name, ends := range map[string][2]*ouroboros.Flow{"client": {client, server}, "server": {server, client}} {
		ends[1].SetReadTimeout(time.Hour)
		wg.Go(func() {
			for i := range count {
				if _, err := fmt.Fprintf(ends[0], "message %d of the %s", i, name); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for i := range count {
				wantRead(t, ends[1], fmt.Sprintf("message %d of the %s", i, name))
				if t.Failed() {
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestKeysChangeUnderLoadOnFlowsBetweenNodes(t *testing.T) {
	count := 8000
	if race {
		count = 2500
	}
	for _, cipher := range []string{"aes-256-gcm", "chacha20-poly1305"} {
		for name, spec := range map[string]qos.Spec{"raw": raw(1), "reliable": data()} {
			t.Run(cipher+" "+name, func(t *testing.T) {
				cfg := secured(t, "kex=X25519\ncipher="+cipher+"\n", "service")
				synctest.Test(t, func(t *testing.T) {
					tap := tapFor("message")
					net := &network{mtu: 1500, cfg: cfg, epochBit: 8}
					changes := count / 200
					if spec.InOrder { // an epoch is longer than what may be on the way
						net.epochBit, changes = 11, count/2000
					}
					net.impair = func(b *packet.Buffer) bool { tap.look(b); return false }
					nodes, client, server := pairOf(t, net, spec)
					if spec.InOrder {
						talk(t, client, server, count)
					} else {
						// Who does not wait loses what has no room.
						for range count / 50 {
							talk(t, client, server, 50)
						}
					}
					flows, err := nodes[0].ListFlows(t.Context())
					if err != nil || len(flows) != 1 || flows[0].Protection.Cipher != cipher || flows[0].MTU != client.MTU() {
						t.Errorf("listed %+v: %v", flows, err)
					}
					for _, n := range nodes {
						k := n.guards.counters()
						if k["crypt_key_changes"] < uint64(changes) || k["crypt_refused"] != 0 || k["crypt_sealed"] < uint64(count) {
							t.Errorf("%d key changes, %d refused, %d sealed", k["crypt_key_changes"], k["crypt_refused"], k["crypt_sealed"])
						}
					}
					if tap.read.Load() != 0 || tap.seen.Load() < int64(2*count) {
						t.Errorf("%d packets on the wire, %d in the clear", tap.seen.Load(), tap.read.Load())
					}
				})
			})
		}
	}
}

// A layer stands on flows that are encrypted: what its members say to each other
// and what its users send is sealed on the way, without any of them knowing.
func TestALayerStandsOnEncryptedFlows(t *testing.T) {
	cfg := secured(t, "kex=X25519\n", "member")
	for _, encrypted := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			tap := tapFor("message", "the-layer-above")
			net := &network{mtu: 1500}
			if encrypted {
				net.cfg = cfg
			}
			net.impair = func(b *packet.Buffer) bool { tap.look(b); return false }
			nodes, _, _ := pairOf(t, net, raw(1))
			ctx := t.Context()
			var pids [2]int
			for i, n := range nodes {
				var err error
				if pids[i], err = n.CreateIPCP(ctx, fmt.Sprint("u", i), irm.Unicast); err != nil {
					t.Fatal(err)
				}
			}
			ipcps, err := nodes[1].ListIPCPs(ctx)
			if err != nil {
				t.Fatal(err)
			}
			below := slices.IndexFunc(ipcps, func(i irm.IPCPInfo) bool { return i.Type == irm.UDP4 })
			do := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			_, err = nodes[1].BootstrapIPCP(ctx, pids[1], irm.NewConfig(irm.Unicast, "the-layer-above"))
			do(err)
			do(nodes[1].BindProcess(ctx, pids[1], "member"))
			do(nodes[1].RegName(ctx, "member", ipcps[below].PID))
			_, err = nodes[0].EnrollIPCP(ctx, pids[0], "member")
			do(err)
			for _, c := range []string{irm.Management, irm.DataTransfer} {
				do(nodes[0].ConnectIPCP(ctx, pids[0], c, "member", qos.Raw))
			}
			sc, err := nodes[1].Client("inner server")
			do(err)
			l, err := sc.Listen(ctx, "inner")
			do(err)
			do(nodes[1].RegName(ctx, "inner", pids[1]))
			accepted := make(chan *ouroboros.Flow, 1)
			go func() {
				f, err := l.AcceptFlow(ctx)
				if err != nil {
					t.Error(err)
				}
				accepted <- f
			}()
			cc, err := nodes[0].Client("inner client")
			do(err)
			spec := data()
			client, err := cc.Alloc(ctx, "inner", &spec)
			do(err)
			talk(t, client, <-accepted, 500)
			if inClear := tap.read.Load() > 0; inClear == encrypted || tap.seen.Load() < 1000 {
				t.Errorf("encrypted %v: %d packets on the wire, %d can be read", encrypted, tap.seen.Load(), tap.read.Load())
			}
			for _, n := range nodes {
				k := n.guards.counters()
				if got := k["crypt_sealed"] > 500; got != encrypted || k["crypt_refused"] != 0 {
					t.Errorf("encrypted %v: %d sealed, %d refused", encrypted, k["crypt_sealed"], k["crypt_refused"])
				}
			}
		})
	}
}

// Once a flow is sealed, the key that was agreed on is nowhere in the node: what
// is left is what the Sealer derives from it. None of it is told to anybody.
func TestKeysStayInside(t *testing.T) {
	if race {
		t.Skip("it looks at memory without locks")
	}
	cfg := secured(t, "kex=X25519\n", "service")
	var logged bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))
	synctest.Test(t, func(t *testing.T) {
		net := &network{mtu: 1500, cfg: cfg}
		nodes, client, server := pairOf(t, net, data())
		talk(t, client, server, 10)
		synctest.Wait()
		var told bytes.Buffer
		secrets := 0
		for _, n := range nodes {
			flows, err := n.ListFlows(t.Context())
			if err != nil || len(flows) != 1 || flows[0].Protection.Cipher != "aes-256-gcm" {
				t.Fatalf("flows %+v: %v", flows, err)
			}
			status, err := n.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range []any{flows, status} {
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&told, "%s %+v %#v\n", text, v, v)
			}
		}
		for _, n := range nodes {
			inside(reflect.ValueOf(n), map[visit]bool{}, func(v reflect.Value) {
				switch v.Type() {
				case reflect.TypeFor[crypt.Key]():
					if !v.IsZero() {
						t.Error("the key of a flow is still there")
					}
				case reflect.TypeFor[[seal.KeySize]byte]():
					secret := make([]byte, v.Len())
					for i := range secret {
						secret[i] = byte(v.Index(i).Uint())
					}
					if bytes.Equal(secret, make([]byte, len(secret))) {
						return
					}
					secrets++
					for _, form := range []string{
						string(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
						strings.Trim(fmt.Sprint(secret), "[]"), base64.RawStdEncoding.EncodeToString(secret),
					} {
						if strings.Contains(told.String(), form) || strings.Contains(logged.String(), form) {
							t.Errorf("a secret was told as %q", form)
						}
					}
				}
			})
		}
		if secrets < 2 {
			t.Errorf("%d secrets were found", secrets)
		}
	})
}

type visit struct {
	at   uintptr
	kind reflect.Type
}

// inside shows all that can be reached from a value.
func inside(v reflect.Value, seen map[visit]bool, show func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		at := visit{v.Pointer(), v.Type()}
		if v.IsNil() || seen[at] || v.Type().PkgPath() == "reflect" {
			return
		}
		seen[at] = true
		inside(v.Elem(), seen, show)
	case reflect.Interface:
		if !v.IsNil() {
			inside(v.Elem(), seen, show)
		}
	case reflect.Struct:
		show(v)
		for i := range v.NumField() {
			inside(v.Field(i), seen, show)
		}
	case reflect.Array:
		show(v)
		fallthrough
	case reflect.Slice:
		if k := v.Type().Elem().Kind(); k >= reflect.Bool && k <= reflect.Complex128 {
			return
		}
		for i := range v.Len() {
			inside(v.Index(i), seen, show)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			inside(it.Key(), seen, show)
			inside(it.Value(), seen, show)
		}
	}
}
