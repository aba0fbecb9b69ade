// Package cert makes the certificates of names and of the authorities that
// issue them, shows and checks them, and keeps the security directory of a
// node. It works on files alone: no daemon has to run.
//
//	DIR/
//	├── cacert/CA.pem         authorities that this node trusts
//	├── untrusted/*.pem       authorities between these and the names
//	├── revoked/*.pem         certificates that are not accepted any more
//	├── ca/CA/                authorities whose private key is here
//	│   ├── crt.pem
//	│   └── key.pem           0600, in a directory of 0700
//	├── server/NAME/          when a process of this node serves NAME
//	│   ├── crt.pem  key.pem  who the server is; its certificate is for NAME
//	│   ├── enc.conf          what encryption it demands at least
//	│   └── kex.key.*         private key for clients that encapsulate
//	└── client/NAME/          when a process of this node calls NAME
//	    ├── crt.pem  key.pem  who the client is; any name
//	    ├── enc.conf          how it encrypts
//	    └── kex.srv.pub.*     key of the server, to encapsulate for
//
// Everything but ca is the layout of the protocol, and a node of the C
// implementation reads it as well. A file that is there is not overwritten
// unless the caller says so, and appears whole or not at all.
package cert
