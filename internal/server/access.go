package server

import (
	"os"
	"os/user"
	"slices"
	"strconv"

	"ouroboros/internal/errno"
)

// Group is the name of the group whose members manage the system's daemon.
const Group = "ouroboros"

// Access says who may do what, besides the daemon's own user, root and the
// members of the group ouroboros, who may do everything.
type Access struct {
	Manage Users // may manage the node
	// Flows are those who may have flows; nil means everybody.
	Flows *Users
}

// Users are some users of the machine.
type Users struct {
	All  bool
	UIDs []uint32
	GIDs []uint32 // also as a supplementary group
}

func (u Users) has(p *peer) bool {
	return u.All || slices.Contains(u.UIDs, p.uid) || slices.ContainsFunc(u.GIDs, p.in)
}

// mayManage fails with ErrPerm for those who may not manage the node. what is
// what was asked for.
func (a *Access) mayManage(p *peer, what string) error {
	if p.owns() || a.Manage.has(p) || p.inGroup() {
		return nil
	}
	return errno.New(errno.Perm, "cannot %s: user %d may not manage this node", what, p.uid).
		Next("run it as root or add yourself to group %s", Group)
}

// mayFlow fails with ErrPerm for those who may not have flows.
func (a *Access) mayFlow(p *peer) error {
	if a.Flows == nil || a.Flows.has(p) || a.mayManage(p, "") == nil {
		return nil
	}
	return errno.New(errno.Perm, "cannot use this node: its configuration does not allow flows for user %d", p.uid).
		Next("ask its administrator, or start a daemon of your own with: irmd")
}

// owns reports whether the peer is root or the daemon's own user.
func (p *peer) owns() bool { return p.uid == 0 || int(p.uid) == os.Geteuid() }

func (p *peer) in(gid uint32) bool { return p.gid == gid || slices.Contains(p.groups, gid) }

// inGroup reports whether the peer is in the group of those who manage. It is
// looked up each time: the group may be made while the daemon runs.
func (p *peer) inGroup() bool {
	g, err := user.LookupGroup(Group)
	if err != nil {
		return false
	}
	gid, err := strconv.ParseUint(g.Gid, 10, 32)
	return err == nil && p.in(uint32(gid))
}
