package config

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
)

// ID gives the number of the user or group on this machine. A number needs no
// entry in the system's lists.
func (p Principal) ID() (uint32, error) {
	if n, err := strconv.ParseUint(p.Name, 10, 32); err == nil {
		return uint32(n), nil
	}
	var text string
	if p.Group {
		g, err := user.LookupGroup(p.Name)
		if err != nil {
			return 0, fmt.Errorf("there is no group %q here", p.Name)
		}
		text = g.Gid
	} else {
		u, err := user.Lookup(p.Name)
		if err != nil {
			return 0, fmt.Errorf("there is no user %q here", p.Name)
		}
		text = u.Uid
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}

// account gives the number and the first group of a user.
func (p Principal) account() (uid, gid uint32, err error) {
	a, err := p.Account()
	return a.UID, a.GID, err
}

// Account is a user with what a process of it has.
type Account struct {
	UID, GID uint32
	Groups   []uint32 // all of them
	Name     string
	Home     string
}

// Account looks the user up.
func (p Principal) Account() (a Account, err error) {
	if a.UID, err = p.ID(); err != nil {
		return a, err
	}
	u, err := user.LookupId(strconv.Itoa(int(a.UID)))
	if err != nil {
		return a, fmt.Errorf("there is no user %s here", p.Name)
	}
	n, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return a, err
	}
	a.GID, a.Name, a.Home = uint32(n), u.Username, u.HomeDir
	groups, err := u.GroupIds()
	if err != nil {
		groups = []string{u.Gid}
	}
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return a, err
		}
		a.Groups = append(a.Groups, uint32(n))
	}
	return a, nil
}

// CheckUsers looks whether the users and groups exist that the configuration
// names.
func (f *File) CheckUsers() error {
	var errs Errors
	for _, list := range [][]Principal{f.Access.Manage, f.Access.Flows} {
		for _, p := range list {
			if _, err := p.ID(); err != nil {
				errs = append(errs, f.errorAt(p.at, err, "", "%s", err))
			}
		}
	}
	for _, n := range f.Names {
		if n.User != nil {
			if _, _, err := n.User.account(); err != nil {
				errs = append(errs, f.errorAt(n.User.at, err, "", "%s", err))
			}
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// Check is CheckFiles and CheckUsers: whether what the configuration names
// is there on this machine.
func (f *File) Check() error {
	var all Errors
	for _, err := range []error{f.CheckFiles(), f.CheckUsers()} {
		var errs Errors
		if errors.As(err, &errs) {
			all = append(all, errs...)
		}
	}
	if len(all) > 0 {
		return all
	}
	return nil
}
