package registry

import (
	"errors"
	"testing"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/oap"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// lossy is a flow on a network.
type lossy struct{ flow.Flow }

func TestAFlowForWhichAKeyWasAgreedOnIsNeverCarriedInTheClear(t *testing.T) {
	pipe, _ := flow.NewPipe(flow.PipeOptions{QoS: qos.Raw})
	guarded, _ := flow.NewPipe(flow.PipeOptions{})
	good := func(flow.Flow, Needs) (flow.Flow, error) { return guarded, nil }
	bad := func(flow.Flow, Needs) (flow.Flow, error) { return nil, errors.New("no such cipher") }
	key := &crypt.Key{1}
	for name, tc := range map[string]struct {
		guard   func(flow.Flow, Needs) (flow.Flow, error)
		flow    flow.Flow
		session *oap.Session
		want    flow.Flow // nil = refused
	}{
		"sealed":                          {good, lossy{pipe}, &oap.Session{Cipher: wire.AES256GCM, Key: key}, guarded},
		"within the node":                 {good, pipe, &oap.Session{Cipher: wire.AES256GCM, Key: key}, pipe},
		"plain":                           {good, lossy{pipe}, &oap.Session{}, guarded},
		"plain, without an exchange":      {good, lossy{pipe}, nil, guarded},
		"plain, without guards":           {nil, lossy{pipe}, &oap.Session{}, lossy{pipe}},
		"nobody who seals":                {nil, lossy{pipe}, &oap.Session{Cipher: wire.AES256GCM, Key: key}, nil},
		"a cipher that is not there":      {bad, lossy{pipe}, &oap.Session{Cipher: 77, Key: key}, nil},
		"a cipher and no key":             {good, lossy{pipe}, &oap.Session{Cipher: wire.AES256GCM}, nil},
		"a key, and nobody says for what": {good, lossy{pipe}, &oap.Session{Key: key}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Registry{cfg: Config{Guard: tc.guard}}
			f, err := r.guard(tc.flow, qos.Raw, 0, tc.session)
			switch {
			case tc.want == nil && (!errors.Is(err, errno.Crypt) || f != tc.flow):
				t.Errorf("not refused as it should be, or not given back: %v", err)
			case tc.want != nil && (err != nil || f != tc.want):
				t.Errorf("%v, %v", f, err)
			}
		})
	}
}

// Whatever becomes of a flow, the key does not stay in the session.
func TestTheKeyIsWipedOnceTheFlowIsThere(t *testing.T) {
	n, make := layered(t)
	make("i0", irm.Unicast, "l0")
	p := n.process(10, "a")
	e := n.ipcps.sorted[0]
	var seen crypt.Key
	n.cfg.Guard = func(f flow.Flow, needs Needs) (flow.Flow, error) {
		seen = *needs.Key
		if needs.Cipher == wire.AES128CTR {
			return nil, errors.New("refused")
		}
		return f, nil
	}
	for _, c := range []wire.Cipher{wire.AES256GCM, wire.AES128CTR} {
		a, _ := flow.NewPipe(flow.PipeOptions{QoS: qos.Raw})
		session := &oap.Session{Cipher: c, Key: &crypt.Key{9, 9}}
		g, err := n.carry(p, nil, e, "a", lossy{a}, qos.Raw, 0, session)
		if (err == nil) != (c == wire.AES256GCM) || seen != (crypt.Key{9, 9}) {
			t.Errorf("%v: %v, key %v", c, err, seen)
		}
		if *session.Key != (crypt.Key{}) {
			t.Errorf("%v: the key is still there", c)
		}
		if err == nil {
			if err := p.Dealloc(g.ID); err != nil {
				t.Error(err)
			}
		}
	}
}
