package grammar

import (
	"ouroboros/internal/cert"
	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/irm"
)

func certNode() *Node {
	return &Node{
		Word: "cert", Purpose: "make, show and check the certificates and keys of names",
		Sub: []*Node{
			certAuthority(), certIssue(), certTrust(), certEncrypt(), certKEM(),
			certShow(), certCheck(), certRevoke(), certList(),
			helpNode("show the operations on certificates"),
		},
		Notes: []string{
			"These work on the files of a security directory, with no daemon: $OUROBOROS_SECURITY_DIR, else /etc/ouroboros/security as root, else ~/.config/ouroboros/security. The daemon reads them at the next flow; nothing is restarted.",
			"A server shows a certificate for its name, issued by an authority that the client trusts. A client may show one for any name; servers can say which names they allow. What is shown is checked; that something is shown is demanded with irm name set, or in the configuration.",
		},
		Examples: []Example{
			{"irm cert ca home", "an authority, which this node trusts"},
			{"irm cert issue web", "a certificate for the server of web on this node"},
			{"irm cert issue alice to web into /tmp/alice", "one for a client of web on another node"},
			{"irm cert encrypt web", "encrypted flows only"},
			{"irm cert check web", ""},
		},
	}
}

func securityDir() *Keyword {
	return &Keyword{Word: "dir", Arg: "<directory>", Source: Dirs, Check: path("dir"), Default: "that of this user's daemon",
		Help: "security directory"}
}

func algorithm() *Keyword {
	return &Keyword{Word: "algorithm", Arg: "<kind>", Words: crypt.SignerNames(), Default: cert.DefaultAlgorithm,
		Help: "kind of the key"}
}

func days(word string, byDefault string) *Keyword {
	return &Keyword{Word: word, Arg: "<days>", Default: byDefault, Help: "how long it is valid",
		Check: number(word, irm.Range{Min: 1, Max: cert.MaxDays})}
}

func replace() *Keyword {
	return &Keyword{Word: "replace", Exact: true, Help: "overwrite what is there"}
}

func otherDir(what string) *Keyword {
	return &Keyword{Word: "into", Arg: "<directory>", Source: Dirs, Check: path("into"), Help: what}
}

func certName(what, help string, source Source) *Keyword {
	return &Keyword{Word: what, Arg: "<" + what + ">", Required: true, Help: help, Source: source,
		Check: func(s string) error { return cert.CheckName(what, s) }}
}

func certWhat() *Keyword {
	return &Keyword{Word: "what", Arg: "<what>", Required: true, Source: Files, Help: "a name that has files in the directory, an authority, or the file of a certificate",
		Check: func(s string) error {
			if s == "" {
				return errno.New(errno.Invalid, "the name is empty").Next("give a name or a file; irm cert list shows what there is")
			}
			return nil
		}}
}

func certAuthority() *Node {
	return &Node{
		Word: "ca", Purpose: "make an authority that issues certificates, and trust it",
		Subject:  certName("ca", "its name", NoSource),
		Keywords: []*Keyword{algorithm(), days("days", "3650"), replace(), securityDir()},
		Notes: []string{
			"Its private key stays in the directory ca, for its owner only. Who has it can be everybody: keep it on one host, and the host safe. Other hosts need the certificate alone: see irm cert issue ... into, and irm cert trust.",
			"Algorithms: P-256 works with every node. A node of the C implementation cannot use a key of Ed25519 or Ed448 for encrypted flows, though it takes certificates of them, and has ML-DSA and SLH-DSA only with OpenSSL 3.5 or newer. These two also stand against a quantum computer; their certificates are so long that not every layer carries them.",
		},
		JSON:     []string{"certificate", "files", "notes"},
		Examples: []Example{{"irm cert ca home", ""}, {"irm cert ca home algorithm ML-DSA-65 days 730", ""}},
	}
}

func certIssue() *Node {
	return &Node{
		Word: "issue", Purpose: "issue a certificate for a name, with a new key",
		Subject: certName("name", "the name that it is for", Names),
		Keywords: []*Keyword{
			{Word: "server", Help: "the server of the name shows it (this is so unless to is given)"},
			{Word: "to", Arg: "<server>", Many: true, Source: Names, Help: "a client shows it to this server; may be repeated",
				Check: func(s string) error { return cert.CheckName("name", s) }},
			{Word: "ca", Arg: "<ca>", Help: "the authority that issues it", Default: "the only one", Check: text("name of an authority")},
			algorithm(), days("days", "365"), replace(),
			otherDir("security directory of another host, which gets the authority's certificate, too"),
			securityDir(),
		},
		Notes: []string{
			"The files go to server/NAME or client/SERVER in the security directory, where the daemon finds them. With into they go to another directory, as a whole to be copied to the security directory of another host.",
			"A certificate says who somebody is. Encryption is asked for with: irm cert encrypt.",
		},
		JSON: []string{"certificate", "files", "notes"},
		Examples: []Example{
			{"irm cert issue web", "for the server of web on this host"},
			{"irm cert issue alice to web to mail", "for a client, alice, of web and mail on this host"},
			{"irm cert issue db into /tmp/db-host days 90", "for a server on another host"},
		},
	}
}

func certTrust() *Node {
	return &Node{
		Word: "trust", Purpose: "trust an authority, by the file of its certificate",
		Subject:  &Keyword{Word: "file", Arg: "<file>", Required: true, Source: Files, Help: "the certificate, in PEM", Check: path("file")},
		Keywords: []*Keyword{replace(), securityDir()},
		Notes:    []string{"Whoever it issues a certificate for, under any name, is believed from then on."},
		JSON:     []string{"certificate", "files", "notes"},
		Examples: []Example{{"irm cert trust /tmp/home.pem", ""}},
	}
}

func certEncrypt() *Node {
	return &Node{
		Word: "encrypt", Purpose: "have the flows to a name encrypted",
		Subject: certName("name", "the name of the server", Names),
		Keywords: []*Keyword{
			{Word: "server", Help: "for its server: what it demands at least (this is so unless client is given)"},
			{Word: "client", Help: "for its clients on this host: what they ask for"},
			{Word: "kex", Arg: "<exchange>", Words: crypt.ExchangeNames(), Help: "key exchange",
				Default: cert.ServerExchange + " for the server, " + cert.ClientExchange + " for clients"},
			{Word: "cipher", Arg: "<cipher>", Words: wire.CipherNames(), Default: cert.DefaultCipher, Help: "cipher of the packets"},
			{Word: "kdf", Arg: "<hash>", Words: wire.HashNames(), Default: cert.DefaultKDF, Help: "hash of the key derivation"},
			{Word: "encapsulate", Help: "clients use a key of the server that they have: see irm cert kem"},
			replace(), securityDir(),
		},
		Notes: []string{
			"It writes the file enc.conf. A server that has one refuses clients that ask for nothing, or for less. A client that has one refuses servers that do not encrypt; it needs none at the server.",
			"Without a certificate that the client demands (irm name create NAME cdemand both) the flow is encrypted, and it is not known with whom: who sits on the way can be at both ends. The exchange of clients stands against a quantum computer, too; where servers of the C implementation have an OpenSSL before 3.5, say kex X25519.",
		},
		JSON:     []string{"file"},
		Examples: []Example{{"irm cert encrypt web", ""}, {"irm cert encrypt web client kex X25519", ""}},
	}
}

func certKEM() *Node {
	return &Node{
		Word: "kem", Purpose: "make a key of a server for clients that encapsulate",
		Subject: certName("name", "the name of the server", Names),
		Keywords: []*Keyword{
			{Word: "kex", Arg: "<exchange>", Words: cert.KEMNames(), Default: cert.ClientExchange, Help: "key exchange"},
			replace(),
			otherDir("security directory of the clients, which gets the public part"),
			securityDir(),
		},
		Notes: []string{
			"The private part is kex.key.pem or kex.key.raw of the server, the public one kex.srv.pub.pem or .raw of the clients. Clients use it when their encryption settings say so: irm cert encrypt NAME client encapsulate, with the same key exchange.",
			"A client that has the public key talks to nobody but the server that has the private one, without certificates. Who steals that key later can read what was recorded; without this each flow has keys of its own.",
		},
		JSON:     []string{"files"},
		Examples: []Example{{"irm cert kem web into /tmp/alice", ""}},
	}
}

// infoFields are those of a certificate in JSON.
var infoFields = []string{"path", "kind", "for", "name", "issuer", "authority", "algorithm", "serial", "begin", "end", "fingerprint", "state", "problem"}

func certShow() *Node {
	return &Node{
		Word: "show", Purpose: "show certificates",
		Subject:  certWhat(),
		Keywords: []*Keyword{securityDir()},
		Notes:    []string{"The state is what this host makes of it: valid, expired, not yet, refused (an authority that it does not trust, or revoked), or unreadable; problem says why."},
		JSON:     infoFields, List: true,
		Examples: []Example{{"irm cert show web", ""}, {"irm cert show /tmp/crt.pem --json", ""}},
	}
}

func certCheck() *Node {
	return &Node{
		Word: "check", Purpose: "look for mistakes in the certificates and keys of a name",
		Free: &Keyword{Word: "what", Arg: "<what>", Source: Files,
			Help: "a name that has files in the directory, an authority, or the file of a certificate; without it, everything"},
		Keywords: []*Keyword{securityDir()},
		Notes:    []string{"The exit code is 1 when something is wrong. Certificates that end within 30 days count as that, so that a daily run says in time what to renew."},
		JSON:     []string{"path", "ok", "text", "hint"}, List: true,
		Examples: []Example{{"irm cert check web", ""}, {"irm cert check", "all that the directory holds"}},
	}
}

func certRevoke() *Node {
	return &Node{
		Word: "revoke", Purpose: "accept a certificate no longer",
		Subject:  certWhat(),
		Keywords: []*Keyword{securityDir()},
		Notes: []string{
			"It is copied to the directory revoked, and refused from the next flow on; flows that are there go on. Other hosts need the file as well. Remove it there to accept the certificate again. A list that an authority issues (a CRL, in PEM) counts in that directory, too.",
			"That of an authority is named by its path, since it takes all those along that it has issued.",
		},
		JSON: infoFields, List: true,
		Examples: []Example{{"irm cert revoke alice.pem", ""}},
	}
}

func certList() *Node {
	return &Node{
		Word: "list", Purpose: "list the certificates of the security directory",
		Keywords: []*Keyword{securityDir()},
		JSON:     infoFields, List: true,
		Examples: []Example{{"irm cert list", ""}},
	}
}
