package daemon

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// form is how log records are written.
type form struct {
	JSON   bool
	Human  bool // for reading; else logfmt
	Colour bool // only with Human
	System bool // the reader adds time and wants priorities: the journal
}

// newHandler makes the handler of the daemon's logs. The level may change at
// any time.
func newHandler(w io.Writer, f form, level slog.Leveler) slog.Handler {
	switch {
	case f.JSON:
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: timeless(f.System)})
	case f.Human:
		return &human{out: &output{w: w}, colour: f.Colour, level: level}
	case f.System:
		buf := &bytes.Buffer{}
		return &journal{
			out: &output{w: w}, buf: buf,
			inner: slog.NewTextHandler(buf, &slog.HandlerOptions{Level: level, ReplaceAttr: timeless(true)}),
		}
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
}

// timeless leaves the time out when the reader adds it.
func timeless(drop bool) func([]string, slog.Attr) slog.Attr {
	if !drop {
		return nil
	}
	return func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
}

// output writes one record at a time.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// journal puts the priority before each line, as journald reads it from a
// service's standard error.
type journal struct {
	out   *output
	buf   *bytes.Buffer // guarded by out.mu
	inner slog.Handler  // writes to buf
}

func (j *journal) Enabled(ctx context.Context, l slog.Level) bool { return j.inner.Enabled(ctx, l) }

func (j *journal) WithAttrs(as []slog.Attr) slog.Handler {
	return &journal{j.out, j.buf, j.inner.WithAttrs(as)}
}

func (j *journal) WithGroup(name string) slog.Handler {
	return &journal{j.out, j.buf, j.inner.WithGroup(name)}
}

func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	j.out.mu.Lock()
	defer j.out.mu.Unlock()
	j.buf.Reset()
	switch {
	case r.Level >= slog.LevelError:
		j.buf.WriteString("<3>")
	case r.Level >= slog.LevelWarn:
		j.buf.WriteString("<4>")
	case r.Level >= slog.LevelInfo:
		j.buf.WriteString("<6>")
	default:
		j.buf.WriteString("<7>")
	}
	if err := j.inner.Handle(ctx, r); err != nil {
		return err
	}
	_, err := j.out.w.Write(j.buf.Bytes())
	return err
}

// human writes records for reading:
//
//	17:04:05.000 INFO  bootstrapped ipcp=n1 layer=net
type human struct {
	out    *output
	colour bool
	level  slog.Leveler
	attrs  string // those of WithAttrs, written out
	group  string // with a dot at its end, or empty
}

func (h *human) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *human) WithAttrs(as []slog.Attr) slog.Handler {
	var b strings.Builder
	for _, a := range as {
		h.attr(&b, h.group, a)
	}
	next := *h
	next.attrs += b.String()
	return &next
}

func (h *human) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.group += name + "."
	}
	return &next
}

// Colours of the terminal.
const (
	plain  = "\x1b[0m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
)

func (h *human) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(h.in(dim, r.Time.Format("15:04:05.000")))
	word, colour := "DEBUG", ""
	switch {
	case r.Level >= slog.LevelError:
		word, colour = "ERROR", red
	case r.Level >= slog.LevelWarn:
		word, colour = "WARN ", yellow
	case r.Level >= slog.LevelInfo:
		word, colour = "INFO ", green
	}
	b.WriteString(" " + h.in(colour, word) + " " + visible(r.Message))
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		h.attr(&b, h.group, a)
		return true
	})
	b.WriteByte('\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, b.String())
	return err
}

func (h *human) in(colour, s string) string {
	if !h.colour || colour == "" {
		return s
	}
	return colour + s + plain
}

func (h *human) attr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			h.attr(b, group, inner)
		}
	default:
		b.WriteString(" " + h.in(dim, group+visible(a.Key)+"=") + quoted(v.String()))
	}
}

// quoted quotes what would not be read as one word, or could disturb a
// terminal.
func quoted(s string) string {
	if s == "" || s != visible(s) || strings.ContainsAny(s, " =\"") {
		return strconv.Quote(s)
	}
	return s
}

// visible replaces control characters.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// isTerminal reports whether f is one that shows colours.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// toJournal reports whether f is the journal's: systemd says its device and
// inode.
func toJournal(f *os.File) bool {
	dev, ino, ok := strings.Cut(os.Getenv("JOURNAL_STREAM"), ":")
	if !ok {
		return false
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	return strconv.FormatUint(uint64(st.Dev), 10) == dev && strconv.FormatUint(st.Ino, 10) == ino
}

// openLog makes the logger that the options and the configuration ask for.
func openLog(o Options, format string, level *slog.LevelVar) *slog.Logger {
	f := form{JSON: format == "json"}
	w := os.Stderr
	if o.Stdout {
		w = os.Stdout
		f.Human = true
		f.Colour = isTerminal(w)
	}
	if toJournal(w) {
		f.System, f.Human = true, false
	}
	return slog.New(newHandler(w, f, level))
}
