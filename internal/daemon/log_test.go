package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestLogsForReadingHaveALineEach(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(newHandler(&b, form{Human: true}, slog.LevelInfo))
	log.With("ipcp", "n1").WithGroup("flow").Info("allocated", "id", 7, slog.Group("peer", "pid", 3), "name", "a b")
	log.Debug("not shown")
	log.Warn("bad\nline\x1b[31m", "err", errors.New("x=\"\x1b[2J"))
	log.Error("worse", "empty", "")
	want := []string{
		`^\d\d:\d\d:\d\d\.\d{3} INFO  allocated ipcp=n1 flow\.id=7 flow\.peer\.pid=3 flow\.name="a b"$`,
		`^\d\d:\d\d:\d\d\.\d{3} WARN  bad\?line\?\[31m err="x=\\"\\x1b\[2J"$`,
		`^\d\d:\d\d:\d\d\.\d{3} ERROR worse empty=""$`,
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%s", len(lines), b.String())
	}
	for i, w := range want {
		if !regexp.MustCompile(w).MatchString(lines[i]) {
			t.Errorf("line %d is %q, want %s", i, lines[i], w)
		}
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	for _, colour := range []bool{true, false} {
		var b bytes.Buffer
		slog.New(newHandler(&b, form{Human: true, Colour: colour}, slog.LevelInfo)).Info("hello", "a", 1)
		if strings.Contains(b.String(), "\x1b[32mINFO ") != colour || strings.Contains(b.String(), "\x1b") != colour {
			t.Errorf("with colour %v: %q", colour, b.String())
		}
	}
}

func TestTheJournalGetsPrioritiesAndNoTime(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(newHandler(&b, form{System: true}, slog.LevelDebug)).With("ipcp", "n1")
	log.Debug("d")
	log.Info("i", "x", "y z")
	log.Warn("w")
	log.Error("e")
	want := "<7>level=DEBUG msg=d ipcp=n1\n<6>level=INFO msg=i ipcp=n1 x=\"y z\"\n<4>level=WARN msg=w ipcp=n1\n<3>level=ERROR msg=e ipcp=n1\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	slog.New(newHandler(&b, form{System: true, JSON: true}, slog.LevelDebug)).Info("i", "time", "mine")
	if got := b.String(); got != `{"level":"INFO","msg":"i"}`+"\n" && !strings.Contains(got, `"msg":"i"`) {
		t.Error(got)
	}
}

func TestTheLevelChangesWhileLogging(t *testing.T) {
	for _, f := range []form{{}, {JSON: true}, {Human: true}, {System: true}} {
		var b bytes.Buffer
		var v slog.LevelVar
		log := slog.New(newHandler(&b, f, &v)).With("a", 1)
		log.Debug("hidden")
		v.Set(slog.LevelDebug)
		log.Debug("shown")
		if strings.Contains(b.String(), "hidden") || !strings.Contains(b.String(), "shown") {
			t.Errorf("%+v: %q", f, b.String())
		}
	}
}

// lines counts complete lines per write.
type lines struct {
	mu   sync.Mutex
	torn int
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Count(p, []byte{'\n'}) != 1 || p[len(p)-1] != '\n' {
		l.torn++
	}
	return len(p), nil
}

func TestRecordsOfManyGoroutinesDoNotMix(t *testing.T) {
	for _, f := range []form{{}, {Human: true}, {System: true}} {
		var l lines
		log := slog.New(newHandler(&l, f, slog.LevelInfo))
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				mine := log.With("goroutine", i)
				for n := range 100 {
					mine.Info("hello", "n", n)
				}
			})
		}
		wg.Wait()
		if l.torn > 0 {
			t.Errorf("%+v: %d torn lines", f, l.torn)
		}
	}
}

func BenchmarkHuman(b *testing.B) {
	log := slog.New(newHandler(io.Discard, form{Human: true}, slog.LevelInfo))
	for b.Loop() {
		log.Info("allocated", "flow", 7, "name", "oping", "err", fmt.Stringer(nil))
	}
}
