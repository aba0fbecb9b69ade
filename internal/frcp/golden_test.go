package frcp

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

// TestOneSideOfTheGoldenExchanges lets the packets of one side of each
// recorded exchange arrive at a machine, at the recorded times: its user gets
// each message once and in order, whatever was lost, repeated or faulty.
func TestOneSideOfTheGoldenExchanges(t *testing.T) {
	raw, err := os.ReadFile("../wire/frcp/testdata/frcp_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	type frame struct {
		Payload string  `json:"payload_hex"`
		Kind    string  `json:"kind"`
		From    string  `json:"from"`
		T       float64 `json:"t"`
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]qos.Spec{
		"frcp_pure_ack_first":    qos.Data,
		"frcp_exchange_loss":     qos.Data,
		"frcp_fullloss_rto":      qos.Data,
		"frcp_dealloc_final_ack": qos.Data,
		"frcp_rdvs":              qos.Data,
		"frcp_best_effort":       qos.BestEffort,
	} {
		var v struct{ Frames []frame }
		if err := json.Unmarshal(all[name], &v); err != nil || len(v.Frames) == 0 {
			t.Fatalf("%s: %v, %d frames", name, err, len(v.Frames))
		}
		for _, side := range []string{"client", "server"} {
			t.Run(name+" "+side, func(t *testing.T) {
				scripted(t, spec, Config{}, func(s *script) {
					var got []string
					s.u.t = quiet{t}
					s.u.reply = func(p []byte) { got = append(got, string(p)) }
					var sent []string
					known := map[wire.Seq]bool{}
					begin := time.Now()
					for _, f := range v.Frames {
						if f.From != side || f.Kind != "frcp" {
							continue
						}
						p, err := hex.DecodeString(f.Payload)
						if err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Duration(f.T*float64(time.Second)) - time.Since(begin))
						flow.Deliver(s.h, []*packet.Buffer{packet.From(p)})
						if h, _ := wire.Parse(p); h.Flags.Has(wire.DATA) && !known[h.Seq] {
							known[h.Seq] = true
							sent = append(sent, string(p[wire.HeaderLen:]))
						}
					}
					synctest.Wait()
					// What came after a number that never came waits for it.
					if len(got) > len(sent) || len(got) < min(1, len(sent)) {
						t.Fatalf("got %q of %q", got, sent)
					}
					for i := range got {
						if got[i] != sent[i] {
							t.Errorf("message %d is %q, want %q", i, got[i], sent[i])
						}
					}
					for _, p := range s.wrote() {
						if p.Flags.Has(wire.ACK) && !known[p.Ack-1] {
							t.Errorf("acknowledged %+v", p)
						}
						if p.Flags.Has(wire.DATA) {
							t.Errorf("sent %+v", p)
						}
					}
				})
			})
		}
	}
}
