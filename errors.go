package ouroboros

import "ouroboros/internal/errno"

// The errors that callers branch on, with the number that the C interface
// gives for each. Compare with errors.Is; the text of a returned error says
// more.
var (
	ErrPerm       error = errno.Perm       // 1 EPERM
	ErrBadFlow    error = errno.BadFlow    // 9 EBADF: no flow descriptor is left
	ErrWouldBlock error = errno.Again      // 11 EAGAIN
	ErrNoMemory   error = errno.NoMemory   // 12 ENOMEM
	ErrExist      error = errno.Exist      // 17 EEXIST
	ErrInvalid    error = errno.Invalid    // 22 EINVAL
	ErrMsgSize    error = errno.MsgSize    // 90 EMSGSIZE
	ErrNotSup     error = errno.NotSup     // 95 ENOTSUP
	ErrConnReset  error = errno.ConnReset  // 104 ECONNRESET
	ErrLimit      error = errno.NoBufs     // 105 ENOBUFS: a limit of the node or of this process
	ErrTimeout    error = errno.TimedOut   // 110 ETIMEDOUT; also os.ErrDeadlineExceeded
	ErrNotAlloc   error = errno.NotAlloc   // 1000; also os.ErrClosed
	ErrIPCPType   error = errno.IPCPType   // 1001
	ErrIRMd       error = errno.IRMd       // 1002
	ErrIPCP       error = errno.IPCP       // 1003
	ErrIPCPState  error = errno.IPCPState  // 1004
	ErrFlowDown   error = errno.FlowDown   // 1005
	ErrFlowPeer   error = errno.FlowPeer   // 1006
	ErrName       error = errno.NameError  // 1007
	ErrCrypt      error = errno.Crypt      // 1008
	ErrAuth       error = errno.AuthFailed // 1009
)

// Errno gives the positive number of err in the C interface, 0 for nil.
func Errno(err error) int { return errno.Number(err) }
