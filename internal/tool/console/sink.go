package console

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

// Sink remembers the first failure of a writer, which a tool has no time to
// look at while it measures.
type Sink struct {
	W io.Writer

	mu  sync.Mutex
	err error
}

// Write implements io.Writer.
func (s *Sink) Write(p []byte) (int, error) {
	n, err := s.W.Write(p)
	if err != nil {
		s.mu.Lock()
		if s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
	}
	return n, err
}

// Err gives the failure. A reader that has seen enough, as head(1), is none.
func (s *Sink) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, syscall.EPIPE) {
		return nil
	}
	return s.err
}
