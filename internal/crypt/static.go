package crypt

import (
	"encoding/pem"
	"path/filepath"
)

// The files of servers whose clients encapsulate, below the directory of a
// name. Hybrids are raw, and ML-KEM is PEM.
const (
	StaticKeyPEM    = "kex.key.pem"     // of the server: PRIVATE KEY
	StaticKeyRaw    = "kex.key.raw"     // of the server
	StaticPublicPEM = "kex.srv.pub.pem" // at its clients: PUBLIC KEY
	StaticPublicRaw = "kex.srv.pub.raw" // at its clients
)

// ReadStaticKey reads the private key in the directory of a server, in the raw
// form or in PEM. A missing one is an error: it is asked for when a client has
// encapsulated for it.
func ReadStaticKey(dir string, raw bool) (*PrivateKey, error) {
	name, parse := StaticKeyPEM, func(b []byte) (*PrivateKey, error) {
		block := blockOf(b, "PRIVATE KEY")
		if block == nil {
			return nil, problem("there is no private key in it").next("it must be one in PEM: PRIVATE KEY")
		}
		defer clear(block)
		return ParsePrivateKey(block)
	}
	if raw {
		name, parse = StaticKeyRaw, ParseRawPrivateKey
	}
	path, err := static(dir, name)
	if err != nil {
		return nil, err
	}
	b, ok, err := readFile(path, secret)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, problem("the client encapsulates for a key of this server, and there is none in %s", path).
			next("make one there, or let the client use kem_mode=server")
	}
	defer clear(b)
	k, err := parse(b)
	if err == nil && !k.exchange.KEM() {
		err = problem("it is a key of %v, for which nobody encapsulates", k.exchange)
	}
	if err != nil {
		return nil, in(path, err)
	}
	return k, nil
}

// ReadStaticPublic reads the public key of a server, in the directory of its
// name at a client: one of the exchange that the client has chosen.
func ReadStaticPublic(dir string, x Exchange) (*PublicKey, error) {
	name, parse := StaticPublicPEM, func(b []byte) (*PublicKey, error) {
		block := blockOf(b, "PUBLIC KEY")
		if block == nil {
			return nil, problem("there is no public key in it").next("it must be one in PEM: PUBLIC KEY")
		}
		return ParsePublicKey(block)
	}
	if x.Hybrid() {
		name, parse = StaticPublicRaw, ParseRawPublicKey
	}
	path, err := static(dir, name)
	if err != nil {
		return nil, err
	}
	b, ok, err := readFile(path, shared)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, problem("with kem_mode=client the public key of the server is needed, and there is none in %s", path).
			next("get it from the server, or use kem_mode=server")
	}
	k, err := parse(b)
	if err == nil && k.exchange != x {
		err = problem("it is a key of %v, and the flow is to be encrypted with %v", k.exchange, x)
	}
	if err != nil {
		return nil, in(path, err)
	}
	return k, nil
}

func static(dir, name string) (string, error) {
	if dir == "" {
		return "", problem("this name has no directory in which %s could be", name).next("use kem_mode=server")
	}
	return filepath.Join(dir, name), nil
}

// blockOf gives the first block of a kind in a text in PEM.
func blockOf(text []byte, kind string) []byte {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			return block.Bytes
		}
	}
	return nil
}
