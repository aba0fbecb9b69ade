package server

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"ouroboros/internal/errno"
	"ouroboros/internal/pb"
)

// codes are the RPC codes of errors, for those who see nothing else.
var codes = []struct {
	err  error
	code connect.Code
}{
	{errno.Perm, connect.CodePermissionDenied},
	{errno.AuthFailed, connect.CodePermissionDenied},
	{errno.NoEntry, connect.CodeNotFound},
	{errno.NameError, connect.CodeNotFound},
	{errno.IPCP, connect.CodeNotFound},
	{errno.Exist, connect.CodeAlreadyExists},
	{errno.Invalid, connect.CodeInvalidArgument},
	{errno.IPCPType, connect.CodeInvalidArgument},
	{errno.IPCPState, connect.CodeFailedPrecondition},
	{errno.NotSup, connect.CodeUnimplemented},
	{errno.NoBufs, connect.CodeResourceExhausted},
	{errno.NoFiles, connect.CodeResourceExhausted},
	{errno.NoMemory, connect.CodeResourceExhausted},
	{errno.TimedOut, connect.CodeDeadlineExceeded},
	{errno.IRMd, connect.CodeUnavailable},
	{context.Canceled, connect.CodeCanceled},
}

// rpcError gives err a code, and its number, cause and next step as a detail.
func rpcError(err error) error {
	if err == nil {
		return nil
	}
	var done *connect.Error
	if errors.As(err, &done) {
		return err
	}
	code := connect.CodeUnknown
	for _, c := range codes {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	ce := connect.NewError(code, err)
	if d, derr := connect.NewErrorDetail(pb.FailureOf(err)); derr == nil {
		ce.AddDetail(d)
	}
	return ce
}

// errorWriter checks permission before every call and dresses its error.
type errorWriter struct{ s *Server }

// dress is rpcError for what a call ended with. The end of the server cancels
// the calls that run: their callers did not give up, they learn why.
func (e *errorWriter) dress(err error) error {
	if errors.Is(err, context.Canceled) && e.s.ctx.Err() != nil {
		err = errno.New(errno.IRMd, "the IRM daemon is stopping")
	}
	return rpcError(err)
}

// WrapUnary implements connect.Interceptor.
func (e *errorWriter) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if err := e.s.allow(ctx, req.Spec().Procedure); err != nil {
			return nil, rpcError(err)
		}
		res, err := next(ctx, req)
		return res, e.dress(err)
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (e *errorWriter) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := e.s.allow(ctx, conn.Spec().Procedure); err != nil {
			return rpcError(err)
		}
		return e.dress(next(ctx, conn))
	}
}

// WrapStreamingClient implements connect.Interceptor; there is no client here.
func (e *errorWriter) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}
