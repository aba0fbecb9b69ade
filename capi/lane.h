/*
 * Reading and writing messages without a call of Go. The rules are those of
 * ring.Foreign; the wire of the rings is in the package ring.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_LANE_H
#define OUROBOROS_LANE_H

#include "core.h"

#include <stddef.h>

/* How a lane is entered, and where its ring lies; as in ring.Foreign. */
struct gate {
	uint32_t  busy; /* 1 = somebody is inside, here or in Go */
	uint32_t  open;
	uint8_t  *mem;
	uint64_t  mask;
	uint64_t *mine;   /* the word that this side publishes */
	uint64_t *theirs; /* that of the other side */
	uint32_t *data_armed;
	uint32_t *room_armed;
};

struct foreign {
	uint32_t marks;
	uint32_t read_only; /* of the C side: flow_write is left to Go */
	uint32_t no_wait;   /* of the C side: flow_read does not wait */
	uint32_t no_wait_write;
	uint32_t watched;   /* of the C side: Go is to know that nothing is there */
	uint32_t patience;  /* of the C side: rounds to look for a message */
	uint32_t sulk;      /* of the C side: waits in which not to lend the processor */
	uint32_t sulked;    /* of the C side: how many those were last */
	uint8_t  pad0_[32];

	struct {
		struct gate gate;
		uint64_t    head, tail, length, offset;
		uint32_t    count, arrived;
		bool        end_mark;
		uint8_t     pad_[31];
	} in;
	struct {
		struct gate gate;
		uint64_t    tail, head, skip_at, skip_len, looked, window, ahead;
		uint32_t    count, taken;
		uint64_t   *peer_state;
		uint32_t   *peer_mtu;
		uint64_t    most, limit;
	} out;
	uint8_t pad1_[40];
};

_Static_assert(sizeof(struct gate) == 56, "as in ring.Foreign");
_Static_assert(sizeof(struct foreign) == 384, "as in ring.Foreign");
_Static_assert(offsetof(struct foreign, in) == 64, "as in ring.Foreign");
_Static_assert(offsetof(struct foreign, out) == 192, "as in ring.Foreign");

extern struct foreign lanes[FD_END];

/*
 * A message that is there, or for which there is room: its length. LANE_SLOW
 * when the call is to be left to Go, LANE_EMPTY when it has to wait for a
 * message or for room, and LANE_AGAIN when it does not wait. ring is set when the other
 * side wants to be rung. lane_write does not write to buf.
 */
#define LANE_SLOW  (-1)
#define LANE_EMPTY (-2)
#define LANE_AGAIN (-3)

ssize_t lane_read(int fd, void *buf, size_t count, bool *ring);

/* Lends the processor to the other side, if that pays: true when another try is
 * worth it. i counts the tries. */
bool lane_lend(int fd, int i);

ssize_t lane_write(int fd, void *buf, size_t count, bool *ring);

#endif
