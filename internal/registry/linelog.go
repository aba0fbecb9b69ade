package registry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// longestLine is where a line of output is cut, in bytes.
	longestLine = 4096
	// mostLines is how many lines a second one output of a program may log. A
	// server that reports each packet of a flood would bury all else.
	mostLines = 50
)

// lineLog turns what a program writes into log entries, one a line. When the
// node ends it has asked the program to end, and nothing that the program says
// to that is a warning.
type lineLog struct {
	ctx   context.Context // of the node
	level slog.Level

	mu    sync.Mutex
	log   *slog.Logger
	line  []byte
	since time.Time // of the present second
	lines int       // logged in it
	lost  int       // not logged
}

var _ io.Writer = (*lineLog)(nil)

func (l *lineLog) set(log *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = log
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		for len(l.line)+len(part) >= longestLine {
			cut := longestLine - len(l.line)
			l.line = append(l.line, part[:cut]...)
			part = part[cut:]
			l.emit()
		}
		l.line = append(l.line, part...)
		if i < 0 {
			break
		}
		l.emit()
		p = p[i+1:]
	}
	return n, nil
}

// flush logs what has no end of line, and what was not logged.
func (l *lineLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.emit()
	l.tellLost()
}

func (l *lineLog) emit() {
	line := bytes.TrimRight(l.line, "\r")
	l.line = l.line[:0]
	if len(line) == 0 {
		return
	}
	if now := time.Now(); now.Sub(l.since) >= time.Second {
		l.tellLost()
		l.since, l.lines = now, 0
	}
	if l.lines++; l.lines > mostLines {
		l.lost++
		return
	}
	level := l.level
	if l.ctx.Err() != nil {
		level = min(level, slog.LevelInfo)
	}
	l.log.Log(context.Background(), level, "output", "line", string(line))
}

func (l *lineLog) tellLost() {
	if l.lost > 0 {
		l.log.Info("the program writes more than is logged", "lost", l.lost)
		l.lost = 0
	}
}
