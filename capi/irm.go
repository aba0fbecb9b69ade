package main

/*
#include "core.h"
*/
import "C"

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// manage carries out a call of the management interface, each over a
// connection of its own.
func manage(bell C.int, f func(ctx context.Context, c *irm.Client, o *op) (int, error)) C.int {
	dir := runtimeDir()
	return begin(bell, C.FOREVER, func(ctx context.Context, o *op) (int, error) {
		c, err := irm.DialContext(ctx, dir)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		n, err := f(ctx, c, o)
		return n, plain(err)
	})
}

// plain gives EPERM, which the interface has for whatever cannot be done, in
// the place of the numbers that it has not.
func plain(err error) error {
	if d := (*errno.Detail)(nil); errors.Is(err, errno.Exist) && errors.As(err, &d) {
		return errno.New(errno.Perm, "%s", d.Cause).Next("%s", d.Hint)
	}
	return err
}

// do is for calls that give 0.
func do(bell C.int, f func(ctx context.Context, c *irm.Client) error) C.int {
	return manage(bell, func(ctx context.Context, c *irm.Client, _ *op) (int, error) { return 0, f(ctx, c) })
}

//export core_create_ipcp
func core_create_ipcp(name *C.char, t C.int, bell C.int) C.int {
	n := C.GoString(name)
	return do(bell, func(ctx context.Context, c *irm.Client) error {
		_, err := c.CreateIPCP(ctx, n, irm.IPCPType(t))
		return err
	})
}

//export core_destroy_ipcp
func core_destroy_ipcp(pid C.int, bell C.int) C.int {
	return do(bell, func(ctx context.Context, c *irm.Client) error { return c.DestroyIPCP(ctx, int(pid)) })
}

//export core_bootstrap_ipcp
func core_bootstrap_ipcp(pid C.int, conf *C.struct_config, bell C.int) C.int {
	cfg := configFromC(conf)
	if err := cfg.Validate(); err != nil {
		return fail(err)
	}
	return do(bell, func(ctx context.Context, c *irm.Client) error {
		if err := sameType(ctx, c, int(pid), cfg.Type); err != nil {
			return err
		}
		_, err := c.BootstrapIPCP(ctx, int(pid), cfg)
		return err
	})
}

// sameType refuses a configuration that is another kind's than the IPCP.
func sameType(ctx context.Context, c *irm.Client, pid int, t irm.IPCPType) error {
	list, err := c.ListIPCPs(ctx)
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.PID == pid && i.Type != t {
			return errno.New(errno.Invalid, "cannot bootstrap %q, an IPCP of type %s, with a configuration for %s", i.Name, i.Type, t).
				Next("set the type of the configuration to that of the IPCP")
		}
	}
	return nil
}

//export core_enroll_ipcp
func core_enroll_ipcp(pid C.int, dst *C.char, bell C.int) C.int {
	d := C.GoString(dst)
	return do(bell, func(ctx context.Context, c *irm.Client) error {
		_, err := c.EnrollIPCP(ctx, int(pid), d)
		return err
	})
}

//export core_connect_ipcp
func core_connect_ipcp(pid C.int, dst, component *C.char, q *C.qosspec_t, bell C.int) C.int {
	d, comp, spec := C.GoString(dst), C.GoString(component), specFromC(q)
	return do(bell, func(ctx context.Context, c *irm.Client) error {
		return c.ConnectIPCP(ctx, int(pid), comp, d, spec)
	})
}

//export core_disconnect_ipcp
func core_disconnect_ipcp(pid C.int, dst, component *C.char, bell C.int) C.int {
	d, comp := C.GoString(dst), C.GoString(component)
	return do(bell, func(ctx context.Context, c *irm.Client) error {
		return c.DisconnectIPCP(ctx, int(pid), comp, d)
	})
}

//export core_bind_program
func core_bind_program(prog, name *C.char, opts C.uint16_t, argc C.int, argv **C.char, path *C.char, bell C.int) C.int {
	p, err := executable(C.GoString(prog), C.GoString(path))
	if err != nil {
		return fail(err)
	}
	b := irm.ProgramBinding{Program: p, Name: C.GoString(name), Auto: opts&C.BIND_AUTO != 0}
	for _, a := range unsafe.Slice(argv, int(argc)) {
		b.Args = append(b.Args, C.GoString(a))
	}
	return do(bell, func(ctx context.Context, c *irm.Client) error { return c.BindProgram(ctx, b) })
}

// executable finds a program as a shell does: one without a slash in the
// directories of path.
func executable(prog, path string) (string, error) {
	if strings.ContainsRune(prog, '/') {
		return runnable(prog)
	}
	var denied error
	for _, dir := range filepath.SplitList(path) {
		p, err := runnable(filepath.Join(dir, prog))
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, errno.Perm) && denied == nil:
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", errno.New(errno.NoEntry, "cannot bind %q: no directory of PATH has such a program", prog).
		Next("give the path of the program")
}

// runnable gives the absolute path of a file that this process may execute.
func runnable(p string) (string, error) {
	st, err := os.Stat(p)
	if err != nil {
		return "", errno.New(errno.NoEntry, "cannot bind %q: %v", p, err).Next("give the path of the program")
	}
	if st.IsDir() || unix.Access(p, unix.X_OK) != nil {
		return "", errno.New(errno.Perm, "cannot bind %q: it cannot be executed", p).Next("make it executable with: chmod +x %s", p)
	}
	return filepath.Abs(p)
}

//export core_unbind_program
func core_unbind_program(prog, name *C.char, bell C.int) C.int {
	p, n := C.GoString(prog), C.GoString(name)
	return do(bell, func(ctx context.Context, c *irm.Client) error { return c.UnbindProgram(ctx, p, n) })
}

//export core_bind_process
func core_bind_process(pid C.int, name *C.char, bell C.int) C.int {
	n, dir := C.GoString(name), runtimeDir()
	return do(bell, func(ctx context.Context, c *irm.Client) error {
		if int(pid) == os.Getpid() {
			// The daemon knows processes that use flows. This one is about to.
			if _, err := client(dir); err != nil {
				return err
			}
		}
		return c.BindProcess(ctx, int(pid), n)
	})
}

//export core_unbind_process
func core_unbind_process(pid C.int, name *C.char, bell C.int) C.int {
	n := C.GoString(name)
	return do(bell, func(ctx context.Context, c *irm.Client) error { return c.UnbindProcess(ctx, int(pid), n) })
}

//export core_create_name
func core_create_name(info *C.struct_name_info, bell C.int) C.int {
	n := irm.NameInfo{
		Name:    text(info.name[:]),
		Balance: irm.Balance(info.pol_lb),
		Server:  pathsFromC(&info.s),
		Client:  pathsFromC(&info.c),
	}
	if err := irm.CheckName("name", n.Name); err != nil {
		return fail(err)
	}
	if _, ok := irm.ParseBalance(n.Balance.String()); !ok {
		return fail(errno.New(errno.Invalid, "there is no policy %d for balancing", int(n.Balance)).
			Next("it can be LB_RR or LB_SPILL"))
	}
	return do(bell, func(ctx context.Context, c *irm.Client) error { return c.CreateName(ctx, n) })
}

func pathsFromC(p *C.struct_name_sec_paths) irm.SecPaths {
	return irm.SecPaths{Enc: text(p.enc[:]), Key: text(p.key[:]), Cert: text(p.crt[:])}
}

//export core_destroy_name
func core_destroy_name(name *C.char, bell C.int) C.int {
	n := C.GoString(name)
	return do(bell, func(ctx context.Context, c *irm.Client) error { return c.DestroyName(ctx, n) })
}

//export core_reg_name
func core_reg_name(name *C.char, pid C.int, bell C.int) C.int {
	n := C.GoString(name)
	return do(bell, func(ctx context.Context, c *irm.Client) error { return c.RegName(ctx, n, int(pid)) })
}

//export core_unreg_name
func core_unreg_name(name *C.char, pid C.int, bell C.int) C.int {
	n := C.GoString(name)
	return do(bell, func(ctx context.Context, c *irm.Client) error { return c.UnregName(ctx, n, int(pid)) })
}

//export core_list_ipcps
func core_list_ipcps(bell C.int) C.int {
	return manage(bell, func(ctx context.Context, c *irm.Client, o *op) (int, error) {
		list, err := c.ListIPCPs(ctx)
		if err != nil || len(list) == 0 {
			return 0, err
		}
		out, err := calloc[C.struct_ipcp_list_info](len(list))
		if err != nil {
			return 0, err
		}
		for i, l := range list {
			out[i].pid, out[i]._type = C.pid_t(l.PID), uint32(l.Type)
			putField(out[i].name[:], l.Name)
			putField(out[i].layer[:], l.Layer)
		}
		o.list = unsafe.Pointer(&out[0])
		return len(list), nil
	})
}

//export core_list_names
func core_list_names(bell C.int) C.int {
	return manage(bell, func(ctx context.Context, c *irm.Client, o *op) (int, error) {
		list, err := c.ListNames(ctx)
		if err != nil || len(list) == 0 {
			return 0, err
		}
		out, err := calloc[C.struct_name_info](len(list))
		if err != nil {
			return 0, err
		}
		for i, l := range list {
			putField(out[i].name[:], l.Name)
			out[i].pol_lb = uint32(l.Balance)
			pathsToC(&out[i].s, l.Server)
			pathsToC(&out[i].c, l.Client)
		}
		o.list = unsafe.Pointer(&out[0])
		return len(list), nil
	})
}

func pathsToC(out *C.struct_name_sec_paths, p irm.SecPaths) {
	putField(out.enc[:], p.Enc)
	putField(out.key[:], p.Key)
	putField(out.crt[:], p.Cert)
}

// calloc gives zeroed memory that the caller frees with free.
func calloc[T any](n int) ([]T, error) {
	var t T
	p := C.calloc(C.size_t(n), C.size_t(unsafe.Sizeof(t)))
	if p == nil {
		return nil, errno.NoMemory
	}
	return unsafe.Slice((*T)(p), n), nil
}

// putField copies a text into a field, cut so that a zero byte ends it.
func putField(field []C.char, s string) {
	if len(s) > len(field)-1 {
		s = s[:len(field)-1]
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&field[0])), len(field)), s)
}

// text is what a field holds, up to its zero byte, or all of it without one.
func text(field []C.char) string {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&field[0])), len(field))
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func configFromC(c *C.struct_config) *irm.Config {
	cfg := irm.NewConfig(irm.IPCPType(c._type), C.GoString(c.layer))
	switch cfg.Type {
	case irm.UDP4, irm.UDP6: // always MD5
	default:
		cfg.Hash = irm.HashAlgo(c.hash)
	}
	switch {
	case cfg.Unicast != nil:
		*cfg.Unicast = irm.UnicastConfig{
			AddrSize: uint8(c.addr_size), EIDSize: uint8(c.eid_size), MaxTTL: uint8(c.max_ttl),
			Routing: irm.Routing(c.routing), Congestion: irm.Congestion(c.congestion),
			LSRecalc: seconds(c.t_recalc), LSUpdate: seconds(c.t_update), LSTimeout: seconds(c.t_timeo),
			DHTAlpha: uint32(c.alpha), DHTK: uint32(c.k), DHTExpire: uint32(c.t_expire),
			DHTRefresh: uint32(c.t_refresh), DHTReplicate: uint32(c.t_replicate),
		}
	case cfg.Eth != nil:
		cfg.Eth.Device, cfg.Eth.Ethertype = C.GoString(c.device), uint16(c.ethertype)
	case cfg.UDP != nil:
		size := 4
		if cfg.Type == irm.UDP6 {
			size = 16
		}
		cfg.UDP.IP, _ = netip.AddrFromSlice(unsafe.Slice((*byte)(c.ip), size))
		if c.dns != nil {
			cfg.UDP.DNS, _ = netip.AddrFromSlice(unsafe.Slice((*byte)(c.dns), size))
		}
		cfg.UDP.Port = uint16(c.port)
	}
	return cfg
}

// seconds is 0, which no time can be, for what does not fit.
func seconds(t C.int64_t) uint32 {
	if t != C.int64_t(uint32(t)) {
		return 0
	}
	return uint32(t)
}
