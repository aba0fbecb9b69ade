/*
 * Reading and writing messages without a call of Go.
 *
 * The memory of the rings is shared with a process that may write anything
 * there at any time: words of it are read once, and checked against the
 * positions that are kept here. What cannot be is left to Go, which gives up
 * the flow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include "lane.h"

#include <sched.h>
#include <string.h>
#include <time.h>

/* As in the package ring. */
#define UNIT     8
#define HEADER   8
#define PAGE     4096
#define RECHECK  (16 << 10)
#define MESSAGE  0
#define SKIP     1
#define MARKS_NO_WRITE (1 << 0 | 1 << 2 | 1 << 3 | 1 << 4) /* down, closed, poison, own */
#define MARKS_NO_READ  (1 << 3)                            /* poison */
#define STATE_FLAGS    0xff

/* Looking for a message: a round takes a tenth of a microsecond or less. */
#define LOOKS        32
#define MIN_PATIENCE 1
#define MAX_PATIENCE 64

struct foreign lanes[FD_END] __attribute__((aligned(64)));

#define LOAD(p)     __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)

/* What is only a guess may be a wrong one. */
#define GUESS(p)        __atomic_load_n(p, __ATOMIC_RELAXED)
#define SET_GUESS(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)

static bool enter_lane(struct gate *g)
{
	uint32_t free = 0;

	if (__atomic_load_n(&g->open, __ATOMIC_RELAXED) == 0)
		return false;
	if (!__atomic_compare_exchange_n(&g->busy, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	if (g->open != 0)
		return true;
	__atomic_store_n(&g->busy, 0, __ATOMIC_RELEASE);
	return false;
}

static void leave_lane(struct gate *g)
{
	__atomic_store_n(&g->busy, 0, __ATOMIC_RELEASE);
}

static uint64_t align(uint64_t n)
{
	return (n + UNIT - 1) & ~(uint64_t) (UNIT - 1);
}

static uint64_t pack(uint64_t position, uint32_t count)
{
	return position / UNIT << 32 | count;
}

/* How far a published word is ahead of what was known. */
static uint64_t bytes_ahead(uint64_t word, uint64_t position)
{
	return (uint64_t) ((uint32_t) (word >> 32) - (uint32_t) (position / UNIT)) * UNIT;
}

static uint32_t messages_ahead(uint64_t word, uint32_t count)
{
	return (uint32_t) word - count;
}

/* Learns what was written; false when that cannot be. */
static bool refresh_in(struct foreign *f)
{
	uint64_t word     = LOAD(f->in.gate.theirs);
	uint64_t bytes    = bytes_ahead(word, f->in.tail);
	uint32_t messages = messages_ahead(word, f->in.arrived);

	if (bytes > f->in.gate.mask + 1 - (f->in.tail - f->in.head) || (uint64_t) messages * 2 * UNIT > bytes)
		return false;
	f->in.tail += bytes;
	f->in.arrived += messages;
	return true;
}

static ssize_t take(struct foreign *f, void *buf, size_t count, bool *ring)
{
	struct gate *g = &f->in.gate;
	uint64_t     header, length, space, at, first;
	uint32_t     want;

	if (f->in.length != 0 || f->in.end_mark || (LOAD(&f->marks) & MARKS_NO_READ))
		return LANE_SLOW;
	if (f->in.head == f->in.tail) {
		if (!refresh_in(f))
			return LANE_SLOW;
		if (f->in.head == f->in.tail)
			return LANE_EMPTY;
	}
	for (;;) {
		header = LOAD((uint64_t *) (g->mem + (f->in.head & g->mask)));
		length = (uint32_t) header;
		space  = HEADER + align(length);
		if (space > f->in.tail - f->in.head)
			return LANE_SLOW;
		if (header >> 32 != SKIP)
			break;
		f->in.head += space;
		if (f->in.head == f->in.tail)
			return LANE_EMPTY;
	}
	if (header >> 32 != MESSAGE || length == 0 || length >= count || f->in.count == f->in.arrived)
		return LANE_SLOW;
	at    = (f->in.head + HEADER) & g->mask;
	first = g->mask + 1 - at;
	if (length <= first) {
		memcpy(buf, g->mem + at, length);
	} else {
		memcpy(buf, g->mem + at, first);
		memcpy((uint8_t *) buf + first, g->mem, length - first);
	}
	f->in.head += space;
	f->in.count++;
	STORE(g->mine, pack(f->in.head, f->in.count));
	want = LOAD(g->room_armed);
	if (want != 0 && (f->in.tail - f->in.head) / UNIT <= want - 1)
		*ring = __atomic_compare_exchange_n(g->room_armed, &want, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return length;
}

/* Looks for a message for a while, which grows when it pays. */
static bool look(struct foreign *f)
{
	uint64_t known = pack(f->in.tail, f->in.arrived);
	uint32_t most  = f->patience < MIN_PATIENCE ? MIN_PATIENCE : f->patience;

	for (uint32_t i = 0; i < most; i++)
		for (int j = 0; j < LOOKS; j++)
			if (LOAD(f->in.gate.theirs) != known) {
				f->patience = most * 2 > MAX_PATIENCE ? MAX_PATIENCE : most * 2;
				return true;
			}
	f->patience = most / 2;
	return false;
}

ssize_t lane_read(int fd, void *buf, size_t count, bool *ring)
{
	struct foreign *f = &lanes[fd];
	ssize_t         n;

	if (!enter_lane(&f->in.gate))
		return LANE_SLOW;
	n = take(f, buf, count, ring);
	if (n == LANE_EMPTY && !f->no_wait && look(f))
		n = take(f, buf, count, ring);
	if (n == LANE_EMPTY) {
		if (LOAD(&f->marks) != 0 || (LOAD(f->out.peer_state) & STATE_FLAGS))
			n = LANE_SLOW; /* the end of the flow, perhaps */
		else if (f->no_wait)
			n = f->watched ? LANE_SLOW : LANE_AGAIN;
	}
	leave_lane(&f->in.gate);
	return n;
}

/*
 * On a busy machine the other side often waits for this very processor: to
 * lend it costs less than a sleep and a wake-up. But where others compute, they
 * keep it for a whole slice: who lost it for so long sleeps for a while, and is
 * then served first.
 */
#define LENDS     4
#define LONG_LEND 300000 /* ns */
#define MAX_SULK  64

bool lane_lend(int fd, int i)
{
	struct foreign *f = &lanes[fd];
	struct timespec before, after;
	uint32_t        n = GUESS(&f->sulk);

	if (i == 0 && n > 0) {
		SET_GUESS(&f->sulk, n - 1);
		return false;
	}
	if (i >= LENDS)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &before);
	sched_yield();
	clock_gettime(CLOCK_MONOTONIC, &after);
	n = GUESS(&f->sulked);
	if ((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec > LONG_LEND) {
		n = n == 0 ? 8 : n * 2 > MAX_SULK ? MAX_SULK : n * 2;
		SET_GUESS(&f->sulked, n);
		SET_GUESS(&f->sulk, n);
	} else if (n > 0) {
		SET_GUESS(&f->sulked, n - 1);
	}
	return true;
}

/* Whether a record may be written, as far as is known. */
static bool fits(const struct foreign *f, uint64_t need)
{
	uint64_t used = f->out.tail - f->out.head, data = used;

	if (used == 0)
		return true;
	if (f->out.head <= f->out.skip_at)
		data -= f->out.skip_len;
	return data + need <= f->out.ahead && used + need <= f->out.gate.mask + 1;
}

/* Learns what was read; false when that cannot be. */
static bool refresh_out(struct foreign *f)
{
	uint64_t word     = LOAD(f->out.gate.theirs);
	uint64_t bytes    = bytes_ahead(word, f->out.head);
	uint32_t messages = messages_ahead(word, f->out.taken);

	if (bytes > f->out.tail - f->out.head || messages > f->out.count - f->out.taken)
		return false;
	f->out.head += bytes;
	f->out.taken += messages;
	return true;
}

/* Goes back to the start of the ring when that part was read: then few pages
 * are in use. False when a word of the other side cannot be. */
static bool go_back(struct foreign *f, uint64_t need)
{
	struct gate *g   = &f->out.gate;
	uint64_t     off = f->out.tail & g->mask, space = g->mask + 1 - off;

	if (off + need <= PAGE || off == 0)
		return true;
	if (f->out.tail - f->out.looked < RECHECK && off < 2 * f->out.window)
		return true;
	f->out.looked = f->out.tail;
	if (!refresh_out(f))
		return false;
	if (f->out.head != f->out.tail && off < 2 * f->out.window)
		return true;
	if (f->out.head < f->out.tail - off + need || f->out.tail - f->out.head > f->out.window)
		return true;
	*(uint64_t *) (g->mem + off) = (uint64_t) SKIP << 32 | (space - HEADER);
	f->out.skip_at  = f->out.tail;
	f->out.skip_len = space;
	f->out.tail += space;
	return true;
}

static ssize_t give(struct foreign *f, const void *buf, size_t count, bool *ring)
{
	struct gate *g = &f->out.gate;
	uint64_t     need = HEADER + align(count), longest = f->out.limit, at, first;
	uint32_t     mtu;

	if ((LOAD(&f->marks) & MARKS_NO_WRITE) || (LOAD(f->out.peer_state) & STATE_FLAGS))
		return LANE_SLOW;
	mtu = LOAD(f->out.peer_mtu);
	if (mtu != 0)
		longest = mtu < f->out.most ? mtu : f->out.most;
	if (count > longest)
		return LANE_SLOW;
	if (!fits(f, need)) {
		if (!refresh_out(f))
			return LANE_SLOW;
		if (!fits(f, need))
			return f->no_wait_write ? LANE_AGAIN : LANE_EMPTY;
	}
	if (!go_back(f, need))
		return LANE_SLOW;
	*(uint64_t *) (g->mem + (f->out.tail & g->mask)) = (uint64_t) MESSAGE << 32 | count;
	at    = (f->out.tail + HEADER) & g->mask;
	first = g->mask + 1 - at;
	if (count <= first) {
		memcpy(g->mem + at, buf, count);
	} else {
		memcpy(g->mem + at, buf, first);
		memcpy(g->mem, (const uint8_t *) buf + first, count - first);
	}
	f->out.tail += need;
	f->out.count++;
	STORE(g->mine, pack(f->out.tail, f->out.count));
	*ring = LOAD(g->data_armed) != 0 && __atomic_exchange_n(g->data_armed, 0, __ATOMIC_SEQ_CST) != 0;
	return count;
}

ssize_t lane_write(int fd, void *buf, size_t count, bool *ring)
{
	struct foreign *f = &lanes[fd];
	ssize_t         n;

	if (count == 0 || count > UINT32_MAX || f->read_only || !enter_lane(&f->out.gate))
		return LANE_SLOW;
	n = give(f, buf, count, ring);
	leave_lane(&f->out.gate);
	return n;
}
