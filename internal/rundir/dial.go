package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ouroboros/internal/errno"
)

// Dial connects to a socket of a daemon. network is "unix" or "unixpacket",
// socket one of the names above. An empty dir means the first of Candidates
// in which a daemon answers. ErrIRMd when there is none; its text names what
// was looked at.
func Dial(ctx context.Context, dir, network, socket string) (*net.UnixConn, error) {
	if dir != "" {
		return dial(ctx, []string{dir}, network, socket, "")
	}
	p := here()
	fallback := ""
	if p.getenv(Env) == "" && p.uid != 0 {
		fallback = p.own()
	}
	return dial(ctx, p.candidates(), network, socket, fallback)
}

// dial tries the directories in order. checked is one that nobody chose in so
// many words: it is used only when it is safe.
func dial(ctx context.Context, dirs []string, network, socket, checked string) (*net.UnixConn, error) {
	var looked []string
	for _, dir := range dirs {
		path := filepath.Join(dir, socket)
		if dir == checked {
			if err := trusted(dir, os.Geteuid()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				looked = append(looked, fmt.Sprintf("%s: not used, %v", path, err))
				continue
			}
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, network, path)
		if err == nil {
			return c.(*net.UnixConn), nil
		}
		if ctx.Err() != nil {
			return nil, errno.New(errno.IRMd, "cannot talk to the IRM daemon: %s: %v", path, ctx.Err())
		}
		looked = append(looked, path+": "+reason(err))
	}
	return nil, errno.New(errno.IRMd, "cannot talk to the IRM daemon: %s", strings.Join(looked, "; ")).
		Next("start one with: irmd")
}

// reason says in words why a connection failed.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no daemon there"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the daemon there has ended"
	case errors.Is(err, fs.ErrPermission):
		return "no permission"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}
