package broadcast

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
	"ouroboros/qos"
)

// ringOf makes members that are connected in a ring, each with a process.
func ringOf(w *world, n int) (all []*participant) {
	for i := range n {
		all = append(all, w.member(fmt.Sprint("m", i)).join())
	}
	for i := range n {
		w.connect(fmt.Sprint("m", i), fmt.Sprint("m", (i+1)%n))
	}
	return all
}

func TestARingDeliversOnce(t *testing.T) {
	for _, n := range []int{3, 4, 5, 8} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			all := ringOf(w, n)
			rest(0)
			once(t, fmt.Sprintf("ring of %d", n), all...)
			rest(time.Minute)
			once(t, fmt.Sprintf("ring of %d, later", n), all...)
			blocked := 0
			for _, m := range w.members {
				for _, l := range m.neighbours() {
					if l["state"] == "blocked" {
						blocked++
					}
				}
			}
			if blocked != 2 {
				t.Errorf("%d ends of connections are blocked, want 2\n%v", blocked, w)
			}
		})
	}
}

func TestAFullMeshDeliversOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var all []*participant
		for i := range 6 {
			all = append(all, w.member(fmt.Sprint("m", i)).join())
			for j := range i {
				w.connect(fmt.Sprint("m", i), fmt.Sprint("m", j))
			}
		}
		rest(0)
		once(t, "mesh", all...)
	})
}

func TestARingSurvivesTheLossOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := ringOf(w, 5)
		rest(time.Second)
		for i := range 5 {
			for _, f := range w.Between(fmt.Sprint("m", i), fmt.Sprint("m", (i+1)%5)) {
				f.Break()
			}
			rest(100 * time.Millisecond)
			once(t, fmt.Sprintf("without connection %d", i), all...)
			rest(time.Minute) // it is dialled again
			once(t, fmt.Sprintf("with connection %d again", i), all...)
		}
	})
}

// Closing a loop disturbs no message that is under way.
func TestALoopIsClosedWhileMessagesFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var all []*participant
		for i := range 5 {
			all = append(all, w.member(fmt.Sprint("m", i)).join())
			if i > 0 {
				w.connect(fmt.Sprint("m", i), fmt.Sprint("m", i-1))
			}
		}
		rest(time.Second)
		var work sync.WaitGroup
		const each = 2000
		for i, p := range all {
			work.Go(func() {
				for k := range each {
					p.write(fmt.Sprintf("%d: %d", i, k))
					time.Sleep(time.Millisecond)
				}
			})
		}
		for _, pair := range [][2]string{{"m0", "m4"}, {"m1", "m3"}, {"m4", "m2"}, {"m0", "m2"}} {
			time.Sleep(100 * time.Millisecond)
			w.connect(pair[0], pair[1])
		}
		time.Sleep(100 * time.Millisecond)
		if err := w.members["m4"].Disconnect(t.Context(), irm.DataTransfer, "m2"); err != nil {
			t.Fatal(err)
		}
		work.Wait()
		synctest.Wait()
		for i, p := range all {
			next := make([]int, len(all))
			for _, text := range p.take() {
				var from, k int
				fmt.Sscanf(text, "%d: %d", &from, &k)
				if next[from] != k {
					t.Fatalf("%d got message %d of %d, want %d", i, k, from, next[from])
				}
				next[from]++
			}
			next[i] = each
			if slices.ContainsFunc(next, func(n int) bool { return n != each }) {
				t.Errorf("%d got %v of %d", i, next, each)
			}
		}
	})
}

func TestASecondConnectionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a"), w.member("b")
		w.Bind("b", "also b")
		w.connect("a", "b")
		for _, dst := range []string{"b", "also b"} {
			err := a.Connect(t.Context(), irm.DataTransfer, dst, qos.Raw)
			if !errors.Is(err, errno.Exist) || !strings.Contains(err.Error(), `to "b"`) {
				t.Errorf("%q: got %v", dst, err)
			}
		}
		err := b.Connect(t.Context(), irm.DataTransfer, "a", qos.Raw)
		if !errors.Is(err, errno.Exist) || !strings.Contains(err.Error(), "irm ipcp show b") {
			t.Errorf("the other way: got %v", err)
		}
		rest(time.Minute)
		once(t, "after that", a.join(), b.join())
		if n := len(w.Between("a", "b")); n != 2 {
			t.Errorf("there are %d flows, want that of data and that of control", n)
		}
		if n := a.tree()["double"].(uint64) + b.tree()["double"].(uint64); n < 3 {
			t.Errorf("%d are counted", n)
		}
	})
}

func TestBothConnectAtTheSameTime(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.member("a"), w.member("b")
			x, y := a.join(), b.join()
			var work sync.WaitGroup
			work.Go(func() { a.Connect(t.Context(), irm.DataTransfer, "b", qos.Raw) })
			work.Go(func() { b.Connect(t.Context(), irm.DataTransfer, "a", qos.Raw) })
			work.Wait()
			rest(time.Minute)
			once(t, "crossed", x, y)
			if n, m := len(a.neighbours()), len(b.neighbours()); n != 1 || m != 1 {
				t.Errorf("they have %d and %d neighbours\n%v", n, m, w)
			}
		})
	}
}

func TestAMemberIsNotConnectedWithItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a")
		w.Bind("a", layer)
		for _, dst := range []string{"a", layer} {
			if err := a.Connect(t.Context(), irm.DataTransfer, dst, qos.Raw); !errors.Is(err, errno.Invalid) || !strings.Contains(err.Error(), "itself") {
				t.Errorf("%q: got %v", dst, err)
			}
		}
		synctest.Wait()
		once(t, "a", a.join(), a.join())
		if n := len(w.Flows()); n != 0 {
			t.Errorf("%d flows are left", n)
		}
	})
}

// A name that leads to several members: the control connection finds the one
// that the data connection has.
func TestAnyMemberWillDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, n := range []string{"a", "b", "c"} {
			w.member(n)
			w.Bind(n, layer)
		}
		w.connect("a", "b")
		w.connect("b", "c")
		w.connect("c", "a")
		d := w.member("d")
		w.connect("d", layer)
		rest(time.Second)
		all := []*participant{d.join()}
		for _, n := range []string{"a", "b", "c"} {
			all = append(all, w.members[n].join())
		}
		once(t, "any", all...)
		if n := d.tree()["uncontrolled"]; n != uint64(0) {
			t.Errorf("%v connections are not in the tree", n)
		}
		rest(time.Minute)
		if n := len(w.Flows()); n != 8 {
			t.Errorf("%d flows, want 8", n)
		}
	})
}

// A member of our kind that takes no part, as one whose control connections
// cannot be made, is connected in the end.
func TestAConnectionWithoutControlIsOpenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a"), w.member("b")
		x, y := a.join(), b.join()
		data := true
		w.Refuse(func(from, dst string) error {
			if data { // the first one
				data = false
				return nil
			}
			return errno.New(errno.NameError, "the name has gone")
		})
		w.connect("a", "b")
		x.write("too early")
		rest(controlWait + time.Second)
		if got := y.take(); got != nil {
			t.Errorf("got %q", got)
		}
		once(t, "open", x, y)
		if n := w.Logged("level=WARN", "no control connection"); n != 2 {
			t.Errorf("it is told %d times", n)
		}
	})
}

// Members come and go and connections break for half an hour, while all write:
// nothing goes round, and in the end all are connected.
func TestChurn(t *testing.T) {
	minutes := 30
	if testing.Short() || raceEnabled {
		minutes = 5
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := rand.New(rand.NewPCG(1, 2))
		var names []string
		procs := make(map[string]*participant)
		next := 0
		grow := func() {
			n := fmt.Sprint("m", next)
			next++
			m := w.member(n)
			for range min(len(names), 2) {
				// An error: connected with it already, or it is about to go.
				m.Connect(t.Context(), irm.DataTransfer, names[r.IntN(len(names))], qos.Raw)
			}
			names = append(names, n)
			procs[n] = m.join()
		}
		for range 6 {
			grow()
		}
		copies := make(map[string]int)
		count := func(n string) {
			for _, text := range procs[n].take() {
				copies[n+" got "+text]++
			}
		}
		message := 0
		for end := time.Now().Add(time.Duration(minutes) * time.Minute); time.Now().Before(end); {
			switch r.IntN(6) {
			case 0:
				if len(names) < 8 {
					grow()
				}
			case 1:
				if len(names) > 4 {
					i := r.IntN(len(names))
					n := names[i]
					names = slices.Delete(names, i, i+1)
					count(n)
					if r.IntN(2) == 0 {
						w.kill(n)
					} else {
						w.members[n].Close()
						w.Stop(n)
						delete(w.members, n)
					}
				}
			case 2:
				if fs := w.Flows(); len(fs) > 0 {
					fs[r.IntN(len(fs))].Break()
				}
			case 3:
				if fs := w.Flows(); len(fs) > 0 {
					f := fs[r.IntN(len(fs))]
					f.SetDown(true)
					time.AfterFunc(time.Duration(r.IntN(5000))*time.Millisecond, func() { f.SetDown(false) })
				}
			case 4:
				a, b := names[r.IntN(len(names))], names[r.IntN(len(names))]
				w.members[a].Connect(t.Context(), irm.DataTransfer, b, qos.Raw)
			case 5:
				time.Sleep(time.Duration(r.IntN(10000)) * time.Millisecond)
			}
			for range r.IntN(20) {
				procs[names[r.IntN(len(names))]].write(fmt.Sprint("message ", message))
				message++
			}
		}
		rest(time.Second)
		for _, n := range names {
			count(n)
		}
		worst := 0
		for what, n := range copies {
			if n > 1 && worst < n {
				worst = n
				t.Logf("%s %d times", what, n)
			}
		}
		if worst > 2 { // a change of the tree may double a message that is under way
			t.Errorf("a message arrived %d times", worst)
		}
		// All that are connected hear each other: make it all of them.
		for i, n := range names[1:] {
			w.members[n].Connect(t.Context(), irm.DataTransfer, names[i], qos.Raw)
		}
		rest(2 * time.Minute)
		var all []*participant
		for _, n := range names {
			all = append(all, procs[n])
		}
		once(t, "in the end", all...)
		if t.Failed() {
			t.Log(w)
		}
	})
}
