package linkstate

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/wire/lsa"
)

func TestShowSaysAllAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 0x9253b4e2)
		s := ready(t, m, 2)
		m.Up(2, 1496)
		s.send(lsa.Update{Src: 2, Dst: 0x9253b4e2, Seq: 7}, lsa.Update{Src: 2, Dst: 3, Seq: lsa.Make(9, 1400, true)})
		pause(500 * time.Millisecond)
		text, err := json.Marshal(m.Show())
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Policy, Own string
			Neighbours  []struct {
				Address string
				Up      bool
				MTU     int
			}
			Management []struct {
				Address                      string
				Conn, Queued, Sent, Received int
				Up, Used                     bool
			}
			LSDB []struct {
				Src, Dst          string
				Seq               uint64
				Age               float64 `json:"age_s"`
				MTU               int
				Withdrawn, Usable bool
				Structured        bool
			}
			Routes []struct {
				Dst  string
				Next []string
				MTU  int
			}
			Counters map[string]int
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Policy != "link_state" || got.Own != "e2.b4.53.92" {
			t.Errorf("%s", text)
		}
		if len(got.Neighbours) != 1 || got.Neighbours[0].Address != "02.00.00.00" || !got.Neighbours[0].Up || got.Neighbours[0].MTU != 1496 {
			t.Errorf("neighbours %+v", got.Neighbours)
		}
		if len(got.Management) != 1 || got.Management[0].Sent != 1 || got.Management[0].Received != 2 || !got.Management[0].Used {
			t.Errorf("connections %+v", got.Management)
		}
		if len(got.LSDB) != 3 {
			t.Fatalf("data base %+v", got.LSDB)
		}
		if e := got.LSDB[0]; e.Src != "02.00.00.00" || e.Dst != "03.00.00.00" || e.Seq != 9 || !e.Structured || !e.Withdrawn || e.Usable || e.MTU != 1400 {
			t.Errorf("%+v", e)
		}
		if e := got.LSDB[1]; e.Seq != 7 || e.Structured || e.Withdrawn || !e.Usable || e.Age != 0.5 {
			t.Errorf("%+v", e)
		}
		if len(got.Routes) != 1 || got.Routes[0].Dst != "02.00.00.00" || len(got.Routes[0].Next) != 1 || got.Routes[0].MTU != 1496 {
			t.Errorf("routes %+v", got.Routes)
		}
		if got.Counters["received"] != 2 || got.Counters["installed"] != 1 {
			t.Errorf("counters %v", got.Counters)
		}
	})
}
