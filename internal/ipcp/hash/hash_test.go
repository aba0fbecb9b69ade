package hash_test

import (
	"encoding/hex"
	"testing"

	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
)

func TestNamesHashToTheirVectors(t *testing.T) {
	for _, v := range []struct {
		algo irm.HashAlgo
		name string
		want string
	}{
		{irm.SHA3_256, "oecho", "85dc67719220174872105ef3e5cdddd760e6de7fea2f80b1eef7ee8066d9239c"},
		{irm.MD5, "srv", "254d290cd568731c37ba45103c16c22d"},
		{irm.MD5, "shpingb", "397677694da4970d660892a7f7d461e9"},
		{irm.CRC32, "hello", "3610a686"},
		{irm.SHA3_224, "", "6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7"},
	} {
		if got := hex.EncodeToString(hash.Sum(v.algo, v.name)); got != v.want {
			t.Errorf("%v of %q is %s, want %s", v.algo, v.name, got, v.want)
		}
	}
}

func TestEveryAlgorithmHasTheLengthThatItSays(t *testing.T) {
	for a := irm.SHA3_224; a <= irm.MD5; a++ {
		h := hash.Sum(a, "name")
		if err := hash.Check(a, h); err != nil || len(h) > hash.MaxSize {
			t.Errorf("%v: %d bytes, %v", a, len(h), err)
		}
		if hash.Check(a, h[1:]) == nil || hash.Check(a, nil) == nil {
			t.Errorf("%v: a short hash passes", a)
		}
	}
	for _, a := range []irm.HashAlgo{-1, 6, 99} {
		if hash.Sum(a, "name") != nil || hash.Size(a) != 0 || hash.Check(a, nil) == nil {
			t.Errorf("algorithm %d exists", a)
		}
	}
}
