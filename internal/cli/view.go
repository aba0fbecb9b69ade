package cli

import (
	"fmt"
	"time"

	"ouroboros/irm"
	"ouroboros/qos"
)

// What --json prints. Field names are kept from version to version; new ones
// may come. Lists are never null.

type ipcpView struct {
	PID   int    `json:"pid"`
	Name  string `json:"name"`
	Type  string `json:"type"`
	Layer string `json:"layer"` // empty when in none
	Hash  string `json:"hash"`  // empty when in no layer
	State string `json:"state"`
}

// shownView is an IPCP with what it says of its components.
type shownView struct {
	ipcpView
	Components any `json:"components"`
}

// createdView is an IPCP that is new.
type createdView struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
	Type string `json:"type"`
}

func viewIPCP(i irm.IPCPInfo) ipcpView {
	v := ipcpView{PID: i.PID, Name: i.Name, Type: i.Type.String(), State: i.State}
	if enrolled(i) {
		v.Layer, v.Hash = i.Layer, i.Hash.String()
	}
	return v
}

// enrolled reports whether the IPCP is in a layer.
func enrolled(i irm.IPCPInfo) bool { return i.Layer != "" && i.Layer != irm.NotEnrolled }

type nameView struct {
	Name          string             `json:"name"`
	Balance       string             `json:"lb"`
	Registrations []registrationView `json:"registrations"`
	Programs      []bindingView      `json:"programs"`
	Processes     []int              `json:"processes"`
	Accepting     int                `json:"accepting"`
	Server        irm.SecPaths       `json:"server"`
	Client        irm.SecPaths       `json:"client"`
	ServerDemand  string             `json:"server_demand"`
	ClientDemand  string             `json:"client_demand"`
	Allow         []string           `json:"allow"`    // empty = all
	Problems      []string           `json:"problems"` // with the security files
}

type registrationView struct {
	PID   int    `json:"pid"`
	IPCP  string `json:"ipcp"`
	Layer string `json:"layer"`
	Hash  string `json:"hash"` // hexadecimal
}

type bindingView struct {
	Program string   `json:"program"`
	Args    []string `json:"args"`
	Auto    bool     `json:"auto"`
}

func viewName(n irm.NameInfo) nameView {
	v := nameView{
		Name: n.Name, Balance: n.Balance.String(), Accepting: n.Accepting,
		Registrations: []registrationView{}, Programs: []bindingView{},
		Processes: append([]int{}, n.Processes...),
		Server:    n.Server, Client: n.Client,
		ServerDemand: n.ServerDemand.String(), ClientDemand: n.ClientDemand.String(),
		Allow: append([]string{}, n.Allow...), Problems: append([]string{}, n.Problems...),
	}
	for _, r := range n.Registrations {
		v.Registrations = append(v.Registrations, registrationView{r.PID, r.IPCP, r.Layer, fmt.Sprintf("%x", r.Hash)})
	}
	for _, p := range n.Programs {
		v.Programs = append(v.Programs, bindingView{p.Program, append([]string{}, p.Args...), p.Auto})
	}
	return v
}

type flowView struct {
	ID        int       `json:"id"`
	State     string    `json:"state"`
	Name      string    `json:"name"`
	ClientPID int       `json:"client_pid"` // 0 = on another node
	ServerPID int       `json:"server_pid"` // 0 = on another node
	IPCP      string    `json:"ipcp"`       // empty = between two processes of this node
	Layer     string    `json:"layer"`
	QoS       qosView   `json:"qos"`
	MPL       float64   `json:"mpl_ms"`
	MTU       int       `json:"mtu"` // longest message in bytes
	Since     time.Time `json:"since"`

	Protection protectionView `json:"protection"`
}

type protectionView struct {
	Cipher   string `json:"cipher"`   // "local" within the node, "none" in clear
	Exchange string `json:"exchange"` // empty without a cipher
	KDF      string `json:"kdf"`      // empty without a cipher
	Client   string `json:"client"`   // name in its certificate; empty = anonymous
	Server   string `json:"server"`   // name in its certificate; empty = anonymous
}

type qosView struct {
	Text         string `json:"text"` // the preset, or the same as the numbers
	Delay        uint32 `json:"delay_ms"`
	Bandwidth    uint64 `json:"bandwidth_bps"`
	Availability uint8  `json:"availability"`
	Loss         uint32 `json:"loss"`
	BER          uint32 `json:"ber"`
	InOrder      bool   `json:"in_order"`
	MaxGap       uint32 `json:"max_gap_ms"`
	Timeout      uint32 `json:"timeout_ms"`
}

func viewQoS(s qos.Spec) qosView {
	return qosView{s.String(), s.Delay, s.Bandwidth, s.Availability, s.Loss, s.BER, s.InOrder, s.MaxGap, s.Timeout}
}

func viewFlow(f irm.FlowInfo) flowView {
	return flowView{f.ID, f.State, f.Name, f.ClientPID, f.ServerPID, f.IPCP, f.Layer, viewQoS(f.QoS),
		float64(f.MPL) / float64(time.Millisecond), f.MTU, f.Since, protectionView(f.Protection)}
}

type processView struct {
	PID     int       `json:"pid"`
	UID     uint32    `json:"uid"`
	Program string    `json:"program"`
	Names   []string  `json:"names"`
	Flows   int       `json:"flows"`
	Accepts int       `json:"accepts"`
	IPCP    bool      `json:"ipcp"`
	Auto    bool      `json:"auto"`
	Since   time.Time `json:"since"`
}

func viewProcess(p irm.ProcessInfo) processView {
	return processView{p.PID, p.UID, p.Program, append([]string{}, p.Names...), p.Flows, p.Accepts, p.IPCP, p.Auto, p.Since}
}

type programView struct {
	Program string   `json:"program"`
	Names   []string `json:"names"`
}

type statusView struct {
	Version  string            `json:"version"`
	PID      int               `json:"pid"`
	UID      uint32            `json:"uid"`
	Since    time.Time         `json:"since"`
	Dir      string            `json:"dir"`
	State    string            `json:"state"`
	Counters map[string]uint64 `json:"counters"`
}

type eventView struct {
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"`
	Action string    `json:"action"`
	Name   string    `json:"name"`
	PID    int       `json:"pid"`
	FlowID int       `json:"flow_id"`
	Layer  string    `json:"layer"`
	Detail string    `json:"detail"`
}

// views maps a list; the result is never nil.
func views[T, V any](list []T, view func(T) V) []V {
	all := make([]V, 0, len(list))
	for _, e := range list {
		all = append(all, view(e))
	}
	return all
}
