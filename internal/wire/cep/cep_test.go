package cep_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"ouroboros/internal/wire/cep"
	"ouroboros/internal/wire/dt"
)

// seen are messages between members of the C implementation.
func seen(t testing.TB) (l []struct {
	Name, Hex string
	Fields    struct {
		Component string `json:"comp_name"`
		Protocol  string
		Version   int32 `json:"pref_version"`
		Syntax    int32 `json:"pref_syntax"`
		Address   dt.Addr
	}
}) {
	t.Helper()
	text, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(m cep.Message) []byte {
	b := make([]byte, m.Size())
	m.Put(b)
	return b
}

func TestMessagesOfTheCImplementationAreReadAndWrittenToTheByte(t *testing.T) {
	all := seen(t)
	if len(all) < 7 {
		t.Fatalf("%d messages", len(all))
	}
	for _, v := range all {
		b := unhex(t, v.Hex)
		m, err := cep.Parse(b)
		want := cep.Message{Component: v.Fields.Component, Protocol: v.Fields.Protocol, Version: v.Fields.Version,
			Syntax: v.Fields.Syntax, Address: v.Fields.Address}
		if err != nil || m != want {
			t.Errorf("%s: %+v, want %+v: %v", v.Name, m, want, err)
		}
		if again := put(m); !bytes.Equal(again, b) {
			t.Errorf("%s: written as %x, want %x", v.Name, again, b)
		}
		if m.Refusal() != strings.Contains(v.Name, "refusal") {
			t.Errorf("%s: refusal %v", v.Name, m.Refusal())
		}
	}
	if got := hex.EncodeToString(put(cep.Message{})); got != "0a001200180028004000" {
		t.Errorf("the refusal is %s", got)
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	for _, c := range []struct {
		why, hex string
		err      error
	}{
		{"nothing", "", cep.ErrMissing},
		{"one field", "0a00", cep.ErrMissing},
		{"no component", "1200 1800 2800 4000", cep.ErrMissing},
		{"no protocol", "0a00 1800 2800 4000", cep.ErrMissing},
		{"no version", "0a00 1200 2800 4000", cep.ErrMissing},
		{"no syntax", "0a00 1200 1800 4000", cep.ErrMissing},
		{"no address", "0a00 1200 1800 2800", cep.ErrMissing},
		{"a component twice", "0a00 0a00 1200 1800 2800 4000", cep.ErrRepeated},
		{"an address twice", "0a00 1200 1800 2800 4000 4001", cep.ErrRepeated},
		{"a component that is a number", "0800 1200 1800 2800 4000", cep.ErrEncoding},
		{"an address that is a string", "0a00 1200 1800 2800 4200", cep.ErrEncoding},
		{"an address of 4 bytes", "0a00 1200 1800 2800 4500000000", cep.ErrEncoding},
		{"a component that is longer than the packet", "0a7f 1200 1800 2800 4000", cep.ErrEncoding},
		{"a length of 2^63", "0affffffffffffffffff01 1200", cep.ErrEncoding},
		{"a component that is not UTF-8", "0a02c328 1200 1800 2800 4000", cep.ErrName},
		{"a protocol that is not UTF-8", "0a00 1201ff 1800 2800 4000", cep.ErrName},
		{"a version beyond 31 bits", "0a00 1200 188080808008 2800 4000", cep.ErrRange},
		{"a syntax beyond 31 bits", "0a00 1200 1800 28ffffffff0f 4000", cep.ErrRange},
		{"a number without an end", "0a00 1200 1800 2800 40ff", cep.ErrEncoding},
		{"a number of 11 bytes", "0a00 1200 1800 2800 40ffffffffffffffffffff01", cep.ErrEncoding},
		{"field 0", "0000 0a00 1200 1800 2800 4000", cep.ErrEncoding},
		{"a wire type that does not exist", "4f 0a00 1200 1800 2800 4000", cep.ErrEncoding},
		{"a group without an end", "0a00 1200 1800 2800 4000 4b", cep.ErrEncoding},
	} {
		if m, err := cep.Parse(unhex(t, c.hex)); !errors.Is(err, c.err) || m != (cep.Message{}) {
			t.Errorf("%s: %+v, %v, want %v", c.why, m, err, c.err)
		}
	}
	whole := unhex(t, seen(t)[3].Hex)
	for n := range whole {
		if _, err := cep.Parse(whole[:n]); err == nil {
			t.Errorf("%d bytes of %d are taken", n, len(whole))
		}
	}
}

func TestWhatIsNotKnownIsSkipped(t *testing.T) {
	want := cep.Message{Component: "Management", Protocol: "LSP", Version: 1, Address: 5}
	plain := put(want)
	for _, more := range []string{
		"2001", "2203010203", // supp_version, both ways of writing a list
		"3001 3002",        // supp_syntax
		"3a040a0201 02",    // syntax_spec
		"4801", "52020102", // fields 9 and 10
		"5d01020304", "610102030405060708", // fixed numbers
		"6b08016c", // a group
	} {
		x := unhex(t, more)
		for _, b := range [][]byte{append(bytes.Clone(plain), x...), append(bytes.Clone(x), plain...)} {
			if m, err := cep.Parse(b); err != nil || m != want {
				t.Errorf("with %s: %+v, %v", more, m, err)
			}
		}
	}
}

func TestAMessageHasAtMost128Bytes(t *testing.T) {
	m := cep.Message{Component: strings.Repeat("x", 118)}
	if n := m.Size(); n != cep.MaxSize {
		t.Fatalf("%d bytes", n)
	}
	if got, err := cep.Parse(put(m)); err != nil || got != m {
		t.Errorf("%+v, %v", got, err)
	}
	m.Component += "x"
	if _, err := cep.Parse(put(m)); !errors.Is(err, cep.ErrSize) {
		t.Errorf("%v", err)
	}
}

func TestNumbersAtTheirLimits(t *testing.T) {
	for _, m := range []cep.Message{
		{Version: math.MaxInt32, Syntax: math.MinInt32, Address: math.MaxUint64},
		{Version: -1, Syntax: -1, Address: 1 << 32},
	} {
		if got, err := cep.Parse(put(m)); err != nil || got != m {
			t.Errorf("%+v became %+v: %v", m, got, err)
		}
	}
}

func TestAgreementIsAboutProtocolVersionAndSyntax(t *testing.T) {
	m := cep.Message{Component: "a", Protocol: "dtp", Version: 1, Syntax: 2, Address: 7}
	if err := m.Agrees(cep.Message{Component: "b", Protocol: "dtp", Version: 1, Syntax: 2}); err != nil {
		t.Error(err)
	}
	for _, o := range []cep.Message{
		{Protocol: "x", Version: 1, Syntax: 2}, {Protocol: "dtp", Version: 2, Syntax: 2}, {Protocol: "dtp", Version: 1},
	} {
		err := m.Agrees(o)
		if err == nil || !strings.Contains(err.Error(), `"dtp" version 1 syntax 2 here`) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range seen(f) {
		f.Add(unhex(f, v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := cep.Parse(b)
		if err != nil {
			if m != (cep.Message{}) {
				t.Errorf("%x: %+v and %v", b, m, err)
			}
			return
		}
		again := put(m)
		if o, err := cep.Parse(again); err != nil || o != m {
			t.Errorf("%x: %+v is written as %x, which is %+v: %v", b, m, again, o, err)
		}
	})
}
