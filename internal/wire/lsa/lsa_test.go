package lsa_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
)

// vector is an update that was seen on a wire between members of the C
// implementation.
type vector struct {
	Name    string
	Kind    string
	Packet  string `json:"n1_payload_hex"`
	Decoded struct {
		Dst, Src string
		Seqno    uint64
	}
}

func vectors(t testing.TB) (updates []vector) {
	text, err := os.ReadFile("testdata/unicast-wire-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []json.RawMessage }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, raw := range file.Vectors {
		var kind struct{ Kind string }
		if err := json.Unmarshal(raw, &kind); err != nil || kind.Kind != "lsa" {
			continue
		}
		var v vector
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		updates = append(updates, v)
	}
	return updates
}

func address(t *testing.T, digits string) dt.Addr {
	n, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return dt.Addr(n)
}

func TestUpdatesSeenOnAWire(t *testing.T) {
	all := vectors(t)
	if len(all) < 3 {
		t.Fatalf("%d vectors", len(all))
	}
	for _, v := range all {
		b, err := hex.DecodeString(v.Packet)
		if err != nil {
			t.Fatal(err)
		}
		u, ok := lsa.Parse(b)
		want := lsa.Update{Dst: address(t, v.Decoded.Dst), Src: address(t, v.Decoded.Src), Seq: lsa.Seq(v.Decoded.Seqno)}
		if !ok || u != want || !u.Valid() {
			t.Errorf("%s: %+v, want %+v", v.Name, u, want)
		}
		again := make([]byte, lsa.Size)
		u.Put(again)
		if !bytes.Equal(again, b) {
			t.Errorf("%s: written as %x, want %x", v.Name, again, b)
		}
	}
}

// capture gives the payloads of the frames of an eth-dix layer in a file, by
// their endpoints.
func capture(t *testing.T, file string) (payloads map[uint16][][]byte) {
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	payloads = make(map[uint16][][]byte)
	const ethernet = 14
	for b = b[24:]; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b[8:])
		frame := b[16+ethernet : 16+n]
		b = b[16+n:]
		eid, length := binary.BigEndian.Uint16(frame), binary.BigEndian.Uint16(frame[2:])
		payloads[eid] = append(payloads[eid], frame[4:4+length])
	}
	return payloads
}

func TestACaptureWithALostNeighbourIsReadWhole(t *testing.T) {
	updates, restarts := 0, 0
	last := make(map[lsa.Update]lsa.Seq)
	for eid, packets := range capture(t, "unicast-ls-disconnect-reconnect.pcap") {
		for _, b := range packets {
			u, ok := lsa.Parse(b)
			if ok != (len(b) == lsa.Size) {
				t.Fatalf("%x: %v", b, ok)
			}
			if !ok {
				continue
			}
			if !u.Valid() || u.Seq.Structured() {
				t.Errorf("endpoint %d: %+v", eid, u)
			}
			again := make([]byte, lsa.Size)
			u.Put(again)
			if !bytes.Equal(again, b) {
				t.Errorf("read %x, written %x", b, again)
			}
			updates++
			link := lsa.Update{Src: u.Src, Dst: u.Dst}
			if u.Seq == 0 && last[link].Newer(0) {
				restarts++ // a new link begins at 0 whatever others hold
			}
			last[link] = max(last[link], u.Seq)
		}
	}
	if updates != 35 || restarts == 0 {
		t.Errorf("%d updates, %d of links that began again", updates, restarts)
	}
}

func TestOtherLengthsAreNoUpdates(t *testing.T) {
	for n := range 60 {
		if _, ok := lsa.Parse(make([]byte, n)); ok != (n == lsa.Size) {
			t.Errorf("%d bytes: %v", n, ok)
		}
	}
}

func TestALinkHasTwoMembers(t *testing.T) {
	for u, want := range map[lsa.Update]bool{
		{Dst: 1, Src: 2}:                           true,
		{Dst: math.MaxUint32, Src: 1}:              true,
		{Dst: 1, Src: 1}:                           false,
		{Dst: 0, Src: 1}:                           false,
		{Dst: 1, Src: 0}:                           false,
		{Dst: 1 << 32, Src: 1}:                     false,
		{Dst: 1, Src: 1 << 63, Seq: math.MaxInt64}: false,
	} {
		if u.Valid() != want {
			t.Errorf("%+v: %v", u, u.Valid())
		}
	}
}

func TestANumberTellsItsParts(t *testing.T) {
	for _, counter := range []uint32{0, 1, 77, lsa.LastCounter - 1, lsa.LastCounter} {
		for _, gone := range []bool{false, true} {
			for _, mtu := range []int{0, 1, 64, 1481, 1496, 2047, 8976, 1 << 20} {
				s := lsa.Make(counter, mtu, gone)
				if !s.Structured() || s.Counter() != counter || s.MTU() != mtu || s.Withdrawn() != gone {
					t.Errorf("%d, %d, %v became %016x: %d, %d, %v", counter, mtu, gone, uint64(s), s.Counter(), s.MTU(), s.Withdrawn())
				}
				if s > lsa.Max {
					t.Errorf("%016x is above the highest", uint64(s))
				}
			}
		}
	}
	if got, want := lsa.Make(5, 8976, true), lsa.Seq(0x4f52_0000_0005_3000|1122<<1|1); got != want {
		t.Errorf("%016x, want %016x", uint64(got), uint64(want))
	}
}

func TestAnMTUIsRoundedDown(t *testing.T) {
	last := 0
	for mtu := range 1 << 17 {
		got := lsa.Make(0, mtu, false).MTU()
		if got > mtu || got < mtu-mtu>>10 || got < last {
			t.Fatalf("%d became %d", mtu, got)
		}
		last = got
	}
	for _, mtu := range []int{1 << 26, 1 << 40, math.MaxInt} {
		if got := lsa.Make(0, mtu, false).MTU(); got > mtu || got < 1<<25 {
			t.Errorf("%d became %d", mtu, got)
		}
	}
	if lsa.Make(0, -1, false).MTU() != 0 {
		t.Error("a negative MTU is known")
	}
}

func TestNumbersGrowWithTheCounterAndStandAboveAllThatIsCounted(t *testing.T) {
	last := lsa.Seq(0)
	for _, s := range []lsa.Seq{
		1, 1 << 20, 1 << 48, 1 << 62, // counted, at best
		1 << 63, math.MaxUint64, // by nobody: forged
		lsa.Make(0, 0, false), lsa.Make(0, 1<<20, true),
		lsa.Make(1, 0, false), lsa.Make(1, 0, true), lsa.Make(1, 1500, false), lsa.Make(2, 0, false),
		lsa.Make(lsa.LastCounter, 0, false), lsa.Max,
	} {
		if !s.Newer(last) || last.Newer(s) || s.Newer(s) {
			t.Errorf("%016x does not replace %016x", uint64(s), uint64(last))
		}
		last = s
	}
	if plain := lsa.Seq(1 << 48); lsa.Make(0, 0, false) < plain {
		t.Error("the C implementation would not take a structured number after a counted one")
	}
}

func TestAMemberThatAddsOneToOurNumberSaysNothingWithIt(t *testing.T) {
	s := lsa.Make(9, 1500, false)
	for range 100 {
		if (s + 1).Speaks(s) {
			t.Fatalf("%016x after %016x", uint64(s+1), uint64(s))
		}
		s++
	}
	for _, c := range []struct {
		s, old lsa.Seq
		want   bool
	}{
		{lsa.Make(10, 0, true), s, true},
		{lsa.Make(10, 0, true), 0, true},
		{lsa.Make(0, 0, true), 0, true},
		{7, 6, false},
		{math.MaxUint64, 6, false},
		{lsa.Make(lsa.LastCounter, 0, true), 0, false},
		{lsa.Max, s, false},
	} {
		if c.s.Speaks(c.old) != c.want {
			t.Errorf("%016x after %016x speaks: %v", uint64(c.s), uint64(c.old), !c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		b, _ := hex.DecodeString(v.Packet)
		f.Add(b)
	}
	own := make([]byte, lsa.Size)
	lsa.Update{Dst: 1, Src: 2, Seq: lsa.Make(3, 1496, true)}.Put(own)
	f.Add(own)
	f.Fuzz(func(t *testing.T, b []byte) {
		u, ok := lsa.Parse(b)
		if ok != (len(b) == lsa.Size) {
			t.Fatalf("%d bytes: %v", len(b), ok)
		}
		if !ok {
			return
		}
		out := make([]byte, lsa.Size)
		u.Put(out)
		if !bytes.Equal(out, b) {
			t.Fatalf("%x became %x", b, out)
		}
		if s := u.Seq; s.Structured() {
			if again := lsa.Make(s.Counter(), s.MTU(), s.Withdrawn()); again.MTU() != s.MTU() || again.Counter() != s.Counter() || again.Withdrawn() != s.Withdrawn() {
				t.Fatalf("%016x became %016x", uint64(s), uint64(again))
			}
		}
	})
}
