package cli

import (
	"reflect"
	"slices"
	"strings"
	"testing"

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
