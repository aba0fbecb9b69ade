// Package packet carries batches of Ethernet frames between packet buffers and
// one network device, over a packet socket, with as few system calls, copies
// and wake-ups as Linux allows.
//
//	Send(frames)                                    Receive(frames)
//	  │                                                ▲ copied into
//	  │                                                │ pooled buffers
//	┌─▼──────────────────────────┐   ┌─────────────────┴─────────────────┐
//	│ sendmmsg: gathered out of  │   │ ring in memory that the kernel    │
//	│ the packet buffers         │   │ fills (TPACKET_V2)                │
//	│                            │   ├───────────────────────────────────┤
//	│                            │   │ filter: our protocol, to us or to │
//	│                            │   │ all, no VLAN tag, not our own     │
//	└─┬──────────────────────────┘   └─────────────────▲─────────────────┘
//	  └─────────────────── device ─────────────────────┘
//
// # Receiving
//
// Serve reads the ring on the goroutine that calls it, and delivers on it.
// While frames keep coming there is no system call at all. When nothing is
// there it looks again for a short while that adapts to how soon something
// came before, lending the processor to others between the looks, and then
// sleeps in the kernel. Between two hosts that answer each other a wake-up
// costs more than everything else together.
//
// The ring is TPACKET_V2 and not V3, for latency: V2 hands over each frame as
// it comes, V3 whole blocks, when they are full or after a time-out of a
// millisecond at least. A single frame is seen after 0.03 ms with V2 and after
// 0.8 ms with V3. What V3 would save is the wake-up for each frame, and a
// reader that is awake is not woken; the denser packing of short frames is not
// missed in a ring that holds 20,000.
//
// The socket is bound to the protocol and not to all of them. So the kernel
// asks its filter about frames of our ethertype only, shows it nothing that
// other sockets of this host send, and makes no copies of other traffic.
//
// # Sending
//
// A system call takes up to 64 frames out of their buffers, in order. Many
// goroutines may send at once. The queue of the device stays in the way: past
// it (PACKET_QDISC_BYPASS) nothing is faster and what does not fit is lost. A
// full send buffer or a full queue makes Send take fewer than all, and
// OnWritable's function is called when there is room again, so a sender that
// waits loses nothing on its own host. Frames are not padded: the hardware
// does it, and our protocols have a length field.
//
// # Devices
//
// A VLAN is a device of its own (eth0.5) whose frames have no tag here; frames
// of VLANs that have none are not received on the device below. When a device
// goes down, frames come again after it is up. When it is removed nothing
// comes any more, also if one of the same name appears: open it again. The ring
// is made for the MTU that the device has when it is opened.
package packet
