package main

import (
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"ouroboros/internal/netns"
	"ouroboros/qos"
	"ouroboros/test/host"
)

// ciphers are those that flows are measured with, the default first.
var ciphers = []string{"aes-256-gcm", "aes-128-gcm", "chacha20-poly1305"}

// netSealed measures flows that are encrypted beside those that are not, and
// beside a tunnel of WireGuard on the same cable.
func (b *bench) netSealed() error {
	for _, layer := range chosen() {
		if layer != "udp4" && layer != "eth-dix" {
			continue
		}
		if err := b.hosts(layer, nil, (*two).sealed); err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
	}
	return b.hosts("udp4", nil, (*two).wireguard)
}

// sealed measures raw and reliable flows, in the clear and with each cipher.
func (w *two) sealed() error {
	conf := filepath.Join(w.near.Dir, "enc.conf")
	say := func(cipher string) error {
		text := "none\n"
		if cipher != "" {
			text = "kex=X25519\ncipher=" + cipher + "\n"
		}
		return os.WriteFile(conf, []byte(text), 0o600)
	}
	if err := say(""); err != nil {
		return err
	}
	for _, n := range []string{"sink", "echo"} {
		w.far.OK(w.t, "irm", "name", "create", n, "sencpath", conf)
		w.near.OK(w.t, "irm", "name", "create", n, "cencpath", conf)
	}
	// Machines have moods: what is compared is measured in turns.
	all := make([]protected, 1+len(ciphers))
	for range turns {
		for i := range all {
			cipher := append([]string{""}, ciphers...)[i]
			if err := say(cipher); err != nil {
				return err
			}
			if err := all[i].measure(w, cipher); err != nil {
				return err
			}
		}
	}
	show := func(o oneWay) string {
		return fmt.Sprintf("%.0f thousand/s, %s, %.2f %% lost", o.messages/1e3, mbit(o.rate), o.lost)
	}
	raw, reliable, trip := all[0].medians()
	for i, cipher := range ciphers {
		r, l, t := all[i+1].medians()
		goal := ""
		if strings.HasSuffix(cipher, "gcm") {
			goal = "at least 0.6 x"
		}
		w.row("raw 1400 B received, "+cipher, show(r), "in the clear "+show(raw), r.messages/raw.messages, goal)
		w.row("raw 1400 B, CPU seconds a GB, "+cipher, fmt.Sprintf("%.2f", r.cpu), fmt.Sprintf("in the clear %.2f", raw.cpu), r.cpu/raw.cpu, "")
		w.row("reliable 1400 B, "+cipher, mbit(l.rate), "in the clear "+mbit(reliable.rate), l.rate/reliable.rate, goal)
		w.row("reliable 1400 B, CPU seconds a GB, "+cipher, fmt.Sprintf("%.2f", l.cpu), fmt.Sprintf("in the clear %.2f", reliable.cpu), l.cpu/reliable.cpu, "")
		w.row("round trip 64 B, median, "+cipher, us(t), "in the clear "+us(trip), float64(t)/float64(trip), "")
	}
	return w.beside("raw 1400 B received, "+ciphers[0], sealedCBR)
}

// sealedCBR floods an encrypted flow of the C implementation.
func sealedCBR(t *life, near, far *host.Reference) (string, error) {
	conf := []byte("kex=X25519\ncipher=" + ciphers[0] + "\n")
	near.Secure(t, host.SecurityFile{Path: "client/ocbr/enc.conf", Data: conf})
	far.Secure(t, host.SecurityFile{Path: "server/ocbr/enc.conf", Data: conf})
	figure, err := cbr(t, near, far)
	if err == nil && !strings.Contains(far.Log().String(), "Negotiated X25519 + "+ciphers[0]) {
		err = errors.New("it did not encrypt")
	}
	return figure, err
}

// turns is how often each is measured.
const turns = 3

// protected are the measurements of flows with one cipher, or none.
type protected struct {
	raw, reliable []oneWay
	trips         []time.Duration
}

func (p *protected) measure(w *two, cipher string) error {
	defer w.b.endChildren()
	raw, err := w.sink(nil, size)
	if err != nil {
		return err
	}
	w.b.endChildren() // the next flow goes to the next sink
	spec := qos.Data
	reliable, err := w.sink(&spec, size)
	if err != nil {
		return err
	}
	w.b.endChildren()
	trip, err := w.trips(cipher)
	if err != nil {
		return err
	}
	p.raw, p.reliable, p.trips = append(p.raw, raw), append(p.reliable, reliable), append(p.trips, trip.p50)
	return nil
}

// medians are those by rate, and by time.
func (p *protected) medians() (raw, reliable oneWay, trip time.Duration) {
	byRate := func(a, b oneWay) int { return cmp.Compare(a.rate, b.rate) }
	slices.SortFunc(p.raw, byRate)
	slices.SortFunc(p.reliable, byRate)
	slices.Sort(p.trips)
	return p.raw[turns/2], p.reliable[turns/2], p.trips[turns/2]
}

// trips measures round trips on a flow, which is protected as it should be.
func (w *two) trips(cipher string) (s spread, err error) {
	if _, err = w.server("echo"); err != nil {
		return s, err
	}
	f, err := w.alloc("echo", nil)
	if err != nil {
		return s, err
	}
	defer f.Close()
	flows, err := w.near.Irm.ListFlows(context.Background())
	if err != nil {
		return s, err
	}
	if want := cmp.Or(cipher, "none"); len(flows) != 1 || flows[0].Protection.Cipher != want {
		return s, fmt.Errorf("the flow is not protected by %s: %+v", want, flows)
	}
	f.SetReadTimeout(5 * time.Second)
	msg, buf := make([]byte, 64), make([]byte, 2048)
	return measure(roundTrips, func() error {
		if _, err := f.Write(msg); err != nil {
			return err
		}
		_, err := f.Read(buf)
		return err
	})
}

// The tunnel: messages of 1400 bytes in it are packets of 1428.
const (
	tunnelDev  = "wg0"
	tunnelMTU  = size + 28
	tunnelPort = 51820
	tunnelNear = "10.9.0.1"
	tunnelFar  = "10.9.0.2"
)

// wireguard measures wireguard-go between the two hosts.
func (w *two) wireguard() error {
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			return err
		}
	}
	for i, end := range []struct {
		here, there *netns.Space
		addr, other string
	}{{w.here, w.there, tunnelNear, tunnelFar}, {w.there, w.here, tunnelFar, tunnelNear}} {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := end.here.Command(context.Background(), self)
		conf := fmt.Sprintf("private_key=%s\nlisten_port=%d\npublic_key=%s\nendpoint=%s\nallowed_ip=%s/32\n",
			hex.EncodeToString(keys[i].Bytes()), tunnelPort, hex.EncodeToString(keys[1-i].PublicKey().Bytes()),
			fmt.Sprintf("%s:%d", end.there.IPv4.Addr(), tunnelPort), end.other)
		cmd.Env = []string{"OUROBOROS_BENCH_TUNNEL=" + conf}
		if _, err := w.b.launch(cmd, "tunnel"); err != nil {
			return err
		}
		if err := errors.Join(end.here.IP("addr", "add", end.addr+"/24", "dev", tunnelDev), end.here.Up(tunnelDev)); err != nil {
			return err
		}
	}
	w.inside = tunnelFar
	// A flood that it cannot carry leaves it no processor: its best is with a
	// sender that is held back.
	var raw iperf
	for _, rate := range []string{"500M", "1G", "1500M", "2G", "0"} {
		r, err := w.iperf3("-u", "-b", rate, "-l", strconv.Itoa(size))
		if err != nil {
			return err
		}
		if r.messages > raw.messages {
			raw = r
		}
	}
	tcp, err := w.iperf3()
	if err != nil {
		return err
	}
	row("wireguard-go on the same cable: UDP 1400 B received", "", fmt.Sprintf("%.0f thousand/s, %s, %.1f %% lost", raw.messages/1e3, mbit(raw.rate), raw.lost), "", "")
	row("wireguard-go on the same cable: TCP", "", mbit(tcp.rate), "", "")
	return nil
}

// tunnel is the role of an end of it.
func tunnel(conf string) error {
	t, err := tun.CreateTUN(tunnelDev, tunnelMTU)
	if err != nil {
		return err
	}
	d := device.NewDevice(t, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "wireguard: "))
	if err := d.IpcSet(conf); err != nil {
		return err
	}
	if err := d.Up(); err != nil {
		return err
	}
	fmt.Println("ready")
	<-d.Wait()
	return errors.New("the tunnel has ended")
}
