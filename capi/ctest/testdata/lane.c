/*
 * lane.c alone, without Go: messages of all sizes in any order of writes and
 * reads, and another side that writes anything anywhere in the shared memory.
 * lane SEED ROUNDS; run under the sanitizers, which see each byte that is
 * touched outside of the ring.
 */
#include "../../lane.c"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE (1 << 16)

static uint64_t state;

static uint64_t any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t below(uint64_t n)
{
	return any() % n;
}

/* One ring, of which flow 0 is the writer and flow 1 the reader. */
static uint8_t *mem;
static uint64_t tail, head, peer_state;
static uint32_t data_armed, room_armed, mtu;

static void make(void)
{
	struct foreign *w = &lanes[0], *r = &lanes[1];

	memset(w, 0, sizeof(*w));
	memset(r, 0, sizeof(*r));
	tail = head = peer_state = 0;
	data_armed = room_armed = mtu = 0;
	w->out.gate = (struct gate) { 0, 1, mem, SIZE - 1, &tail, &head, &data_armed, &room_armed };
	w->out.window = w->out.ahead = SIZE / 2;
	w->out.looked                = -(uint64_t) RECHECK;
	w->out.most = w->out.limit   = SIZE / 2;
	w->out.peer_state            = &peer_state;
	w->out.peer_mtu              = &mtu;
	r->out.peer_state            = &peer_state;
	r->in.gate                   = (struct gate) { 0, 1, mem, SIZE - 1, &head, &tail, &data_armed, &room_armed };
	r->no_wait                   = 1;
}

static void in_order(int rounds)
{
	static uint8_t out[SIZE], in[SIZE];
	uint32_t       written = 0, read = 0, most = below(2) ? 100 : 20000;
	bool           ring;

	make();
	while (rounds-- > 0) {
		if (below(2)) {
			uint32_t n = 5 + below(most);

			memset(out, written, n);
			memcpy(out, &written, 4);
			ring       = false;
			data_armed = below(2);
			if (lane_write(0, out, n, &ring) == (ssize_t) n)
				written++;
			else
				data_armed = 0;
			assert(!ring || data_armed == 0);
		} else {
			ssize_t  n = lane_read(1, in, sizeof(in), &ring);
			uint32_t number;

			if (n < 0) {
				assert(n == LANE_AGAIN && read == written);
				continue;
			}
			memcpy(&number, in, 4);
			assert(number == read);
			for (ssize_t i = 4; i < n; i++)
				assert(in[i] == (uint8_t) read);
			read++;
		}
	}
	while (lane_read(1, in, sizeof(in), &ring) >= 0)
		read++;
	assert(read == written && written > 0);
}

/* A word as a position might be, or not at all. */
static uint64_t word(uint64_t near, uint32_t count)
{
	switch (below(4)) {
	case 0:
		return any();
	case 1:
		return pack(near + 8 * below(64), count + below(8));
	case 2:
		return pack(near - 8 * below(64), count - below(8));
	}
	return pack(near + 8 * below(SIZE / 4), count + below(1000));
}

static void hostile(int rounds)
{
	struct foreign *w = &lanes[0], *r = &lanes[1];
	bool            ring;

	make();
	while (rounds-- > 0) {
		size_t   count = 1 + below(below(2) ? 200 : SIZE);
		uint8_t *buf   = calloc(1, count);
		ssize_t  n;

		mtu        = below(8) ? 0 : any();
		peer_state = below(8) ? 0 : any();
		data_armed = any();
		room_armed = any();
		if (below(2)) {
			head = word(w->out.head, w->out.taken);
			n    = lane_write(0, buf, count, &ring);
			assert(n == LANE_SLOW || n == LANE_EMPTY || n == (ssize_t) count);
			assert(w->out.tail - w->out.head <= SIZE && w->out.count - w->out.taken <= SIZE / 16);
		} else {
			if (below(2))
				tail = word(r->in.tail, r->in.arrived);
			for (int i = below(4); i > 0; i--)
				*(uint64_t *) (mem + ((r->in.head + 8 * below(8)) & (SIZE - 1))) =
					below(2) ? any() : below(2) << 32 | below(2 * SIZE);
			n = lane_read(1, buf, count, &ring);
			assert(n < (ssize_t) count);
			assert(r->in.tail - r->in.head <= SIZE);
		}
		free(buf);
		if (below(1000) == 0)
			make();
	}
}

int main(int argc, char **argv)
{
	bool ring = false;
	char one[1];

	if (argc != 3)
		return 2;
	state = strtoull(argv[1], NULL, 10) * 2654435761u + 1;
	mem   = calloc(1, SIZE);
	for (int i = 0; i < 20; i++) {
		in_order(atoi(argv[2]) / 20);
		hostile(atoi(argv[2]) / 20);
	}
	/* A lane that is closed, or in which somebody is, is left alone. */
	make();
	lanes[0].out.gate.busy = 1;
	assert(lane_write(0, one, 1, &ring) == LANE_SLOW);
	lanes[0].out.gate.busy = 0;
	lanes[0].out.gate.open = 0;
	assert(lane_write(0, one, 1, &ring) == LANE_SLOW);
	assert(lanes[0].out.gate.busy == 0);
	free(mem);
	return 0;
}
