package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"ouroboros/irm"
	"ouroboros/qos"
)

func TestAWatcherSeesWhatHappensInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		var got []string
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		done := newDone()
		go func() {
			done <- n.Watch(ctx, func(ev irm.Event) error {
				got = append(got, fmt.Sprintf("%s %s %s %d", ev.Kind, ev.Action, ev.Name, ev.FlowID))
				return nil
			})
		}()
		synctest.Wait()
		make("l1", irm.Local, "home")
		server, client := n.process(10, "a"), n.process(20)
		n.accepting(server)
		g, err := client.Alloc(bg, "a", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		client.Dealloc(g.ID)
		server.Exit()
		client.Alloc(bg, "nothing", qos.Raw)
		n.DestroyName(bg, "a")
		synctest.Wait()
		want := []string{
			"process announced l1 0", "ipcp created l1 0", "ipcp bootstrapped l1 0",
			"process announced /usr/bin/test 0", "name created a 0", "name bound a 0", "process announced /usr/bin/test 0",
			"flow allocated a 1", "flow deallocated a 1", "name unbound a 0", "process exited /usr/bin/test 0",
			"flow refused nothing 0", "name destroyed a 0",
		}
		if !slices.Equal(got, want) {
			t.Errorf("saw %q\nwant %q", got, want)
		}
		cancel()
		wantIs(t, <-done, context.Canceled)
	})
}

func newDone() chan error { return make(chan error, 1) }

func TestASlowWatcherIsToldThatItMissedSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, nil)
		enough := errors.New("enough")
		release, done := make(chan struct{}), newDone()
		var events, lost int
		go func() {
			done <- n.Watch(bg, func(ev irm.Event) error {
				<-release
				if ev.Kind == "lost" {
					lost++
				} else {
					events++
				}
				if ev.Name == "last" {
					return enough
				}
				return nil
			})
		}()
		synctest.Wait()
		n.CreateName(bg, irm.NameInfo{Name: "first"})
		synctest.Wait() // the watcher is busy with it
		for i := range 3 * watchQueue {
			n.CreateName(bg, irm.NameInfo{Name: fmt.Sprint(i)})
		}
		close(release)
		synctest.Wait()
		n.CreateName(bg, irm.NameInfo{Name: "last"})
		wantIs(t, <-done, enough)
		if events != 1+watchQueue+1 || lost != 1 {
			t.Errorf("%d events and %d times lost", events, lost)
		}
	})
}
