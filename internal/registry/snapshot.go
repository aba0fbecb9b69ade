package registry

import (
	"slices"

	"ouroboros/irm"
	"ouroboros/qos"
)

// Store keeps what an administrator has set up, for the next start.
type Store interface {
	// Load gives what was saved last; nil when nothing was.
	Load() (*Snapshot, error)
	// Save replaces it. It is never called twice at the same time.
	Save(*Snapshot) error
}

// Snapshot is what survives a restart of the daemon: the configuration, and
// neither processes nor flows.
type Snapshot struct {
	Names    []SavedName    `json:"names"` // in the order of the list
	Programs []SavedProgram `json:"programs"`
	IPCPs    []SavedIPCP    `json:"ipcps"`
}

// SavedName is a name with its settings.
type SavedName struct {
	Name    string       `json:"name"`
	Balance irm.Balance  `json:"balance"`
	Server  irm.SecPaths `json:"server"`
	Client  irm.SecPaths `json:"client"`

	ServerDemand irm.Demand `json:"server_demand,omitempty"`
	ClientDemand irm.Demand `json:"client_demand,omitempty"`
	Allow        []string   `json:"allow,omitempty"`
}

func savedName(n irm.NameInfo) SavedName {
	return SavedName{n.Name, n.Balance, n.Server, n.Client, n.ServerDemand, n.ClientDemand, slices.Clone(n.Allow)}
}

func (s SavedName) info() irm.NameInfo {
	return irm.NameInfo{
		Name: s.Name, Balance: s.Balance, Server: s.Server, Client: s.Client,
		ServerDemand: s.ServerDemand, ClientDemand: s.ClientDemand, Allow: s.Allow,
	}
}

// SavedProgram is one binding of a program to a name, oldest first.
type SavedProgram struct {
	Program string   `json:"program"`
	Name    string   `json:"name"`
	Args    []string `json:"args,omitempty"`
	Auto    bool     `json:"auto,omitempty"`
	UID     uint32   `json:"uid"`
	GID     uint32   `json:"gid"`
}

// SavedIPCP is an IPCP and how it came into its layer. At most one of Config
// and Enroll is set.
type SavedIPCP struct {
	PID    int          `json:"pid"`
	Name   string       `json:"name"`
	Type   irm.IPCPType `json:"type"`
	Config *irm.Config  `json:"config,omitempty"` // bootstrapped with
	Enroll string       `json:"enroll,omitempty"` // enrolled with this destination
	Bound  []string     `json:"bound,omitempty"`  // names that the IPCP is bound to
	Names  []string     `json:"names,omitempty"`  // names registered in its layer

	Connections []SavedConnection `json:"connections,omitempty"` // made by ConnectIPCP
}

// SavedConnection is a connection of an IPCP to a neighbour.
type SavedConnection struct {
	Component string   `json:"component"` // irm.DataTransfer or irm.Management
	Dst       string   `json:"dst"`
	QoS       qos.Spec `json:"qos"`
}
