package registry

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinesOfOutput(t *testing.T) {
	log := &logBuffer{}
	l := &lineLog{ctx: bg, log: slog.New(slog.NewTextHandler(log, nil))}
	l.Write([]byte("one\ntw"))
	l.Write([]byte("o\r\n\nthree"))
	l.Write(bytes.Repeat([]byte("x"), 3*longestLine))
	l.flush()
	l.flush()
	for _, want := range []string{"line=one\n", "line=two\n", "line=three"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 6 {
		t.Errorf("%d entries", lines)
	}
}

func TestAFloodOfOutputIsCountedAndNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		l := &lineLog{ctx: bg, log: slog.New(slog.NewTextHandler(log, nil))}
		l.Write([]byte(strings.Repeat("packet\n", mostLines+1000)))
		if n := strings.Count(log.String(), "line=packet"); n != mostLines {
			t.Errorf("%d lines were logged, want %d", n, mostLines)
		}
		time.Sleep(time.Second)
		l.Write([]byte("later\n"))
		for _, want := range []string{"lost=1000", "line=later"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s is missing", want)
			}
		}
		l.Write([]byte(strings.Repeat("packet\n", mostLines)))
		l.flush()
		if !strings.Contains(log.String(), "lost=1\n") {
			t.Error("what was lost last is not told")
		}
	})
}

func TestTheLastWordsOfAProgramAreNoWarning(t *testing.T) {
	ctx, cancel := context.WithCancel(bg)
	log := &logBuffer{}
	l := &lineLog{ctx: ctx, level: slog.LevelWarn, log: slog.New(slog.NewTextHandler(log, nil))}
	l.Write([]byte("trouble\n"))
	cancel()
	l.Write([]byte("the daemon has ended\n"))
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || strings.Count(got, "level=INFO") != 1 {
		t.Errorf("logged:\n%s", got)
	}
}
