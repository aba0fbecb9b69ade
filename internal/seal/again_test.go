package seal

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	wire "ouroboros/internal/wire/oap"
)

// payloads are what the frames of a capture on an eth-dix layer carry for flows.
func payloads(t *testing.T, path string) (found [][]byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for rest := text[24:]; len(rest) > 16; {
		n := binary.LittleEndian.Uint32(rest[8:])
		frame := rest[16 : 16+n]
		rest = rest[16+n:]
		if endpoint, length := binary.BigEndian.Uint16(frame[14:]), binary.BigEndian.Uint16(frame[16:]); endpoint != 0 {
			found = append(found, frame[18:18+length])
		}
	}
	return found
}

// The C implementation sends a packet of an encrypted flow again as a part of what
// it once sealed, without IV and tag and with a number written into it. Nobody can
// read that, and it must do no harm.
func TestWhatTheCImplementationSendsAgainIsDropped(t *testing.T) {
	all := payloads(t, "testdata/frcp_encrypted_rtx.pcap")
	again := 0
	for i, p := range all {
		a, b := pair(t, wire.AES256GCM, 0)
		if _, ok := opens(b, p); ok {
			t.Errorf("%x is opened", p)
		}
		if got, ok := opens(b, sealed(a, "goes on")); !ok || got != "goes on" {
			t.Errorf("%q, %v after %x", got, ok, p)
		}
		for _, first := range all[:i] {
			if len(first) == len(p)+aeadIV+tag && bytes.Equal(first[aeadIV:aeadIV+8], p[:8]) && bytes.Equal(first[aeadIV+12:len(first)-tag], p[12:]) {
				again++
			}
		}
	}
	if again == 0 {
		t.Errorf("nothing is sent again among %d packets", len(all))
	}
}
