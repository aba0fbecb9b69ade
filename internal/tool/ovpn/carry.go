package ovpn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"ouroboros"
	"ouroboros/internal/tool/serve"
	"ouroboros/internal/tool/tun"
)

// Totals are what one flow carried.
type Totals struct {
	Sent          uint64 `json:"sent"`           // packets, device to flow
	SentBytes     uint64 `json:"sent_bytes"`     //
	Received      uint64 `json:"received"`       // packets, flow to device
	ReceivedBytes uint64 `json:"received_bytes"` //
	TooLong       uint64 `json:"too_long"`       // for the flow: answered with ICMP
	NotIP         uint64 `json:"not_ip"`         // messages that are no IP packet
}

// errDevice is why a tunnel ends that has lost its device.
var errDevice = errors.New("cannot use the tunnel device")

// tunnel joins the device and one flow.
type tunnel struct {
	dev   *tun.Device
	flow  *ouroboros.Flow
	write sync.Mutex // of the device

	sent, sentBytes, received, receivedBytes, tooLong, notIP atomic.Uint64
}

// carry carries packets both ways until the flow or the device ends, which is
// the error, or ctx does.
func (t *tool) carry(ctx context.Context, flow *ouroboros.Flow) error {
	defer flow.Close()
	t.say(event{Event: "flow", Flow: flow.ID(), MTU: flow.MTU()}, "Flow allocated.\n")
	t.fit(flow.MTU())
	if err := flow.SetFlags(flow.Flags() | ouroboros.NoPartialRead); err != nil {
		return err
	}
	u := &tunnel{dev: t.dev, flow: flow}
	t.say(event{Event: "start"}, "Starting read/write threads.\n")

	ctx, stop := context.WithCancelCause(ctx)
	release := context.AfterFunc(ctx, func() {
		flow.SetDeadline(serve.Past)
		t.dev.Interrupt()
	})
	var both sync.WaitGroup
	both.Go(func() { stop(u.out(ctx)) })
	both.Go(func() { stop(u.in(ctx)) })
	both.Wait()
	release()
	t.dev.Resume()
	err := context.Cause(ctx)
	totals := u.totals()
	t.say(event{Event: "end", Flow: flow.ID(), Why: err.Error(), Totals: &totals},
		"Flow ended: %d packets (%d bytes) sent, %d packets (%d bytes) received.\n",
		totals.Sent, totals.SentBytes, totals.Received, totals.ReceivedBytes)
	return err
}

// fit makes the device's MTU one that the flow carries, where we may.
func (t *tool) fit(mtu int) {
	now := t.dev.MTU()
	if t.MTU == 0 && t.Addr.IsValid() { // the device is ours
		want := min(mtu, defaultMTU)
		if now == want || t.dev.SetMTU(want) == nil {
			return
		}
	}
	if now > mtu {
		t.env.Fail(fmt.Sprintf("The device sends packets of %d bytes, the flow carries %d; longer ones are refused.", now, mtu),
			fmt.Errorf("set it with: ip link set %s mtu %d", t.dev.Name(), mtu))
	}
}

// out carries from the device to the flow.
func (u *tunnel) out(ctx context.Context) error {
	var reply []byte
	for {
		packets, err := u.dev.Read()
		if err != nil {
			return fmt.Errorf("%w: %w", errDevice, err)
		}
		for _, p := range packets {
			_, err := serve.Write(ctx, u.flow, p)
			switch {
			case err == nil:
				u.sent.Add(1)
				u.sentBytes.Add(uint64(len(p)))
			case errors.Is(err, ouroboros.ErrMsgSize):
				u.tooLong.Add(1)
				if reply = tooBig(reply[:0], p, u.flow.MTU()); len(reply) > 0 {
					u.toDevice([][]byte{reply})
				}
			default:
				return err
			}
		}
	}
}

// in carries from the flow to the device, as many as are there at a time.
func (u *tunnel) in(ctx context.Context) error {
	bufs := make([][]byte, u.dev.Batch())
	for i := range bufs {
		bufs[i] = make([]byte, tun.HeadRoom+tun.MaxPacket)
	}
	batch := make([][]byte, 0, len(bufs))
	for {
		batch = batch[:0]
		for len(batch) < len(bufs) {
			b := bufs[len(batch)]
			n, err := serve.Read(ctx, u.flow, b[tun.HeadRoom:])
			switch {
			case err == nil:
			case errors.Is(err, ouroboros.ErrMsgSize):
				u.notIP.Add(1)
				continue
			default:
				return err
			}
			if p := b[tun.HeadRoom:][:n]; n == 0 || p[0]>>4 != 4 && p[0]>>4 != 6 {
				u.notIP.Add(1)
			} else {
				batch = append(batch, b[:tun.HeadRoom+n])
				u.receivedBytes.Add(uint64(n))
			}
			if u.flow.RxQueueLen() == 0 {
				break
			}
		}
		u.received.Add(uint64(len(batch)))
		if len(batch) == 0 {
			continue
		}
		if err := u.toDevice(batch); err != nil {
			return err
		}
	}
}

// toDevice writes packets. One that the system refuses, for its contents or
// because the device is not up, is lost like one on a wire.
func (u *tunnel) toDevice(packets [][]byte) error {
	u.write.Lock()
	defer u.write.Unlock()
	if err := u.dev.Write(packets); err != nil && u.dev.Gone(err) {
		return fmt.Errorf("%w: %w", errDevice, err)
	}
	return nil
}

func (u *tunnel) totals() Totals {
	return Totals{
		Sent: u.sent.Load(), SentBytes: u.sentBytes.Load(),
		Received: u.received.Load(), ReceivedBytes: u.receivedBytes.Load(),
		TooLong: u.tooLong.Load(), NotIP: u.notIP.Load(),
	}
}
