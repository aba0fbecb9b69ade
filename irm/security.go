package irm

import (
	"slices"

	"ouroboros/internal/errno"
)

// SecPaths are the security files of one side of a name; empty means the
// place that the daemon has for the name.
type SecPaths struct {
	Enc  string `json:"enc,omitempty"`
	Key  string `json:"key,omitempty"`
	Cert string `json:"crt,omitempty"`
}

// Demand is what one side of a name demands of the other. A flow that does not
// meet it is refused at both ends: with ErrAuth when the other side shows no
// certificate, with ErrCrypt when the flow would not be encrypted.
type Demand int

// The demands.
const (
	DemandDefault    Demand = 0 // what the node demands
	DemandNothing    Demand = 1 // as the C implementation
	DemandAuth       Demand = 2 // a certificate that this node trusts
	DemandEncryption Demand = 3
	DemandBoth       Demand = 4
)

var demandWords = []string{"default", "none", "auth", "encryption", "both"}

func (d Demand) String() string {
	if d >= 0 && int(d) < len(demandWords) {
		return demandWords[d]
	}
	return "UNKNOWN"
}

// Auth and Encryption report what is demanded.
func (d Demand) Auth() bool       { return d == DemandAuth || d == DemandBoth }
func (d Demand) Encryption() bool { return d == DemandEncryption || d == DemandBoth }

// Or gives the demand, or else when it is left to the node.
func (d Demand) Or(node Demand) Demand {
	if d == DemandDefault {
		return node
	}
	return d
}

// DemandWords lists the words for demands.
func DemandWords() []string { return slices.Clone(demandWords) }

// ParseDemand understands the words of DemandWords.
func ParseDemand(word string) (Demand, bool) {
	at := slices.Index(demandWords, word)
	return Demand(max(at, 0)), at >= 0
}

// MaxAllow is how many clients the list of a name can have.
const MaxAllow = 1024

// CheckAllow is nil for what can be the list of clients of a name.
func CheckAllow(names []string) error {
	if len(names) > MaxAllow {
		return errno.New(errno.Invalid, "the list of allowed clients has %d names", len(names)).
			Next("give at most %d, or issue their certificates with an authority of its own", MaxAllow)
	}
	for _, n := range names {
		if err := CheckName("name of an allowed client", n); err != nil {
			return err
		}
	}
	return nil
}

// NameChange says what of a name is to be changed: what is not nil.
type NameChange struct {
	Balance        *Balance
	Server, Client SideChange
	Allow          *[]string // an empty list allows all
}

// SideChange is the part of one side. An empty path is the place that the
// daemon has for the name.
type SideChange struct {
	Enc, Key, Cert *string
	Demand         *Demand
}

// Apply gives the settings after the change.
func (c NameChange) Apply(n NameInfo) NameInfo {
	put(&n.Balance, c.Balance)
	c.Server.apply(&n.Server, &n.ServerDemand)
	c.Client.apply(&n.Client, &n.ClientDemand)
	if c.Allow != nil {
		n.Allow = slices.Clone(*c.Allow)
	}
	return n
}

func (c SideChange) apply(paths *SecPaths, demand *Demand) {
	put(&paths.Enc, c.Enc)
	put(&paths.Key, c.Key)
	put(&paths.Cert, c.Cert)
	put(demand, c.Demand)
}

func put[T any](to, v *T) {
	if v != nil {
		*to = *v
	}
}

// Protection is how a flow is protected, and whom its ends know.
type Protection struct {
	// Cipher is a word such as "aes-256-gcm"; "local" for a flow within the
	// node, which lies in memory that only its two ends see; "none" for one
	// that travels in clear.
	Cipher   string
	Exchange string // of keys, as "X25519"; empty without a cipher
	KDF      string // that derived the key; empty without a cipher
	Client   string // name in the client's certificate; empty = anonymous
	Server   string // name in the server's certificate; empty = anonymous
}
