package stack

import (
	"os"

	"ouroboros"
	"ouroboros/internal/errno"
	"ouroboros/internal/fabric"
	"ouroboros/internal/registry"
)

// FirstClient is the lowest pid of a client in the node's own program. It is
// above the pids of the kernel, which end at 4194304, and of IPCPs, which
// begin there.
const FirstClient = 1<<23 + 1

// Client gives a new identity on the node: a process without a process, with a
// pid of its own, which is bound to names and holds flows. ListProcesses shows
// it under name, and BindProcess takes its pid. Any number may have one name.
// Flows between two clients of one node are rings in the memory of this
// program.
func (n *Node) Client(name string) (*ouroboros.Client, error) {
	if name == "" {
		return nil, errno.New(errno.Invalid, "a client needs a name, for lists and logs")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errno.New(errno.IRMd, "cannot make the client %q: the node is closed", name)
	}
	pid := n.next
	n.next++
	owner := n.fabric.NewLocal(name)
	p, err := n.registry.Announce(registry.Identity{
		PID: pid, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Exe: name,
	}, owner)
	if err != nil {
		owner.Leave()
		return nil, err
	}
	c := ouroboros.NewClient(&backend{Client: fabric.NewClient(p, owner), forget: func() { n.forget(pid) }})
	n.clients[pid] = c
	return c, nil
}

func (n *Node) forget(pid int) {
	n.mu.Lock()
	delete(n.clients, pid)
	n.mu.Unlock()
}

// backend is a fabric.Client that the node no longer closes once it was.
type backend struct {
	*fabric.Client
	forget func()
}

func (b *backend) Close() error {
	b.forget()
	return b.Client.Close()
}
