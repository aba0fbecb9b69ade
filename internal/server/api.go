package server

import (
	"context"
	"net/http"
	"path"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	"ouroboros/internal/errno"
	"ouroboros/internal/pb"
	"ouroboros/internal/pb/pbconnect"
	"ouroboros/irm"
)

// api is the management service. Permission was checked before.
type api struct{ s *Server }

var _ pbconnect.IrmHandler = (*api)(nil)

// doing says in words what a procedure does, for those who may not.
var doing = map[string]string{
	pbconnect.IrmCreateIPCPProcedure:     "create an IPCP",
	pbconnect.IrmDestroyIPCPProcedure:    "destroy an IPCP",
	pbconnect.IrmBootstrapIPCPProcedure:  "bootstrap an IPCP",
	pbconnect.IrmEnrollIPCPProcedure:     "enroll an IPCP",
	pbconnect.IrmConnectIPCPProcedure:    "connect an IPCP",
	pbconnect.IrmDisconnectIPCPProcedure: "disconnect an IPCP",
	pbconnect.IrmListIPCPsProcedure:      "list IPCPs",
	pbconnect.IrmShowIPCPProcedure:       "show an IPCP",
	pbconnect.IrmCreateNameProcedure:     "create a name",
	pbconnect.IrmDestroyNameProcedure:    "destroy a name",
	pbconnect.IrmListNamesProcedure:      "list names",
	pbconnect.IrmRegNameProcedure:        "register a name",
	pbconnect.IrmUnregNameProcedure:      "unregister a name",
	pbconnect.IrmBindProgramProcedure:    "bind a program",
	pbconnect.IrmUnbindProgramProcedure:  "unbind a program",
	pbconnect.IrmBindProcessProcedure:    "bind a process",
	pbconnect.IrmUnbindProcessProcedure:  "unbind a process",
	pbconnect.IrmListProgramsProcedure:   "list programs",
	pbconnect.IrmListProcessesProcedure:  "list processes",
	pbconnect.IrmListFlowsProcedure:      "list flows",
	pbconnect.IrmWatchProcedure:          "watch the node",
}

// allow decides whether the caller may call a procedure.
func (s *Server) allow(ctx context.Context, procedure string) error {
	p := peerFrom(ctx)
	var err error
	if procedure == pbconnect.IrmStatusProcedure {
		err = s.access.Load().mayFlow(p)
	} else {
		what := doing[procedure]
		if what == "" {
			what = path.Base(procedure)
		}
		err = s.access.Load().mayManage(p, what)
	}
	if err != nil {
		s.count.denied.Add(1)
		s.log.Debug("call refused", "pid", p.pid, "uid", p.uid, "procedure", procedure)
	}
	return err
}

func (a *api) CreateIPCP(ctx context.Context, r *pb.CreateIPCPRequest) (*pb.CreateIPCPResponse, error) {
	pid, err := a.s.node.CreateIPCP(ctx, r.Name, irm.IPCPType(r.Type))
	if err != nil {
		return nil, err
	}
	return &pb.CreateIPCPResponse{Pid: int32(pid)}, nil
}

func (a *api) DestroyIPCP(ctx context.Context, r *pb.DestroyIPCPRequest) (*pb.DestroyIPCPResponse, error) {
	return &pb.DestroyIPCPResponse{}, a.s.node.DestroyIPCP(ctx, int(r.Pid))
}

func (a *api) BootstrapIPCP(ctx context.Context, r *pb.BootstrapIPCPRequest) (*pb.BootstrapIPCPResponse, error) {
	cfg, err := configFromPB(r.Config)
	if err != nil {
		return nil, err
	}
	l, err := a.s.node.BootstrapIPCP(ctx, int(r.Pid), cfg)
	if err != nil {
		return nil, err
	}
	return &pb.BootstrapIPCPResponse{Layer: layerToPB(l)}, nil
}

func (a *api) EnrollIPCP(ctx context.Context, r *pb.EnrollIPCPRequest) (*pb.EnrollIPCPResponse, error) {
	l, err := a.s.node.EnrollIPCP(ctx, int(r.Pid), r.Dst)
	if err != nil {
		return nil, err
	}
	return &pb.EnrollIPCPResponse{Layer: layerToPB(l)}, nil
}

func (a *api) ConnectIPCP(ctx context.Context, r *pb.ConnectIPCPRequest) (*pb.ConnectIPCPResponse, error) {
	return &pb.ConnectIPCPResponse{}, a.s.node.ConnectIPCP(ctx, int(r.Pid), r.Component, r.Dst, r.Qos.Spec())
}

func (a *api) DisconnectIPCP(ctx context.Context, r *pb.DisconnectIPCPRequest) (*pb.DisconnectIPCPResponse, error) {
	return &pb.DisconnectIPCPResponse{}, a.s.node.DisconnectIPCP(ctx, int(r.Pid), r.Component, r.Dst)
}

func (a *api) ListIPCPs(ctx context.Context, _ *pb.ListIPCPsRequest) (*pb.ListIPCPsResponse, error) {
	l, err := a.s.node.ListIPCPs(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.ListIPCPsResponse{Ipcps: each(l, ipcpToPB)}, nil
}

func (a *api) ShowIPCP(ctx context.Context, r *pb.ShowIPCPRequest) (*pb.ShowIPCPResponse, error) {
	m, err := a.s.node.ShowIPCP(ctx, int(r.Pid))
	if err != nil {
		return nil, err
	}
	st, err := structToPB(m)
	if err != nil {
		return nil, err
	}
	return &pb.ShowIPCPResponse{Components: st}, nil
}

func (a *api) CreateName(ctx context.Context, r *pb.CreateNameRequest) (*pb.CreateNameResponse, error) {
	return &pb.CreateNameResponse{}, a.s.node.CreateName(ctx, irm.NameInfo{
		Name: r.Name, Balance: irm.Balance(r.Balance),
		Server: pathsFromPB(r.Server), Client: pathsFromPB(r.Client),
		ServerDemand: irm.Demand(r.ServerDemand), ClientDemand: irm.Demand(r.ClientDemand), Allow: r.Allow,
	})
}

func (a *api) SetName(ctx context.Context, r *pb.SetNameRequest) (*pb.SetNameResponse, error) {
	return &pb.SetNameResponse{}, a.s.node.SetName(ctx, r.Name, changeFromPB(r))
}

func (a *api) DestroyName(ctx context.Context, r *pb.DestroyNameRequest) (*pb.DestroyNameResponse, error) {
	return &pb.DestroyNameResponse{}, a.s.node.DestroyName(ctx, r.Name)
}

func (a *api) ListNames(ctx context.Context, _ *pb.ListNamesRequest) (*pb.ListNamesResponse, error) {
	l, err := a.s.node.ListNames(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.ListNamesResponse{Names: each(l, nameToPB)}, nil
}

func (a *api) RegName(ctx context.Context, r *pb.RegNameRequest) (*pb.RegNameResponse, error) {
	return &pb.RegNameResponse{}, a.s.node.RegName(ctx, r.Name, int(r.Pid))
}

func (a *api) UnregName(ctx context.Context, r *pb.UnregNameRequest) (*pb.UnregNameResponse, error) {
	return &pb.UnregNameResponse{}, a.s.node.UnregName(ctx, r.Name, int(r.Pid))
}

func (a *api) BindProgram(ctx context.Context, r *pb.BindProgramRequest) (*pb.BindProgramResponse, error) {
	if n := len(r.Args); n > maxArrayItem {
		return nil, errno.New(errno.Invalid, "cannot bind a program with %d arguments: %d are the most", n, maxArrayItem)
	}
	p := peerFrom(ctx)
	return &pb.BindProgramResponse{}, a.s.node.BindProgramAs(ctx, irm.ProgramBinding{
		Program: r.Program, Args: r.Args, Name: r.Name, Auto: r.Auto,
	}, p.uid, p.gid)
}

func (a *api) UnbindProgram(ctx context.Context, r *pb.UnbindProgramRequest) (*pb.UnbindProgramResponse, error) {
	return &pb.UnbindProgramResponse{}, a.s.node.UnbindProgram(ctx, r.Program, r.Name)
}

func (a *api) BindProcess(ctx context.Context, r *pb.BindProcessRequest) (*pb.BindProcessResponse, error) {
	return &pb.BindProcessResponse{}, a.s.node.BindProcess(ctx, int(r.Pid), r.Name)
}

func (a *api) UnbindProcess(ctx context.Context, r *pb.UnbindProcessRequest) (*pb.UnbindProcessResponse, error) {
	return &pb.UnbindProcessResponse{}, a.s.node.UnbindProcess(ctx, int(r.Pid), r.Name)
}

func (a *api) ListPrograms(ctx context.Context, _ *pb.ListProgramsRequest) (*pb.ListProgramsResponse, error) {
	l, err := a.s.node.ListPrograms(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.ListProgramsResponse{Programs: each(l, programToPB)}, nil
}

func (a *api) ListProcesses(ctx context.Context, _ *pb.ListProcessesRequest) (*pb.ListProcessesResponse, error) {
	l, err := a.s.node.ListProcesses(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.ListProcessesResponse{Processes: each(l, processToPB)}, nil
}

func (a *api) ListFlows(ctx context.Context, _ *pb.ListFlowsRequest) (*pb.ListFlowsResponse, error) {
	l, err := a.s.node.ListFlows(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.ListFlowsResponse{Flows: each(l, flowToPB)}, nil
}

func (a *api) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	st, err := a.s.node.Status(ctx)
	if err != nil {
		return nil, err
	}
	if st.Counters, err = a.s.counters(ctx); err != nil {
		return nil, err
	}
	st.Dir = a.s.Dir()
	return statusToPB(st), nil
}

func (a *api) Watch(ctx context.Context, _ *pb.WatchRequest, out *connect.ServerStream[pb.WatchResponse]) error {
	if err := out.Send(nil); err != nil { // the head of the answer: the watch has begun
		return err
	}
	return a.s.node.Watch(ctx, func(e irm.Event) error { return out.Send(eventToPB(e)) })
}

// events streams the changes of the node as one JSON object a line.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if err := s.allow(r.Context(), pbconnect.IrmWatchProcedure); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	if rc.Flush() != nil {
		return
	}
	line := protojson.MarshalOptions{EmitDefaultValues: true}
	// The client has left, or the node ends: there is nobody to tell.
	_ = s.node.Watch(r.Context(), func(e irm.Event) error {
		b, err := line.Marshal(eventToPB(e))
		if err != nil {
			return err
		}
		if _, err := w.Write(append(b, '\n')); err != nil {
			return err
		}
		return rc.Flush()
	})
}
