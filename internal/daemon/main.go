package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"ouroboros"
	"ouroboros/internal/config"
)

// Main is the daemon from its command line to its exit code: 0 after a clean
// stop, 1 for everything else.
func Main(args []string) int {
	o, err := ParseOptions(args)
	var bad usageError
	switch {
	case errors.As(err, &bad):
		fmt.Fprintf(os.Stderr, "irmd: %v\ntry: irmd --help\n", err)
		return 1
	case o.Version:
		fmt.Printf("Ouroboros version %s\n", ouroboros.Version)
		return 0
	case o.Help:
		io.WriteString(os.Stdout, Usage)
		return 0
	}
	file, err := readConfig(o)
	if err != nil {
		var e *config.Error
		if errors.As(err, &e) {
			err = fmt.Errorf("the configuration has errors:\n%w", err)
		}
		fmt.Fprintf(os.Stderr, "irmd: %v\n", err)
		return 1
	}
	if o.Check {
		for _, w := range file.Warnings {
			fmt.Println("warning:", w.Show())
		}
		fmt.Printf("%s: no errors\n", o.Config)
		return 0
	}

	d := &Daemon{options: o, file: file, level: new(slog.LevelVar)}
	d.setLevel(file)
	format := o.Format
	if format == "" {
		format = file.Daemon.LogFormat
	}
	d.log = openLog(o, format, d.level)
	for _, w := range file.Warnings {
		d.log.Warn(w.Error())
	}
	if err := d.settle(); err != nil {
		fmt.Fprintf(os.Stderr, "irmd: %v\n", err)
		return 1
	}
	if err := hide(); err != nil {
		d.log.Warn("other processes of this user can read the daemon's memory", "err", err)
	}

	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	tune := make(chan os.Signal, 8)
	signal.Notify(tune, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	// Caught and dropped rather than ignored: programs that the daemon starts
	// would inherit an ignored signal.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		s := <-stop
		cancel(fmt.Errorf("signal %v", s))
		<-stop
		d.log.Error("stopped at once by a second signal")
		os.Exit(1)
	}()
	if err := d.Run(ctx, tune); err != nil {
		if d.node == nil && format != "json" {
			// It has not begun, and there is somebody who wanted it to.
			fmt.Fprintf(os.Stderr, "irmd: %v\n", err)
		} else {
			report(d.log, err)
		}
		return 1
	}
	return 0
}

// readConfig reads the configuration file if there is to be one, and looks
// whether what it names is there.
func readConfig(o Options) (*config.File, error) {
	if o.Config == "" {
		return &config.File{}, nil
	}
	f, err := config.Load(o.Config)
	if err != nil {
		return nil, err
	}
	return f, f.Check()
}

// report logs why the daemon ends. Errors of the configuration are shown with
// their lines.
func report(log *slog.Logger, err error) {
	var e *config.Error
	if errors.As(err, &e) {
		log.Error("the configuration could not be carried out; the daemon ends", "at", e.Place.String(), "err", e.Message)
		return
	}
	log.Error("the daemon ends", "err", err)
}
