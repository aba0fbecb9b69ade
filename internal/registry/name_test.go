package registry

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

var localhost = netip.MustParseAddr("127.0.0.1")

func TestNamesAreListedInTheOrderOfTheReference(t *testing.T) {
	n := newNode(t, nil)
	for _, s := range []string{"n1", "n2"} {
		n.CreateName(bg, irm.NameInfo{Name: s})
	}
	n.DestroyName(bg, "n1")
	for _, s := range []string{"n5", "n6", "b1", "bcl", "u1", "unil"} {
		n.CreateName(bg, irm.NameInfo{Name: s})
	}
	infos, _ := n.ListNames(bg)
	var got []string
	for _, i := range infos {
		got = append(got, i.Name)
	}
	if want := []string{"unil", "u1", "n6", "bcl", "b1", "n5", "n2"}; !slices.Equal(got, want) {
		t.Fatalf("listed %v, want %v", got, want)
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	n := newNode(t, nil)
	for _, info := range []irm.NameInfo{
		{Name: ""}, {Name: strings.Repeat("x", 256)}, {Name: "a", Balance: 2}, {Name: "a\x00b"},
		{Name: "a", Server: irm.SecPaths{Key: "/" + strings.Repeat("x", 511)}},
		{Name: "a", Client: irm.SecPaths{Enc: "enc.conf"}}, {Name: "a", Client: irm.SecPaths{Enc: "/a\x00b"}},
		{Name: "a", ServerDemand: 5}, {Name: "a", ClientDemand: -1},
		{Name: "a", Allow: []string{""}}, {Name: "a", Allow: make([]string, irm.MaxAllow+1)},
	} {
		wantIs(t, n.CreateName(bg, info), errno.Invalid)
	}
	for _, s := range []string{strings.Repeat("x", 254), strings.Repeat("x", 255), "ä b", "*"} {
		if err := n.CreateName(bg, irm.NameInfo{Name: s}); err != nil {
			t.Error(err)
		}
	}
	wantIs(t, n.DestroyName(bg, "nothing"), errno.NameError)
}

func TestSettingsThatCannotBeChangeNothing(t *testing.T) {
	n := newNode(t, nil)
	if err := n.CreateName(bg, irm.NameInfo{Name: "a", ServerDemand: irm.DemandAuth}); err != nil {
		t.Fatal(err)
	}
	path, demand := "key.pem", irm.DemandNothing
	wantIs(t, n.SetName(bg, "a", irm.NameChange{Server: irm.SideChange{Key: &path, Demand: &demand}}), errno.Invalid)
	infos, _ := n.ListNames(bg)
	if infos[0].ServerDemand != irm.DemandAuth || infos[0].Server.Key != "" {
		t.Errorf("listed: %+v", infos)
	}
}

func TestANameDemandsWhatItSaysElseWhatTheNodeSays(t *testing.T) {
	n := newNode(t, func(c *Config) {
		c.SecurityDir, c.Demands = "/sec", Demands{Server: irm.DemandEncryption, Client: irm.DemandAuth}
	})
	if err := n.CreateName(bg, irm.NameInfo{Name: "plain", ServerDemand: irm.DemandNothing, ClientDemand: irm.DemandNothing}); err != nil {
		t.Fatal(err)
	}
	if err := n.CreateName(bg, irm.NameInfo{Name: "web", Client: irm.SecPaths{Enc: "/e"}, Allow: []string{"alice"}}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		got  oap.Security
		want oap.Security
	}{
		{"a client of a name elsewhere", n.clientSecurity("far"), oap.Security{Dir: "/sec/client/far", RequireAuth: true}},
		{"a client", n.clientSecurity("web"), oap.Security{Dir: "/sec/client/web", Encryption: "/e", RequireAuth: true}},
		{"a server", n.serverSecurity(n.names["web"]), oap.Security{Dir: "/sec/server/web", RequireEncryption: true, Allow: []string{"alice"}}},
		{"a client that demands nothing", n.clientSecurity("plain"), oap.Security{Dir: "/sec/client/plain"}},
		{"a server that demands nothing", n.serverSecurity(n.names["plain"]), oap.Security{Dir: "/sec/server/plain"}},
		{"a name that leads elsewhere", n.clientSecurity("../../etc"), oap.Security{RequireAuth: true}},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-, +):\n%s", tc.name, diff)
		}
	}
	n.SetDemands(Demands{})
	if s := n.clientSecurity("far"); s.RequireAuth {
		t.Error("the demands of the node have not changed")
	}
}

func TestAnExistingNameIsKept(t *testing.T) {
	n := newNode(t, nil)
	n.process(10, "a") // makes it
	if err := n.CreateName(bg, irm.NameInfo{Name: "a", Balance: irm.RoundRobin}); err != nil {
		t.Fatal(err)
	}
	infos, _ := n.ListNames(bg)
	if infos[0].Balance != irm.Spill || !slices.Equal(infos[0].Processes, []int{10}) {
		t.Fatalf("listed: %+v", infos)
	}
}

func TestADestroyedNameTakesItsBindingsAlong(t *testing.T) {
	n := newNode(t, nil)
	n.process(10, "a", "b")
	path := makeProgram(t, "p")
	n.BindProgram(bg, irm.ProgramBinding{Program: path, Name: "a"})
	if err := n.DestroyName(bg, "a"); err != nil {
		t.Fatal(err)
	}
	procs, _ := n.ListProcesses(bg)
	progs, _ := n.ListPrograms(bg)
	if !slices.Equal(procs[0].Names, []string{"b"}) || len(progs) != 0 {
		t.Fatalf("left: %+v %+v", procs, progs)
	}
}

func TestAHashFindsItsName(t *testing.T) {
	n := newNode(t, nil)
	n.CreateName(bg, irm.NameInfo{Name: "oecho"})
	want, _ := hex.DecodeString("85dc67719220174872105ef3e5cdddd760e6de7fea2f80b1eef7ee8066d9239c")
	for algo := irm.SHA3_224; algo <= irm.MD5; algo++ {
		n.mu.Lock()
		if got := n.nameOfHash(algo, hash.Sum(algo, "oecho")); got == nil || got.info.Name != "oecho" {
			t.Errorf("%v does not find it", algo)
		}
		n.mu.Unlock()
	}
	// Names that come and go later are found and not found.
	n.CreateName(bg, irm.NameInfo{Name: "srv"})
	n.DestroyName(bg, "oecho")
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.nameOfHash(irm.SHA3_256, want) != nil || n.nameOfHash(irm.MD5, hash.Sum(irm.MD5, "srv")) == nil {
		t.Error("the index is not kept")
	}
	if n.nameOfHash(irm.HashAlgo(9), want) != nil {
		t.Error("an unknown algorithm finds something")
	}
}

func TestLimitsHaveClearErrors(t *testing.T) {
	n := newNode(t, func(c *Config) {
		c.Limits = Limits{Flows: 3, FlowsPerProcess: 2, AcceptsPerProcess: 2, AllocsPerProcess: 1, Names: 2, Programs: 1, Processes: 3, Watchers: 1}
	})
	server := n.process(10, "a")
	client, other := n.process(20), n.process(30)
	_, err := n.Announce(Identity{PID: 40}, testOwner("x"))
	wantIs(t, err, errno.NoBufs)
	if _, err := n.Announce(Identity{PID: 10, Exe: "/usr/bin/test"}, testOwner("second")); err != nil {
		t.Error("a second session of a known process is refused:", err)
	}
	n.CreateName(bg, irm.NameInfo{Name: "b"})
	wantIs(t, n.CreateName(bg, irm.NameInfo{Name: "c"}), errno.NoBufs)
	wantIs(t, client.Bind(bg, "c"), errno.NoBufs)

	n.accepting(server)
	n.accepting(server)
	_, err = server.Accept(bg)
	wantIs(t, err, errno.NoBufs)
	for range 2 {
		if _, err := client.Alloc(bg, "a", qos.Raw); err != nil {
			t.Fatal(err)
		}
	}
	_, err = client.Alloc(bg, "a", qos.Raw)
	wantIs(t, err, errno.NoBufs)
	_, err = server.Accept(bg)
	wantIs(t, err, errno.NoBufs)
	_ = other

	for i, want := range []error{nil, errno.NoBufs} {
		err := n.BindProgram(bg, irm.ProgramBinding{Program: makeProgram(t, fmt.Sprint(i)), Name: "a"})
		if want == nil && err != nil {
			t.Error(err)
		} else if want != nil {
			wantIs(t, err, want)
		}
	}
	s, _ := n.Status(bg)
	if s.Counters["limits_reached"] == 0 || s.Counters["flows"] != 2 {
		t.Errorf("counters: %v", s.Counters)
	}
}

func TestOneUserCannotTakeTheFlowsOfAll(t *testing.T) {
	n := newNode(t, func(c *Config) { c.Limits = Limits{FlowsPerUser: 3} })
	announce := func(pid int, uid uint32) *Process {
		h, err := n.Announce(Identity{PID: pid, UID: uid, Exe: "/usr/bin/test"}, testOwner("test"))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	server := announce(10, 0) // root is not counted
	if err := server.Bind(bg, "a"); err != nil {
		t.Fatal(err)
	}
	first, second, other := announce(20, 4711), announce(30, 4711), announce(40, 4712)
	var last *Grant
	for _, h := range []*Process{first, second, first, other} {
		n.accepting(server)
		g, err := h.Alloc(bg, "a", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if h == first {
			last = g
		}
	}
	n.accepting(server)
	_, err := second.Alloc(bg, "a", qos.Raw)
	wantIs(t, err, errno.NoBufs)
	_, err = second.Accept(bg)
	wantIs(t, err, errno.NoBufs)
	if second.AllocNow("a", qos.Raw) != nil {
		t.Error("the short way goes past the limit")
	}
	if err := first.Dealloc(last.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Alloc(bg, "a", qos.Raw); err != nil {
		t.Error(err)
	}
	for _, h := range []*Process{first, second, other, server} {
		h.Exit()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.userFlows) != 0 {
		t.Errorf("still counted: %v", n.userFlows)
	}
}

func TestIDsAreTheLowestFree(t *testing.T) {
	for _, limit := range []int{1, 62, 63, 64, 65, 4095, 4096, 5000, 262144} {
		s := newIDSet(limit)
		for want := 1; want <= limit; want++ {
			if got, ok := s.take(); !ok || got != want {
				t.Fatalf("limit %d: took %d, %v, want %d", limit, got, ok, want)
			}
		}
		if got, ok := s.take(); ok {
			t.Fatalf("limit %d: took %d, though all are taken", limit, got)
		}
		for _, id := range []int{limit, limit/2 + 1, 1} {
			s.free(id)
			if got, ok := s.take(); !ok || got != id {
				t.Fatalf("limit %d: took %d, want the only free one, %d", limit, got, id)
			}
		}
	}
}

func hashSum(name string) []byte { return hash.Sum(irm.SHA3_256, name) }
