// Package ethmgmt is the wire format of the two Ethernet layers: the header of
// their frames and the management messages. It is bytes in, struct out; who
// answers what is the business of the IPCP. All fields are big endian.
//
// # Frames
//
// eth-dix has an ethertype of its own:
//
//	offset  size  field
//	0       6     destination MAC
//	6       6     source MAC
//	12      2     ethertype
//	14      2     EID at the receiver; 0 = management
//	16      2     length of the payload in bytes
//	18      n     payload
//
// eth-llc lives beside other protocols in 802.3 frames:
//
//	offset  size  field
//	0       6     destination MAC
//	6       6     source MAC
//	12      2     length of what follows: payload + 3, at most 0x05FF
//	14      1     DSAP: the SAP at the receiver, its bits reversed
//	15      1     SSAP: the SAP at the sender, its bits reversed
//	16      1     control, 0x03 (unnumbered information)
//	17      n     payload
//
// SAP 1 on both sides is management. Reversing the bits keeps the last bit of
// both octets at 0, which says "individual" and "command" to other stations.
// Hardware pads short frames: the length counts, never the size of the frame.
//
// # Management messages
//
// They are the payload of management frames. The two layers order the same
// fields differently, and SAPs are not reversed in here:
//
//	field         type      DIX  LLC   meaning
//	seid, ssap    u16, u8     0    0   endpoint of the sender of the message
//	deid, dsap    u16, u8     2    1   endpoint of the receiver: FLOW_REPLY
//	code          u8         37    2
//	availability  u8         38    3   class of nines
//	loss          u32         4    4
//	bandwidth     u64         8    8   bit/s
//	ber           u32        16   16   errors per 10^9 bits
//	max_gap       u32        20   20   ms
//	delay         u32        24   24   ms
//	timeout       u32        28   28   ms
//	response      i32        32   32   FLOW_REPLY: 0, or a negative error
//	in_order      u8         36   36
//	total                    39   37
//
//	code  name              to         behind the fixed part
//	0     FLOW_REQ          peer       hash, then data to the end
//	1     FLOW_REPLY        requester  data to the end
//	2     NAME_QUERY_REQ    broadcast  hash
//	3     NAME_QUERY_REPLY  asker      hash
//	240   PROBE             peer       hash, then the id of a request
//	241   PROBE_ANSWER      prober     the id; response says what became of it
//
// What a message does not use is 0.
package ethmgmt
