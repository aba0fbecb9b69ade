package irm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"connectrpc.com/connect"

	"ouroboros/internal/errno"
	"ouroboros/internal/pb"
	"ouroboros/internal/pb/pbconnect"
	"ouroboros/internal/rundir"
	"ouroboros/qos"
)

// Client manages a node through its daemon. Its methods may be called from any
// goroutine. Errors of a daemon that does not answer wrap ErrIRMd.
type Client struct {
	dir       string
	rpc       pbconnect.IrmClient
	transport *http.Transport
}

var _ Service = (*Client)(nil)

// maxReply is the longest answer that is taken, in bytes: a list of a hundred
// thousand names.
const maxReply = 64 << 20

// dialTimeout is how long the daemon's socket may take to accept.
const dialTimeout = 5 * time.Second

// Dial connects to the daemon in OUROBOROS_RUNTIME_DIR, else to this user's,
// else to the system's. ErrIRMd when none answers.
func Dial() (*Client, error) { return DialDir("") }

// DialDir connects to the daemon that lives in dir; empty means Dial.
func DialDir(dir string) (*Client, error) { return DialContext(context.Background(), dir) }

// DialContext is DialDir for those who cannot wait for a daemon that hangs:
// ctx bounds the connecting, and nothing afterwards.
func DialContext(ctx context.Context, dir string) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := rundir.Dial(ctx, dir, "unix", rundir.APISocket)
	if err != nil {
		return nil, err
	}
	// The directory is settled now: later connections go to the same daemon.
	c := &Client{dir: filepath.Dir(conn.RemoteAddr().String())}
	conn.Close()
	c.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return rundir.Dial(ctx, c.dir, "unix", rundir.APISocket)
		},
		MaxIdleConns:    1,
		IdleConnTimeout: 10 * time.Second,
	}
	c.rpc = pbconnect.NewIrmClient(&http.Client{Transport: c.transport}, "http://irmd",
		connect.WithReadMaxBytes(maxReply), connect.WithAcceptCompression("gzip", nil, nil))
	return c, nil
}

// Dir is the runtime directory of the daemon.
func (c *Client) Dir() string { return c.dir }

// Close gives up idle connections. Calls that are running go on.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// failure gives the error of a call as package errno has it: what the daemon
// said, else why it could not be asked.
func failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var ce *connect.Error
	if errors.As(err, &ce) {
		for _, d := range ce.Details() {
			if v, verr := d.Value(); verr == nil {
				if f, ok := v.(*pb.Failure); ok {
					return f.Err()
				}
			}
		}
	}
	var d *errno.Detail
	if errors.As(err, &d) { // the connection could not be made
		return d
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), connect.CodeOf(err) == connect.CodeDeadlineExceeded:
		return errno.New(errno.TimedOut, "the IRM daemon did not finish in time")
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if ce != nil {
		err = fmt.Errorf("%s: %w", ce.Code(), ce.Unwrap())
	}
	return errno.New(errno.IRMd, "cannot talk to the IRM daemon: %v", err).
		Next("see whether it still runs, or start it with: irmd")
}

// CreateIPCP implements Service.
func (c *Client) CreateIPCP(ctx context.Context, name string, t IPCPType) (int, error) {
	r, err := c.rpc.CreateIPCP(ctx, &pb.CreateIPCPRequest{Name: name, Type: pb.IPCPType_Word(t)})
	return int(r.GetPid()), failure(ctx, err)
}

// DestroyIPCP implements Service.
func (c *Client) DestroyIPCP(ctx context.Context, pid int) error {
	_, err := c.rpc.DestroyIPCP(ctx, &pb.DestroyIPCPRequest{Pid: number32(pid)})
	return failure(ctx, err)
}

// BootstrapIPCP implements Service.
func (c *Client) BootstrapIPCP(ctx context.Context, pid int, cfg *Config) (LayerInfo, error) {
	if cfg == nil {
		return LayerInfo{}, errno.New(errno.Invalid, "cannot bootstrap IPCP %d without a configuration", pid)
	}
	r, err := c.rpc.BootstrapIPCP(ctx, &pb.BootstrapIPCPRequest{Pid: number32(pid), Config: configToPB(cfg)})
	return layerFromPB(r.GetLayer()), failure(ctx, err)
}

// EnrollIPCP implements Service.
func (c *Client) EnrollIPCP(ctx context.Context, pid int, dst string) (LayerInfo, error) {
	r, err := c.rpc.EnrollIPCP(ctx, &pb.EnrollIPCPRequest{Pid: number32(pid), Dst: dst})
	return layerFromPB(r.GetLayer()), failure(ctx, err)
}

// ConnectIPCP implements Service.
func (c *Client) ConnectIPCP(ctx context.Context, pid int, component, dst string, spec qos.Spec) error {
	_, err := c.rpc.ConnectIPCP(ctx, &pb.ConnectIPCPRequest{
		Pid: number32(pid), Component: component, Dst: dst, Qos: pb.QoSOf(spec),
	})
	return failure(ctx, err)
}

// DisconnectIPCP implements Service.
func (c *Client) DisconnectIPCP(ctx context.Context, pid int, component, dst string) error {
	_, err := c.rpc.DisconnectIPCP(ctx, &pb.DisconnectIPCPRequest{Pid: number32(pid), Component: component, Dst: dst})
	return failure(ctx, err)
}

// ListIPCPs implements Service.
func (c *Client) ListIPCPs(ctx context.Context) ([]IPCPInfo, error) {
	r, err := c.rpc.ListIPCPs(ctx, &pb.ListIPCPsRequest{})
	return list(r.GetIpcps(), ipcpFromPB), failure(ctx, err)
}

// ShowIPCP implements Service. Numbers are float64, as in JSON.
func (c *Client) ShowIPCP(ctx context.Context, pid int) (map[string]any, error) {
	r, err := c.rpc.ShowIPCP(ctx, &pb.ShowIPCPRequest{Pid: number32(pid)})
	if err != nil {
		return nil, failure(ctx, err)
	}
	return r.GetComponents().AsMap(), nil
}

// CreateName implements Service.
func (c *Client) CreateName(ctx context.Context, info NameInfo) error {
	_, err := c.rpc.CreateName(ctx, &pb.CreateNameRequest{
		Name: info.Name, Balance: pb.Balance_Word(info.Balance),
		Server: pathsToPB(info.Server), Client: pathsToPB(info.Client),
		ServerDemand: pb.Demand_Word(info.ServerDemand), ClientDemand: pb.Demand_Word(info.ClientDemand), Allow: info.Allow,
	})
	return failure(ctx, err)
}

// SetName implements Service.
func (c *Client) SetName(ctx context.Context, name string, change NameChange) error {
	r := &pb.SetNameRequest{Name: name, Server: change.Server.toPB(), Client: change.Client.toPB()}
	if change.Balance != nil {
		r.Balance = pb.Balance_Word(*change.Balance).Enum()
	}
	if change.Allow != nil {
		r.Allow = &pb.AllowList{Names: *change.Allow}
	}
	_, err := c.rpc.SetName(ctx, r)
	return failure(ctx, err)
}

// DestroyName implements Service.
func (c *Client) DestroyName(ctx context.Context, name string) error {
	_, err := c.rpc.DestroyName(ctx, &pb.DestroyNameRequest{Name: name})
	return failure(ctx, err)
}

// ListNames implements Service.
func (c *Client) ListNames(ctx context.Context) ([]NameInfo, error) {
	r, err := c.rpc.ListNames(ctx, &pb.ListNamesRequest{})
	return list(r.GetNames(), nameFromPB), failure(ctx, err)
}

// RegName implements Service.
func (c *Client) RegName(ctx context.Context, name string, pid int) error {
	_, err := c.rpc.RegName(ctx, &pb.RegNameRequest{Name: name, Pid: number32(pid)})
	return failure(ctx, err)
}

// UnregName implements Service.
func (c *Client) UnregName(ctx context.Context, name string, pid int) error {
	_, err := c.rpc.UnregName(ctx, &pb.UnregNameRequest{Name: name, Pid: number32(pid)})
	return failure(ctx, err)
}

// BindProgram implements Service. A program that is started on demand runs as
// the user who called.
func (c *Client) BindProgram(ctx context.Context, b ProgramBinding) error {
	_, err := c.rpc.BindProgram(ctx, &pb.BindProgramRequest{Program: b.Program, Args: b.Args, Name: b.Name, Auto: b.Auto})
	return failure(ctx, err)
}

// UnbindProgram implements Service.
func (c *Client) UnbindProgram(ctx context.Context, prog, name string) error {
	_, err := c.rpc.UnbindProgram(ctx, &pb.UnbindProgramRequest{Program: prog, Name: name})
	return failure(ctx, err)
}

// BindProcess implements Service.
func (c *Client) BindProcess(ctx context.Context, pid int, name string) error {
	_, err := c.rpc.BindProcess(ctx, &pb.BindProcessRequest{Pid: number32(pid), Name: name})
	return failure(ctx, err)
}

// UnbindProcess implements Service.
func (c *Client) UnbindProcess(ctx context.Context, pid int, name string) error {
	_, err := c.rpc.UnbindProcess(ctx, &pb.UnbindProcessRequest{Pid: number32(pid), Name: name})
	return failure(ctx, err)
}

// ListPrograms implements Service.
func (c *Client) ListPrograms(ctx context.Context) ([]ProgramInfo, error) {
	r, err := c.rpc.ListPrograms(ctx, &pb.ListProgramsRequest{})
	return list(r.GetPrograms(), programFromPB), failure(ctx, err)
}

// ListProcesses implements Service.
func (c *Client) ListProcesses(ctx context.Context) ([]ProcessInfo, error) {
	r, err := c.rpc.ListProcesses(ctx, &pb.ListProcessesRequest{})
	return list(r.GetProcesses(), processFromPB), failure(ctx, err)
}

// ListFlows implements Service.
func (c *Client) ListFlows(ctx context.Context) ([]FlowInfo, error) {
	r, err := c.rpc.ListFlows(ctx, &pb.ListFlowsRequest{})
	return list(r.GetFlows(), flowFromPB), failure(ctx, err)
}

// Status implements Service.
func (c *Client) Status(ctx context.Context) (Status, error) {
	r, err := c.rpc.Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return Status{}, failure(ctx, err)
	}
	return statusFromPB(r), nil
}

// Watch implements Service. When ctx ends it returns ctx's error.
func (c *Client) Watch(ctx context.Context, f func(Event) error) error {
	// The request must end with this call, also when f fails.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.rpc.Watch(ctx, &pb.WatchRequest{})
	if err != nil {
		return failure(ctx, err)
	}
	defer s.Close()
	for s.Receive() {
		if err := f(eventFromPB(s.Msg())); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.Err(); err != nil {
		return failure(ctx, err)
	}
	return errno.New(errno.IRMd, "the IRM daemon has ended").Next("start it again with: irmd")
}
