package registry

import (
	"crypto/md5"
	"crypto/sha3"
	"encoding/binary"
	"hash/crc32"

	"ouroboros/irm"
)

// hashOf is the hash under which the directory of a layer knows a name: over
// its bytes, without an end mark.
//
//	algorithm   bytes
//	SHA3-224    28
//	SHA3-256    32
//	SHA3-384    48
//	SHA3-512    64
//	CRC32        4, most significant first
//	MD5         16
//
// It is nil for an unknown algorithm.
func hashOf(algo irm.HashAlgo, name string) []byte {
	b := []byte(name)
	switch algo {
	case irm.SHA3_224:
		h := sha3.Sum224(b)
		return h[:]
	case irm.SHA3_256:
		h := sha3.Sum256(b)
		return h[:]
	case irm.SHA3_384:
		h := sha3.Sum384(b)
		return h[:]
	case irm.SHA3_512:
		h := sha3.Sum512(b)
		return h[:]
	case irm.CRC32:
		return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b))
	case irm.MD5:
		h := md5.Sum(b)
		return h[:]
	}
	return nil
}

// algoOf is the algorithm that a kind of layer uses when cfg asks for algo.
func algoOf(t irm.IPCPType, algo irm.HashAlgo) irm.HashAlgo {
	switch t {
	case irm.UDP4, irm.UDP6:
		return irm.MD5
	case irm.Broadcast:
		return irm.SHA3_256
	}
	return algo
}

// nameOfHash finds the name that an arrived request is for. The index of an
// algorithm is made when the first request asks for it and kept with every
// name that comes or goes. r.mu is held.
func (r *Registry) nameOfHash(algo irm.HashAlgo, hash []byte) *serviceName {
	index, ok := r.hashes[algo]
	if !ok {
		if hashOf(algo, "") == nil {
			return nil
		}
		index = make(map[string]*serviceName, len(r.names))
		for _, n := range r.order {
			index[string(hashOf(algo, n.info.Name))] = n
		}
		r.hashes[algo] = index
	}
	return index[string(hash)]
}

// indexName and unindexName keep the hash indexes. r.mu is held.
func (r *Registry) indexName(n *serviceName) {
	for algo, index := range r.hashes {
		index[string(hashOf(algo, n.info.Name))] = n
	}
}

func (r *Registry) unindexName(n *serviceName) {
	for algo, index := range r.hashes {
		key := string(hashOf(algo, n.info.Name))
		if index[key] == n {
			delete(index, key)
		}
	}
}
