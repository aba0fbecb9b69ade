package udp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
)

// Bounds of a hosts file.
const (
	hostsSize = 4 << 20 // bytes of a file that is read
	hostsTTL  = 2 * time.Second
)

// hosts is a file that says where names are, before another finder is asked.
// Each line is an address and the names that are there, or their hashes as
// hexadecimal digits; what follows # is a comment. It is read again when it
// has changed.
type hosts struct {
	path string
	v6   bool
	next Finder
	log  *slog.Logger

	mu    sync.Mutex
	read  os.FileInfo // of what names is from
	names map[string][]netip.Addr
	err   error // of the last reading
}

func newHosts(path string, kind irm.IPCPType, next Finder, log *slog.Logger) *hosts {
	return &hosts{path: path, v6: kind == irm.UDP6, next: next, log: log}
}

func (h *hosts) String() string { return fmt.Sprintf("the file %s, then %v", h.path, h.next) }

// Find implements Finder.
func (h *hosts) Find(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	h.mu.Lock()
	err := h.refresh()
	addrs := h.names[name]
	h.mu.Unlock()
	if len(addrs) > 0 {
		return addrs, hostsTTL, nil
	}
	addrs, ttl, next := h.next.Find(ctx, name)
	if next != nil {
		if err != nil {
			return nil, 0, errno.New(errno.NameError, "cannot read the hosts: %v", err).Next("mend the file %s; it is read again then", h.path)
		}
		// Who keeps a file may have no resolver that works, so that the next
		// one cannot answer is no other news than that it does not know.
		if !errors.Is(next, errno.NameError) {
			h.log.Debug("the name is not in the hosts, and cannot be resolved", "name", name, "error", next)
		}
		return nil, 0, errno.New(errno.NameError, "neither %s nor %v has an address of the name", h.path, h.next).
			Next("add a line to %s: ADDRESS NAME", h.path)
	}
	return addrs, ttl, next
}

// refresh reads the file if it is another than before. What was read last
// stays when it cannot be read. h.mu is held.
func (h *hosts) refresh() error {
	f, err := os.Open(h.path)
	if err != nil {
		return h.failed(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return h.failed(err)
	}
	if h.read != nil && os.SameFile(info, h.read) && info.ModTime().Equal(h.read.ModTime()) && info.Size() == h.read.Size() {
		return h.err
	}
	b, err := io.ReadAll(io.LimitReader(f, hostsSize+1))
	if err == nil && len(b) > hostsSize {
		err = fmt.Errorf("%s is longer than %d bytes", h.path, hostsSize)
	}
	if err != nil {
		return h.failed(err)
	}
	names, err := parseHosts(b, h.v6)
	h.read = info
	h.names = names
	h.err = nil
	if err != nil {
		h.failed(fmt.Errorf("%s, %w", h.path, err))
	}
	return h.err
}

// failed notes why the file could not be read, and logs it once.
func (h *hosts) failed(err error) error {
	if h.err == nil || h.err.Error() != err.Error() {
		h.log.Warn("the hosts of the layer cannot all be used", "error", err)
	}
	h.err = err
	return err
}

// parseHosts gives the addresses of one family by hash. Lines that are wrong
// are left out, and the first of them is the error.
func parseHosts(b []byte, v6 bool) (names map[string][]netip.Addr, err error) {
	names = make(map[string][]netip.Addr)
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, hostsSize+1)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		a, bad := netip.ParseAddr(words[0])
		if bad == nil && len(words) == 1 {
			bad = errors.New("no name follows the address")
		}
		if bad != nil {
			if err == nil {
				err = fmt.Errorf("line %d: %w", n, bad)
			}
			continue
		}
		if a = a.Unmap(); a.Is6() != v6 {
			continue
		}
		for _, w := range words[1:] {
			key := strings.ToLower(w)
			if !isDigest(key) {
				key = dnsName(hash.Sum(irm.MD5, w))
			}
			names[key] = append(names[key], a)
		}
	}
	return names, err
}

// isDigest reports whether a word is a hash and not a name.
func isDigest(w string) bool {
	return len(w) == 2*hash.Size(irm.MD5) && strings.Trim(w, "0123456789abcdef") == ""
}
