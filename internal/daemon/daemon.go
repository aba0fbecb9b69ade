package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"ouroboros"
	"ouroboros/internal/config"
	"ouroboros/internal/errno"
	"ouroboros/internal/registry"
	"ouroboros/internal/rundir"
	"ouroboros/internal/server"
	"ouroboros/stack"
)

// commit is stamped in by the linker; empty when it is not known.
var commit string

// Grace is how long the node has to end before the daemon goes without it.
const grace = 10 * time.Second

// Daemon is one irmd.
type Daemon struct {
	options Options
	file    *config.File
	log     *slog.Logger
	level   *slog.LevelVar
	places  places

	notify *notifier
	node   *stack.Node
	server *server.Server
}

// Run lives until ctx ends, or the daemon cannot go on. tune delivers
// SIGHUP, SIGUSR1 and SIGUSR2.
func (d *Daemon) Run(ctx context.Context, tune <-chan os.Signal) (err error) {
	d.notify = newNotifier(d.log)
	files := raiseFiles()
	d.sayConfined()

	if d.places.Dir == "" {
		d.places = d.findPlaces()
	}
	dir, err := rundir.Claim(d.places.Dir)
	if err != nil {
		return err
	}
	// The server gives the directory back; until there is one, this does.
	claimed := dir
	defer func() {
		if claimed != nil {
			claimed.Close()
		}
	}()

	access, err := accessOf(d.file.Access)
	if err != nil {
		return err
	}
	var store registry.Store
	memory := "forget"
	if d.places.State != "" {
		s, err := openState(d.places.State)
		if err != nil {
			return err
		}
		defer s.Close()
		store, memory = s, "keep"
	}
	version := ouroboros.Version
	if commit != "" {
		version += " (" + commit + ")"
	}
	d.log.Info("irmd starts", "version", version, "go", runtime.Version(),
		"pid", os.Getpid(), "uid", os.Geteuid(), "dir", dir.Path, "state", memory, "config", d.options.Config, "files", files)

	d.node, err = stack.New(stack.Config{
		Logger: d.log, Limits: nodeLimits(d.file.Limits), Store: store,
		Dir: dir.Path, SecurityDir: d.places.Security, Demands: demands(d.file),
		Trust: stack.TrustDirs{
			Authorities: d.file.Security.CACert, Intermediates: d.file.Security.Untrusted, Revoked: d.file.Security.Revoked,
		},
		ClockSlack: time.Duration(d.slack()) * time.Millisecond,
		NoPrograms: d.sandboxed(),
	})
	if err != nil {
		return err
	}
	d.server, err = server.New(server.Config{
		Claimed: dir, Node: d.node.Registry(), Fabric: d.node.Fabric(),
		Access: access, Limits: serverLimits(d.file.Limits), Log: d.log,
	})
	claimed = nil
	if err != nil {
		return errors.Join(err, d.end())
	}
	return d.serve(ctx, tune)
}

// serve runs the server, applies the configuration, and waits for the end.
func (d *Daemon) serve(ctx context.Context, tune <-chan os.Signal) error {
	var work sync.WaitGroup
	failed := make(chan error, 2)
	work.Go(func() {
		// It ends with end, or because a socket broke.
		if err := d.server.Serve(context.Background()); err != nil {
			failed <- err
		}
	})
	life, die := context.WithCancel(ctx)
	ready := make(chan struct{})
	work.Go(func() {
		rest, err := config.Apply(life, d.node.Registry(), d.file)
		if err != nil || life.Err() != nil {
			if life.Err() == nil {
				failed <- err
			}
			return
		}
		if waiting := rest.Waiting(); len(waiting) > 0 {
			d.log.Warn("not all neighbours of the configuration can be reached yet; irmd goes on trying", "waiting", waiting)
		}
		close(ready)
		for err := range rest.Failed {
			d.log.Error("a part of the configuration cannot be done", "err", err)
		}
	})
	work.Go(func() { d.notify.watch(life, d.healthy) })

	var err error
	for done := false; !done; {
		select {
		case <-ready:
			ready = nil
			d.notify.tell("READY=1")
			d.log.Info("irmd is ready")
		case s := <-tune:
			d.tune(s)
		case err = <-failed:
			done = true
		case <-ctx.Done():
			d.log.Info("irmd stops", "why", context.Cause(ctx))
			done = true
		}
	}
	d.notify.tell("STOPPING=1")
	begin := time.Now()
	die()
	err = errors.Join(err, d.end())
	work.Wait()
	if err == nil {
		d.log.Info("irmd has stopped", "after", time.Since(begin).Round(time.Millisecond))
	}
	return err
}

// end closes the node, which sends all flows down, and then the server.
func (d *Daemon) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := d.node.Shutdown(ctx)
	if d.server != nil {
		err = errors.Join(err, d.server.Close())
	}
	return err
}

// directory is the runtime directory that options or configuration choose.
// The variable stands between the two.
func (d *Daemon) directory() (path string, chosen bool) {
	switch {
	case d.options.RuntimeDir != "":
		path = d.options.RuntimeDir
	case os.Getenv(rundir.Env) != "":
	case d.file.Daemon.RuntimeDir != "":
		path = d.file.Daemon.RuntimeDir
	default:
		// That of a service manager, which is the place for all who look.
		if dir := os.Getenv("RUNTIME_DIRECTORY"); filepath.IsAbs(dir) && !strings.Contains(dir, ":") {
			path = dir
		}
		return path, false
	}
	return path, true
}

// demands are what the node demands where a name leaves it to the node.
func demands(f *config.File) stack.Demands {
	return stack.Demands{Server: f.Security.ServerDemand, Client: f.Security.ClientDemand}
}

// slack is how far the clock of another node may be ahead, in ms; 0 = the
// node's own default.
func (d *Daemon) slack() int {
	if d.options.ClockSlack > 0 {
		return d.options.ClockSlack
	}
	return d.file.Daemon.ClockSlack
}

// healthy asks the node for its state: an answer says that it is not stuck.
func (d *Daemon) healthy(ctx context.Context) error {
	answer := make(chan error, 1)
	go func() {
		_, err := d.node.Registry().Status(ctx)
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return errno.New(errno.TimedOut, "no answer in %v", d.notify.every)
	}
}

// tune changes the running daemon.
func (d *Daemon) tune(s os.Signal) {
	switch s {
	case syscall.SIGUSR1:
		d.shift(-1)
	case syscall.SIGUSR2:
		d.shift(+1)
	case syscall.SIGHUP:
		d.reload()
	}
}

// levels are the steps between which signals move.
var levels = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

func (d *Daemon) shift(by int) {
	now := 0
	for i, l := range levels {
		if d.level.Level() >= l {
			now = i
		}
	}
	next := levels[min(max(now+by, 0), len(levels)-1)]
	// The line is to be seen at whichever of the two shows more.
	d.level.Set(min(next, slog.LevelInfo))
	d.log.Info("log level changed", "level", next)
	d.level.Set(next)
}

// setLevel takes the level from the options, else from the configuration.
func (d *Daemon) setLevel(f *config.File) {
	switch {
	case d.options.Level != nil:
		d.level.Set(*d.options.Level)
	case f.Daemon.HasLevel:
		d.level.Set(f.Daemon.LogLevel)
	default:
		d.level.Set(slog.LevelInfo)
	}
}

// reload takes log level, access and the demands of the node from the
// configuration anew. Everything else is for irm, or the next start.
func (d *Daemon) reload() {
	if d.options.Config == "" {
		d.log.Warn("SIGHUP: there is no configuration file to read anew")
		return
	}
	f, err := readConfig(d.options)
	if err == nil {
		var a server.Access
		if a, err = accessOf(f.Access); err == nil {
			d.server.SetAccess(a)
			d.node.Registry().SetDemands(demands(f))
		}
	}
	if err != nil {
		d.log.Error("the configuration stays as it was", "err", oneLine(err))
		return
	}
	d.setLevel(f)
	d.log.Info("log level, access and demands are as the configuration says; the rest of it counts at the next start",
		"config", d.options.Config, "level", d.level.Level())
}

// oneLine gives the first of several errors.
func oneLine(err error) string {
	var all config.Errors
	if errors.As(err, &all) && len(all) > 0 {
		return all[0].Error()
	}
	return err.Error()
}
