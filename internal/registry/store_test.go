package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/local"
	"ouroboros/internal/oap"
	"ouroboros/irm"
)

// memStore keeps the snapshot as JSON in memory.
type memStore struct {
	mu    sync.Mutex
	data  []byte
	saves int
	err   error
}

func (s *memStore) Load() (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data == nil {
		return nil, s.err
	}
	return decodeState(s.data)
}

func (s *memStore) Save(snapshot *Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	if s.err != nil {
		return s.err
	}
	var err error
	s.data, err = json.Marshal(stateFile{fileVersion, snapshot})
	return err
}

// change gives the number of saves since the last change, and makes the next
// ones fail with err.
func (s *memStore) change(err error) (saves int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	saves, s.saves, s.err = s.saves, 0, err
	return saves
}

func keeping(s Store) func(*Config) {
	return func(c *Config) {
		c.Store = s
		c.NewIPCP = func(kind irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
			switch kind {
			case irm.Local:
				return ipcp.Start(kind, local.New, ipcp.Env{Identity: id, Host: host}, nil)
			case irm.Unicast:
				return &testIPCP{host: host, id: id, server: oap.NewServer(oap.ServerConfig{})}, nil
			}
			return nil, errno.New(errno.IPCPType, "this build has none")
		}
	}
}

func TestWhatIsSetUpSurvivesARestart(t *testing.T) {
	store := FileStore{Path: filepath.Join(t.TempDir(), "state.json")}
	prog := makeProgram(t, "server")
	describe := func(n *testNode) []any {
		names, _ := n.ListNames(bg)
		progs, _ := n.ListPrograms(bg)
		ipcps, _ := n.ListIPCPs(bg)
		procs, _ := n.ListProcesses(bg)
		for i := range procs {
			procs[i].Since = time.Time{}
		}
		return []any{names, progs, ipcps, procs}
	}

	n := newNode(t, keeping(store))
	for _, s := range []string{"n1", "b1", "u1", "n5"} {
		n.CreateName(bg, irm.NameInfo{Name: s, Server: irm.SecPaths{Key: "/k"}})
	}
	both := irm.DemandBoth
	n.SetName(bg, "n5", irm.NameChange{Server: irm.SideChange{Demand: &both}, Client: irm.SideChange{Demand: &both}, Allow: &[]string{"alice"}})
	n.BindProgramAs(bg, irm.ProgramBinding{Program: prog, Name: "n1", Args: []string{"--listen"}, Auto: true}, 65534, 65533)
	n.BindProgram(bg, irm.ProgramBinding{Program: prog, Name: "n5"})
	l, _ := n.CreateIPCP(bg, "l", irm.Local)
	n.CreateIPCP(bg, "later", irm.Local)
	gone, _ := n.CreateIPCP(bg, "gone", irm.Local)
	u, _ := n.CreateIPCP(bg, "u", irm.Unicast)
	n.BindProcess(bg, u, "layer")
	if _, err := n.BootstrapIPCP(bg, l, irm.NewConfig(irm.Local, "home")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.EnrollIPCP(bg, u, "neighbour"); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{l, u} {
		if err := n.RegName(bg, "n1", pid); err != nil {
			t.Fatal(err)
		}
	}
	n.DestroyIPCP(bg, gone)
	h := n.process(10) // processes do not survive
	before := func() []any { h.Exit(); return describe(n) }()
	n.end()

	if fi, err := os.Stat(store.Path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatal(fi.Mode(), err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, keeping(store))
		synctest.Wait() // the enrolment
		if diff := cmp.Diff(before, describe(n)); diff != "" {
			t.Errorf("before and after the restart (-, +):\n%s", diff)
		}
		if b := n.names["n1"].autos[0]; b.uid != 65534 || b.gid != 65533 || !slices.Equal(b.args, []string{"--listen"}) {
			t.Errorf("binding: %+v", b)
		}
		pid, err := n.CreateIPCP(bg, "new", irm.Local)
		if err != nil || pid <= u {
			t.Errorf("a new IPCP got pid %d, %v", pid, err)
		}
	})
}

func TestWhatCannotBeRestoredIsKeptForTheNextTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memStore{}
		store.Save(&Snapshot{IPCPs: []SavedIPCP{{PID: FirstIPCP + 3, Name: "e", Type: irm.EthDIX, Config: irm.NewConfig(irm.EthDIX, "x")}},
			Programs: []SavedProgram{{Program: "/nothing/here", Name: "a", Auto: true}}})
		n := newNode(t, keeping(store))
		n.CreateName(bg, irm.NameInfo{Name: "new"})
		n.end()
		s, err := store.Load()
		if err != nil || len(s.IPCPs) != 1 || s.IPCPs[0].Name != "e" || len(s.Names) != 2 || len(s.Programs) != 1 {
			t.Fatalf("kept: %+v, %v", s, err)
		}
	})
}

func TestSavesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memStore{}
		n := newNode(t, keeping(store))
		time.Sleep(time.Second)
		store.change(nil)
		for i := range 1000 {
			n.CreateName(bg, irm.NameInfo{Name: string(rune('a' + i))})
		}
		time.Sleep(time.Second)
		if saves := store.change(errors.New("disk full")); saves != 1 {
			t.Errorf("%d saves of 1000 changes", saves)
		}
		n.DestroyName(bg, "a")
		time.Sleep(time.Second)
		if s, _ := n.Status(bg); s.Counters["state_save_failures"] != 1 {
			t.Errorf("counters: %v", s.Counters)
		}
		store.change(nil)
	})
}

func TestADamagedFileIsMovedAsideAndTheNodeStarts(t *testing.T) {
	for _, text := range []string{"", "{", "null", `{"version":1}{}`, `{"version":2}`, `{"version":1,"names":3}`, "\x00\xff"} {
		path := filepath.Join(t.TempDir(), "state.json")
		os.WriteFile(path, []byte(text), 0o600)
		_, err := FileStore{path}.Load()
		if err == nil {
			t.Errorf("%q was read", text)
			continue
		}
		aside, _ := filepath.Glob(path + ".damaged-*")
		if len(aside) != 1 {
			t.Fatalf("%q: moved aside: %v", text, aside)
		}
		if kept, _ := os.ReadFile(aside[0]); !bytes.Equal(kept, []byte(text)) {
			t.Errorf("%q is not kept", text)
		}
		os.WriteFile(path, []byte(text), 0o600)
		newNode(t, keeping(FileStore{path})).CreateName(bg, irm.NameInfo{Name: "a"})
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"names":[{"name":"a","balance":1}],"ipcps":[{"pid":4194305,"name":"l","type":0,"config":{"Type":0,"Layer":"x"},"bound":["a"],"names":["a"]}]}`))
	f.Add([]byte(`{"version":1,"ipcps":[{"pid":-1,"name":"","type":99},{"pid":9223372036854775807,"name":"q"},{"name":"r"}],"programs":[{"program":"x","name":""}]}`))
	f.Add([]byte(`{"version":1,"names":[{"name":"a"}],"ipcps":[{"pid":4194305,"name":"u","type":1,"enroll":"x","names":["a","a"],"connections":[{"component":"Management","dst":"x"},{"component":"","dst":""},{"component":"Data Transfer","dst":"x","qos":{"Delay":1}}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := newNode(t, keeping(&memStore{data: data}))
		if err := n.CreateName(bg, irm.NameInfo{Name: "fuzz"}); err != nil {
			t.Error(err)
		}
	})
}
