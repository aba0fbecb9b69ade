package enroll_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/enroll"
)

// seen are messages between members of the C implementation.
func seen(t testing.TB) (l []struct {
	Name, Hex string
	Fields    struct {
		ID       string
		Sec      int64 `json:"t_sec"`
		Nsec     int32 `json:"t_nsec"`
		Response int32
		Result   int32
		Conf     *struct {
			Layer struct {
				Name string
				Hash uint32 `json:"dir_hash_algo"`
			} `json:"layer_info"`
			Type    uint32 `json:"ipcp_type"`
			Unicast *struct {
				DT *struct {
					AddrSize uint32 `json:"addr_size"`
					EIDSize  uint32 `json:"eid_size"`
					MaxTTL   uint32 `json:"max_ttl"`
					Routing  struct {
						LS struct {
							Recalc  uint32 `json:"t_recalc"`
							Update  uint32 `json:"t_update"`
							Timeout uint32 `json:"t_timeo"`
						}
					}
				}
				Dir struct {
					DHT struct {
						Alpha, K, Peer uint32
						Expire         uint32 `json:"t_expire"`
						Refresh        uint32 `json:"t_refresh"`
						Replicate      uint32 `json:"t_replicate"`
					}
				}
				Congestion *uint32 `json:"cong_avoid"`
			}
		}
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
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type message interface {
	Size() int
	Put(b []byte)
}

func put(m message) []byte {
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
		var m message
		var err error
		var id enroll.ID
		switch {
		case strings.Contains(v.Name, "request"):
			r, e := enroll.ParseRequest(b)
			m, err, id = &r, e, r.ID
		case strings.Contains(v.Name, "ack"):
			a, e := enroll.ParseAck(b)
			m, err, id = &a, e, a.ID
			if a.Result != v.Fields.Result {
				t.Errorf("%s: result %d", v.Name, a.Result)
			}
		default:
			r, e := enroll.ParseResponse(b)
			m, err, id = &r, e, r.ID
			if r.Sec != v.Fields.Sec || r.Nsec != v.Fields.Nsec || r.Response != v.Fields.Response {
				t.Errorf("%s: %+v", v.Name, r)
			}
			if r.Config == nil {
				t.Errorf("%s: no configuration", v.Name)
				break
			}
			want := v.Fields.Conf
			if c := r.Config; c.Layer != want.Layer.Name || c.Hash != want.Layer.Hash || c.Type != want.Type ||
				(c.Unicast == nil) != (want.Unicast == nil) {
				t.Errorf("%s: %+v", v.Name, c)
			}
			if u := r.Config.Unicast; u != nil {
				d := want.Unicast.Dir.DHT
				if diff := cmp.Diff(&enroll.DHT{Alpha: d.Alpha, K: d.K, Expire: d.Expire, Refresh: d.Refresh,
					Replicate: d.Replicate, Peer: dt.Addr(d.Peer)}, u.DHT); diff != "" {
					t.Errorf("%s: %s", v.Name, diff)
				}
				if f := want.Unicast.DT; f != nil {
					ls := f.Routing.LS
					if u.AddrSize != f.AddrSize || u.EIDSize != f.EIDSize || u.MaxTTL != f.MaxTTL || u.Routing != 0 ||
						*u.LS != (enroll.LinkState{Recalc: ls.Recalc, Update: ls.Update, Timeout: ls.Timeout}) ||
						u.AddrAuth != 0 || u.Congestion != *want.Unicast.Congestion {
						t.Errorf("%s: %+v", v.Name, u)
					}
				}
				if r.Config.Peer() != dt.Addr(d.Peer) {
					t.Errorf("%s: peer %v", v.Name, r.Config.Peer())
				}
			}
		}
		if err != nil || v.Fields.ID != "" && id.String() != v.Fields.ID {
			t.Errorf("%s: id %v: %v", v.Name, id, err)
		}
		if again := put(m); !bytes.Equal(again, b) {
			t.Errorf("%s: written as\n%x, want\n%x", v.Name, again, b)
		}
	}
}

const (
	id      = "0a08 0102030405060708 "
	accept  = id + "1000 1800 2000 "
	layer   = "0a05 0a01 78 1001 "
	ls      = "0800 1004 180f 203c"
	dht     = "0803 1008 1864 2005 2806 3007"
	dtConf  = "0a14 0804 1008 183c 220c 0800 1208" + ls
	dirConf = "1210 0800 120c" + dht
	tail    = "1800 2001"
)

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	request := func(b []byte) error { _, err := enroll.ParseRequest(b); return err }
	response := func(b []byte) error { _, err := enroll.ParseResponse(b); return err }
	ack := func(b []byte) error { _, err := enroll.ParseAck(b); return err }
	for _, c := range []struct {
		why   string
		parse func(b []byte) error
		hex   string
		err   error
	}{
		{"a request", request, id, nil},
		{"nothing", request, "", enroll.ErrMissing},
		{"an id of no bytes", request, "0a00", enroll.ErrID},
		{"an id of 7 bytes", request, "0a07 01020304050607", enroll.ErrID},
		{"an id of 9 bytes", request, "0a09 010203040506070809", enroll.ErrID},
		{"an id that is a number", request, "0801", enroll.ErrEncoding},
		{"an id twice", request, id + id, enroll.ErrRepeated},
		{"an id that is cut", request, "0a08 01020304050607", enroll.ErrEncoding},

		{"an ack", ack, id + "1000", nil},
		{"no result", ack, id, enroll.ErrMissing},
		{"no id", ack, "1000", enroll.ErrMissing},
		{"an id of no bytes in an ack", ack, "0a00 1000", enroll.ErrID},
		{"an id of 7 bytes in an ack", ack, "0a07 01020304050607 1000", enroll.ErrID},
		{"a result beyond 31 bits", ack, id + "108080808008", enroll.ErrRange},

		{"a refusal", response, id + "1000 1800 20ffffffffffffffffff01", nil},
		{"accepted without a configuration", response, accept, enroll.ErrMissing},
		{"an id of no bytes in a response", response, "0a00 1000 1800 2000 2a09" + layer + "1002", enroll.ErrID},
		{"no time", response, id + "1800 2000 2a09" + layer + "1002", enroll.ErrMissing},
		{"no nanoseconds", response, id + "1000 2000 2a09" + layer + "1002", enroll.ErrMissing},
		{"no response", response, id + "1000 1800 2a09" + layer + "1002", enroll.ErrMissing},
		{"nanoseconds beyond 31 bits", response, id + "1000 188080808008 2000 2a09" + layer + "1002", enroll.ErrRange},
		{"a broadcast layer", response, accept + "2a09" + layer + "1002", nil},
		{"two configurations", response, accept + "2a09" + layer + "1002 2a09" + layer + "1002", enroll.ErrRepeated},
		{"a configuration that is a number", response, accept + "2801", enroll.ErrEncoding},
		{"no layer", response, accept + "2a02 1002", enroll.ErrMissing},
		{"no type", response, accept + "2a07" + layer, enroll.ErrMissing},
		{"a type beyond 32 bits", response, accept + "2a0d" + layer + "108080808010", enroll.ErrRange},
		{"a layer without a name", response, accept + "2a06 0a02 1001 1002", enroll.ErrMissing},
		{"a layer with an empty name", response, accept + "2a08 0a04 0a00 1001 1002", enroll.ErrName},
		{"a layer whose name is a number", response, accept + "2a08 0a04 0800 1001 1002", enroll.ErrEncoding},
		{"a layer without a hash", response, accept + "2a07 0a03 0a0178 1002", enroll.ErrMissing},
		{"a layer that is not UTF-8", response, accept + "2a09 0a05 0a01ff 1001 1002", enroll.ErrName},

		{"a unicast layer", response, accept + "2a37" + layer + "1001 1a2c" + dtConf + dirConf + tail, nil},
		{"no data transfer", response, accept + "2a21" + layer + "1001 1a16" + dirConf + tail, enroll.ErrMissing},
		{"no directory", response, accept + "2a25" + layer + "1001 1a1a" + dtConf + tail, enroll.ErrMissing},
		{"no congestion", response, accept + "2a35" + layer + "1001 1a2a" + dtConf + dirConf + "1800", enroll.ErrMissing},
		{"no time-out", response, accept + "2a35" + layer + "1001 1a2a 0a12 0804 1008 183c 220a 0800 1206 0800 1004 180f" +
			dirConf + tail, enroll.ErrMissing},
		{"no peer", response, accept + "2a35" + layer + "1001 1a2a" + dtConf + "120e 0800 120a 0803 1008 1864 2005 2806" + tail,
			enroll.ErrMissing},
		{"policies without their part", response, accept + "2a1f" + layer + "1001 1a14 0a0a 0804 1008 183c 2202 0805 1202 0806 1807 2008", nil},
	} {
		if err := c.parse(unhex(t, c.hex)); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.why, err, c.err)
		}
	}
}

func TestAMessageThatIsCutIsRefused(t *testing.T) {
	for _, v := range seen(t) {
		b := unhex(t, v.Hex)
		for n := range b {
			var err error
			switch {
			case strings.Contains(v.Name, "request"):
				_, err = enroll.ParseRequest(b[:n])
			case strings.Contains(v.Name, "ack"):
				_, err = enroll.ParseAck(b[:n])
			default:
				_, err = enroll.ParseResponse(b[:n])
			}
			if err == nil {
				t.Errorf("%s: %d bytes of %d are taken", v.Name, n, len(b))
			}
		}
	}
}

// unicast is a response with everything set.
func unicast(name string) *enroll.Response {
	return &enroll.Response{
		ID: enroll.ID{1, 2, 3, 4, 5, 6, 7, 8}, Sec: math.MaxInt64, Nsec: math.MaxInt32, Response: 0,
		Config: &enroll.Config{Layer: name, Hash: math.MaxUint32, Type: math.MaxUint32, Unicast: &enroll.Unicast{
			AddrSize: math.MaxUint32, EIDSize: math.MaxUint32, MaxTTL: math.MaxUint32, Routing: math.MaxUint32,
			LS:        &enroll.LinkState{Policy: math.MaxUint32, Recalc: math.MaxUint32, Update: math.MaxUint32, Timeout: math.MaxUint32},
			Directory: math.MaxUint32,
			DHT: &enroll.DHT{Alpha: math.MaxUint32, K: math.MaxUint32, Expire: math.MaxUint32, Refresh: math.MaxUint32,
				Replicate: math.MaxUint32, Peer: math.MaxUint64},
			AddrAuth: math.MaxUint32, Congestion: math.MaxUint32,
		}},
	}
}

func TestTheLongestNameAndTheHighestNumbersFit(t *testing.T) {
	m := unicast(strings.Repeat("n", enroll.MaxLayer))
	b := put(m)
	if len(b) > enroll.MaxSize {
		t.Errorf("%d bytes", len(b))
	}
	got, err := enroll.ParseResponse(b)
	if diff := cmp.Diff(*m, got); err != nil || diff != "" {
		t.Errorf("%v: %s", err, diff)
	}
	m.Config.Layer += "n"
	if _, err := enroll.ParseResponse(put(m)); !errors.Is(err, enroll.ErrName) {
		t.Errorf("%v", err)
	}
	skipped := append(put(&enroll.Request{}), 0x3a, 0xf3, 0x07)
	skipped = append(skipped, make([]byte, enroll.MaxSize-len(skipped))...)
	if _, err := enroll.ParseRequest(skipped); err != nil {
		t.Errorf("%d bytes: %v", len(skipped), err)
	}
	if _, err := enroll.ParseRequest(append(skipped, 0)); !errors.Is(err, enroll.ErrSize) {
		t.Errorf("%v", err)
	}
}

func TestTheClockIsKeptToTheNanosecond(t *testing.T) {
	for _, at := range []time.Time{time.Unix(1795358598, 237983784), time.Unix(0, 0), time.Unix(-3, 5)} {
		var m enroll.Response
		m.Response = -1
		m.SetTime(at)
		got, err := enroll.ParseResponse(put(&m))
		if err != nil || !got.Time().Equal(at) {
			t.Errorf("%v became %v: %v", at, got.Time(), err)
		}
	}
}

func TestAMemberHandsOutWhatItGotWithItsOwnAddress(t *testing.T) {
	c := unicast("layer").Config
	before := put(&enroll.Response{Config: c})
	own := c.WithPeer(7)
	if own.Peer() != 7 || c.Peer() != math.MaxUint64 {
		t.Errorf("%v and %v", own.Peer(), c.Peer())
	}
	own.Unicast.DHT.Peer = c.Peer()
	if diff := cmp.Diff(c, own); diff != "" {
		t.Error(diff)
	}
	own.Unicast.LS.Policy, own.Unicast.Routing, own.Layer = 1, 1, "other"
	if !bytes.Equal(before, put(&enroll.Response{Config: c})) {
		t.Error("the two share memory")
	}
	b := &enroll.Config{Layer: "b", Type: 2}
	if b.WithPeer(7).Peer() != 0 {
		t.Error("a broadcast layer has no addresses")
	}
}

func FuzzMessages(f *testing.F) {
	for _, v := range seen(f) {
		f.Add(unhex(f, v.Hex))
	}
	f.Add(put(unicast("n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := enroll.ParseRequest(b); err == nil {
			if o, err := enroll.ParseRequest(put(&m)); err != nil || o != m {
				t.Errorf("%x: %+v became %+v: %v", b, m, o, err)
			}
		}
		if m, err := enroll.ParseAck(b); err == nil {
			if o, err := enroll.ParseAck(put(&m)); err != nil || o != m {
				t.Errorf("%x: %+v became %+v: %v", b, m, o, err)
			}
		}
		if m, err := enroll.ParseResponse(b); err == nil {
			o, err := enroll.ParseResponse(put(&m))
			if diff := cmp.Diff(m, o); err != nil || diff != "" {
				t.Errorf("%x: %v: %s", b, err, diff)
			}
		}
	})
}
