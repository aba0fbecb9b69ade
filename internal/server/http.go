package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"ouroboros/internal/errno"
	"ouroboros/internal/pb/pbconnect"
)

// Bounds of the management socket.
const (
	maxBody      = 1 << 20          // of a request, as sent and as unpacked
	maxHeader    = 16 << 10         //
	bodyTime     = 10 * time.Second // for a request to arrive
	writeTime    = 10 * time.Second // for a client to take what is written
	idleTime     = time.Minute      // between requests
	maxArrayItem = 4096             // in a repeated field of a request
)

// newHTTP makes the server of the management socket.
func (s *Server) newHTTP() *http.Server {
	mux := http.NewServeMux()
	mux.Handle(pbconnect.NewIrmHandler(&api{s},
		connect.WithReadMaxBytes(maxBody),
		connect.WithCompression("gzip", nil, nil), // of no use on one host
		connect.WithCodec(jsonCodec{}),
		connect.WithCodec(jsonCodec{charset: true}),
		connect.WithRecover(func(_ context.Context, spec connect.Spec, _ http.Header, cause any) error {
			return rpcError(s.fault(spec.Procedure, cause))
		}),
		connect.WithInterceptors(&errorWriter{s}),
	))
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /metrics", s.metrics)
	return &http.Server{
		Handler:           s.caught(bounded(mux)),
		ReadHeaderTimeout: bodyTime,
		IdleTimeout:       idleTime,
		ConnState:         s.conns.changed,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c.(*apiConn))
		},
	}
}

// connKey is the key of the *apiConn in the context of a request.
type connKey struct{}

func connFrom(ctx context.Context) *apiConn { return ctx.Value(connKey{}).(*apiConn) }

func peerFrom(ctx context.Context) *peer { return connFrom(ctx).peer }

// apiListener accepts connections to the management socket. Those for whom
// there is no room are told so in an answer to their request, as far as there
// is room for that.
type apiListener struct {
	s       *Server
	l       *net.UnixListener
	refused chan struct{} // a token for each connection that waits to be told
}

func (s *Server) newAPIListener() *apiListener {
	return &apiListener{s: s, l: s.api, refused: make(chan struct{}, 64)}
}

func (l *apiListener) Accept() (net.Conn, error) {
	for {
		c, err := l.s.accept(l.l)
		if err != nil {
			return nil, err
		}
		if !l.s.conns.enter() {
			c.Close()
			return nil, net.ErrClosed
		}
		p, err := l.s.admit(c, &l.s.door)
		if err == nil {
			l.s.count.calls.Add(1)
			return &apiConn{UnixConn: c, peer: p, leave: func() { l.s.door.leave(p) }}, nil
		}
		select {
		case l.refused <- struct{}{}:
			return &apiConn{UnixConn: c, refusal: err, leave: func() { <-l.refused }}, nil
		default:
			l.s.conns.served.Done()
			c.Close()
		}
	}
}

func (l *apiListener) Close() error   { return l.l.Close() }
func (l *apiListener) Addr() net.Addr { return l.l.Addr() }

// apiConn is a connection with its place. Every write has a limit in time.
type apiConn struct {
	*net.UnixConn
	peer    *peer
	refusal error // why there is no room; peer is nil then
	leave   func()
}

func (c *apiConn) Write(b []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(writeTime))
	return c.UnixConn.Write(b)
}

func (c *apiConn) Close() error {
	err := c.UnixConn.Close()
	if !errors.Is(err, net.ErrClosed) {
		c.leave()
	}
	return err
}

// fault is what a caller learns of a fault of ours, which ends nothing but his
// call.
func (s *Server) fault(call string, cause any) error {
	s.count.failed.Add(1)
	s.log.Error("a management call has failed; please report this", "call", call,
		"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	return errno.New(errno.IRMd, "the IRM daemon has failed in this call: %v", cause).
		Next("report this with what its log says")
}

// caught does the same for what is no RPC.
func (s *Server) caught(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch cause := recover(); cause {
			case nil:
			case http.ErrAbortHandler:
				panic(cause)
			default:
				http.Error(w, s.fault(r.URL.Path, cause).Error(), http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// bounded reads a request whole, within limits of size and time, before
// anything handles it: how long a call takes is not limited after that.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := connFrom(r.Context()).refusal; err != nil {
			w.Header().Set("Connection", "close")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		rc := http.NewResponseController(w)
		rc.SetReadDeadline(time.Now().Add(bodyTime))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		rc.SetReadDeadline(time.Time{})
		if err != nil {
			var large *http.MaxBytesError
			status := http.StatusBadRequest
			if errors.As(err, &large) {
				status = http.StatusRequestEntityTooLarge
			}
			w.Header().Set("Connection", "close")
			http.Error(w, "cannot read the request: "+err.Error(), status)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r)
	})
}

// conns counts the connections to the management socket, with the handlers
// that run on them, for whoever closes the server.
type conns struct {
	mu     sync.Mutex
	closed bool
	served sync.WaitGroup
}

// enter counts a connection; false when no more are served.
func (c *conns) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.served.Add(1)
	}
	return !c.closed
}

// changed is the http.Server's ConnState.
func (c *conns) changed(_ net.Conn, to http.ConnState) {
	if to == http.StateClosed || to == http.StateHijacked {
		c.served.Done()
	}
}

// wait returns when none is served any more.
func (c *conns) wait() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.served.Wait()
}

// metrics shows the counters of the node in the text format that monitoring
// systems read.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if err := s.access.Load().mayFlow(peerFrom(r.Context())); err != nil {
		s.count.denied.Add(1)
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	counters, err := s.counters(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		fmt.Fprintf(&b, "ouroboros_%s %d\n", metricName(name), counters[name])
	}
	io.WriteString(w, b.String())
}

// metricName keeps what a metric's name may consist of.
func metricName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, s)
}

// counters are those of the node and of the server.
func (s *Server) counters(ctx context.Context) (map[string]uint64, error) {
	st, err := s.node.Status(ctx)
	if err != nil {
		return nil, err
	}
	all := s.count.snapshot()
	maps.Copy(all, st.Counters)
	return all, nil
}
