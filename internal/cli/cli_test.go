package cli

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/cert"
	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
)

func TestEveryOperationCanBeCarriedOut(t *testing.T) {
	known := map[string]bool{}
	for _, n := range grammar.IRM().Leaves() {
		known[n.Path()] = true
		if operations[n.Path()] == nil {
			t.Errorf("nothing carries out %s", n.Line())
		}
	}
	for path := range operations {
		if !known[path] {
			t.Errorf("no words lead to %q", path)
		}
	}
}

// fields lists the names of the JSON fields of a view.
func fields(view any) []string {
	var names []string
	for f := range reflect.TypeOf(view).Fields() {
		if f.Anonymous {
			names = append(names, fields(reflect.Zero(f.Type).Interface())...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func TestTheHelpNamesTheFieldsOfTheJSON(t *testing.T) {
	views := map[string]any{
		"ipcp create": createdView{}, "ipcp bootstrap": ipcpView{}, "ipcp enroll": ipcpView{}, "ipcp list": ipcpView{},
		"ipcp show": shownView{}, "name list": nameView{}, "name show": nameView{}, "flow list": flowView{},
		"process list": processView{}, "program list": programView{}, "status": statusView{}, "watch": eventView{},
		"layer list": layerView{}, "layer graph": graph{},
		"cert ca": madeView{}, "cert issue": madeView{}, "cert trust": madeView{}, "cert encrypt": encryptView{}, "cert kem": kemView{},
		"cert show": cert.Info{}, "cert check": cert.Finding{}, "cert revoke": cert.Info{}, "cert list": cert.Info{},
	}
	for _, n := range grammar.IRM().Leaves() {
		view, ok := views[n.Path()]
		if !ok {
			if len(n.JSON) > 0 {
				t.Errorf("%s promises the fields %v", n.Line(), n.JSON)
			}
			continue
		}
		if got := fields(view); !slices.Equal(got, n.JSON) {
			t.Errorf("%s prints %v and promises %v", n.Line(), got, n.JSON)
		}
	}
}

// hung is a daemon that takes no connection.
func hung(ctx context.Context, _ string) (Service, error) {
	<-ctx.Done()
	return nil, errno.New(errno.IRMd, "cannot talk to the IRM daemon: %v", ctx.Err())
}

func TestCompletionDoesNotWaitForADaemonThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, bad bytes.Buffer
		begin := time.Now()
		code := Run(t.Context(), []string{grammar.CompleteWord, "--", "ipcp", "destroy", "name", ""}, Env{Stdout: &out, Stderr: &bad, Dial: hung})
		if took := time.Since(begin); took > completeTimeout {
			t.Errorf("it took %v", took)
		}
		if code != 0 || bad.Len() > 0 || out.String() != "none\n" {
			t.Errorf("code %d, %q, %q", code, out.String(), bad.String())
		}
	})
}

func TestADaemonThatHangsIsToldAndCanBeGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var out, bad bytes.Buffer
		if code := Run(ctx, []string{"ipcp", "list"}, Env{Stdout: &out, Stderr: &bad, Dial: hung}); code != 1 {
			t.Errorf("code %d", code)
		}
		want := "irm: warning: the daemon has not answered yet; Ctrl-C gives up\nirm: given up; what was asked for may have been done all the same\n"
		if bad.String() != want {
			t.Errorf("got %q", bad.String())
		}
	})
}
