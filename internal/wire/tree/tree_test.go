package tree_test

import (
	"encoding/hex"
	"errors"
	"testing"

	"ouroboros/internal/wire/tree"
)

// state is the message of the table, byte by byte.
const state = "01010300" + "00000005" + "00000006" + "00000007" + "00000008" + "0009" + "0000" +
	"000000000000000a" + "000000000000000b" + "000000000000000c"

func decoded(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAMessageIsAsTheTableSays(t *testing.T) {
	want := tree.Message{
		Kind: tree.State, Flags: tree.Attached | tree.Parent, Serial: 5, Ack: 6, Epoch: 7, Joined: 8,
		Hops: 9, Sender: 10, Root: 11, Seq: 12,
	}
	b := make([]byte, tree.Size)
	want.Put(b)
	if got := hex.EncodeToString(b); got != state {
		t.Errorf("got %s, want %s", got, state)
	}
	got, err := tree.Parse(decoded(t, state+"ffff")) // a later version may be longer
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	for what, tc := range map[string]struct {
		change func(b []byte) []byte
		err    error
	}{
		"empty":             {func([]byte) []byte { return nil }, tree.ErrSize},
		"cut":               {func(b []byte) []byte { return b[:tree.Size-1] }, tree.ErrSize},
		"of version 2":      {func(b []byte) []byte { b[0] = 2; return b }, tree.ErrVersion},
		"of kind 0":         {func(b []byte) []byte { b[1] = 0; return b }, tree.ErrKind},
		"of kind 4":         {func(b []byte) []byte { b[1] = 4; return b }, tree.ErrKind},
		"of nobody":         {func(b []byte) []byte { clear(b[24:32]); return b }, tree.ErrMember},
		"of no root":        {func(b []byte) []byte { clear(b[32:40]); return b }, tree.ErrMember},
		"a CEP message":     {func([]byte) []byte { return decoded(t, "0a0d44617461205472616e736665721200180028004000") }, tree.ErrSize},
		"gone without root": {func(b []byte) []byte { b[1] = 3; clear(b[32:40]); return b }, nil},
	} {
		if _, err := tree.Parse(tc.change(decoded(t, state))); !errors.Is(err, tc.err) {
			t.Errorf("%s: got %v, want %v", what, err, tc.err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(decoded(f, state))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := tree.Parse(b)
		if err != nil {
			return
		}
		again := make([]byte, tree.Size)
		m.Put(again)
		if got, err := tree.Parse(again); err != nil || got != m {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
	})
}
