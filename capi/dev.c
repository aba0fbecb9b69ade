/*
 * Flows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#define _GNU_SOURCE
#include "call.h"
#include "lane.h"
#include "_cgo_export.h"

#include <ouroboros/dev.h>

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>

/* Time that flow_alloc and flow_join have without a time-out of their own. */
#define ALLOC_TIMEOUT ((int64_t) 20 * 1000000000)

/* Without a time-out of its own a call that nobody answers has failed, and
 * has not timed out. */
static int patient(int n, const struct timespec *timeo)
{
	if (n == -ETIMEDOUT && timeo == NULL)
		core_text(n = -EPERM);
	return n;
}

PUBLIC int flow_alloc(const char *dst, qosspec_t *qs, const struct timespec *timeo)
{
	struct frame fr;
	int64_t      ns;
	int          n;

	if (dst == NULL)
		return refuse(-EINVAL, "cannot allocate a flow to no name");
	if (!nanoseconds(timeo, &ns))
		return -EINVAL;
	n = frame_init(&fr);
	if (n < 0)
		return n;
	n = GO(int, core_alloc((char *) dst, qs, ns == FOREVER ? ALLOC_TIMEOUT : ns, fr.bell));
	return patient(finish(&fr, n, qs, NULL), timeo);
}

PUBLIC int flow_accept(qosspec_t *qs, const struct timespec *timeo)
{
	struct frame fr;
	int64_t      ns;
	int          n;

	if (!nanoseconds(timeo, &ns))
		return -EINVAL;
	n = frame_init(&fr);
	if (n < 0)
		return n;
	return finish(&fr, GO(int, core_accept(ns, fr.bell)), qs, NULL);
}

PUBLIC int flow_join(const char *layer, const struct timespec *timeo)
{
	struct frame fr;
	int64_t      ns;
	int          n;

	if (layer == NULL)
		return refuse(-EINVAL, "cannot join a layer without a name");
	if (!nanoseconds(timeo, &ns))
		return -EINVAL;
	n = frame_init(&fr);
	if (n < 0)
		return n;
	n = GO(int, core_join((char *) layer, ns == FOREVER ? ALLOC_TIMEOUT : ns, fr.bell));
	return patient(finish(&fr, n, NULL, NULL), timeo);
}

PUBLIC int flow_dealloc(int fd)
{
	if (fd < 0 || fd >= FD_END)
		return -EINVAL;
	return GO(int, core_dealloc(fd));
}

static void stop_waiting(void *fr)
{
	GO(int, (core_leave(fr), 0));
}

/* One look at a flow: what the call gives, or CORE_WAIT. */
typedef ssize_t (*look_t)(int fd, void *buf, size_t count, struct frame *fr);

static ssize_t look_read(int fd, void *buf, size_t count, struct frame *fr)
{
	return GO(ssize_t, core_read(fd, buf, count, fr));
}

static ssize_t look_write(int fd, void *buf, size_t count, struct frame *fr)
{
	return GO(ssize_t, core_write(fd, buf, count, fr));
}

static void sleep_or_leave(struct frame *fr, int64_t deadline)
{
	pthread_cleanup_push(stop_waiting, fr);
	fr->expired = !frame_sleep(fr, deadline);
	pthread_cleanup_pop(0);
}

/*
 * Looks at a flow, and sleeps between the looks, until its time-out. n is
 * LANE_EMPTY when it is known that the call has to wait.
 */
static ssize_t await(look_t look, int fd, void *buf, size_t count, ssize_t n)
{
	struct frame fr       = { .seat = -1 };
	int64_t      deadline = 0;

	if (n != LANE_EMPTY) {
		n = look(fd, buf, count, &fr);
		if (n != CORE_WAIT)
			return n;
	}
	n = frame_init(&fr);
	if (n < 0)
		return n;
	for (;;) {
		n = look(fd, buf, count, &fr);
		if (n != CORE_WAIT)
			return n;
		if (deadline == 0)
			deadline = fr.timeout == FOREVER ? FOREVER : now() + fr.timeout;
		sleep_or_leave(&fr, deadline);
		if (interrupted()) {
			stop_waiting(&fr);
			return refuse(-EINTR, "the call was interrupted by a signal");
		}
	}
}

/* A lane is tried first: most messages need no more. */
typedef ssize_t (*lane_t)(int fd, void *buf, size_t count, bool *ring);

static ssize_t try_lane(lane_t lane, int fd, void *buf, size_t count)
{
	bool    ring = false;
	ssize_t n;

	pthread_testcancel();
	if (!enter_quick())
		return LANE_SLOW;
	n = lane(fd, buf, count, &ring);
	leave_quick();
	if (ring)
		GO(int, (core_ring(fd), 0));
	return n;
}

static ssize_t after_lane(ssize_t n, look_t look, int fd, void *buf, size_t count)
{
	if (n >= 0)
		return n;
	if (n == LANE_AGAIN)
		return -EAGAIN;
	return await(look, fd, buf, count, n);
}

PUBLIC ssize_t flow_read(int fd, void *buf, size_t count)
{
	ssize_t n;

	if (fd < 0 || fd >= FD_END)
		return -EBADF;
	if (buf == NULL && count > 0)
		return refuse(-EINVAL, "cannot read into no memory");
	n = try_lane(lane_read, fd, buf, count);
	for (int i = 0; n == LANE_EMPTY && lane_lend(fd, i); i++)
		n = try_lane(lane_read, fd, buf, count);
	return after_lane(n, look_read, fd, buf, count);
}

PUBLIC ssize_t flow_write(int fd, const void *buf, size_t count)
{
	ssize_t n;

	if (buf == NULL && count > 0)
		return refuse(-EINVAL, "cannot write from no memory");
	if (fd < 0 || fd >= FD_END)
		return -EBADF;
	/* With a full queue there is much to do for the other side: to lend the
	 * processor is not enough. */
	n = try_lane(lane_write, fd, (void *) buf, count);
	return after_lane(n, look_write, fd, (void *) buf, count);
}

PUBLIC int ouro_alloc_start(const char *dst, const qosspec_t *qs, const struct timespec *timeo)
{
	int64_t ns;

	if (dst == NULL)
		return refuse(-EINVAL, "cannot allocate a flow to no name");
	if (!nanoseconds(timeo, &ns))
		return -EINVAL;
	return GO(int, core_alloc((char *) dst, (qosspec_t *) qs, ns == FOREVER ? ALLOC_TIMEOUT : ns, -1));
}

PUBLIC int ouro_accept_start(const struct timespec *timeo)
{
	int64_t ns;

	if (!nanoseconds(timeo, &ns))
		return -EINVAL;
	return GO(int, core_accept(ns, -1));
}

PUBLIC int ouro_join_start(const char *layer, const struct timespec *timeo)
{
	int64_t ns;

	if (layer == NULL)
		return refuse(-EINVAL, "cannot join a layer without a name");
	if (!nanoseconds(timeo, &ns))
		return -EINVAL;
	return GO(int, core_join((char *) layer, ns == FOREVER ? ALLOC_TIMEOUT : ns, -1));
}

PUBLIC int ouro_write_start(int fd, const void *buf, size_t count)
{
	if (buf == NULL && count > 0)
		return refuse(-EINVAL, "cannot write from no memory");
	return GO(int, core_write_start(fd, (void *) buf, count));
}

PUBLIC int ouro_finish(int op, qosspec_t *qs)
{
	int n = GO(int, core_finish(op, qs, NULL));

	return n == CORE_WAIT ? -EAGAIN : n;
}

PUBLIC int ouro_cancel(int op)
{
	return GO(int, core_cancel(op));
}

static ssize_t look_ready(int fd, void *timeout, size_t count, struct frame *fr)
{
	(void) count;
	return GO(ssize_t, core_ready(fd, *(int64_t *) timeout, fr));
}

PUBLIC int ouro_flow_wait(int fd, const struct timespec *timeo)
{
	int64_t ns;

	if (!nanoseconds(timeo, &ns))
		return -EINVAL;
	return await(look_ready, fd, &ns, sizeof(ns), LANE_SLOW);
}

PUBLIC int ouro_flow_fd(int fd)
{
	return GO(int, core_flow_fd(fd));
}

PUBLIC ssize_t ouro_next_len(int fd)
{
	return GO(ssize_t, core_next_len(fd));
}

PUBLIC ssize_t ouro_flow_mtu(int fd)
{
	return GO(ssize_t, core_mtu(fd));
}

static int set_timeout(int fd, bool writing, const struct timespec *t)
{
	int64_t ns;

	if (!nanoseconds(t, &ns))
		return -EINVAL;
	return GO(int, core_set_timeout(fd, writing, ns));
}

static int get_timeout(int fd, bool writing, struct timespec *t)
{
	int64_t ns;
	int     n;

	if (t == NULL)
		return refuse(-EINVAL, "fccntl has no place for its answer");
	n = GO(int, core_timeout(fd, writing, &ns));
	if (n == 0) {
		t->tv_sec  = ns / 1000000000;
		t->tv_nsec = ns % 1000000000;
	}
	return n;
}

/* fccntl with its argument, a pointer or a number. */
int fccntl_arg(int fd, int cmd, uintptr_t arg)
{
	void *p = (void *) arg;
	int   n;

	if (fd < 0 || fd >= FD_END)
		return -EBADF;
	n = GO(int, core_check(fd));
	if (n < 0)
		return n;
	switch (cmd) {
	case FLOWGQOSSPEC:
	case FLOWGFLAGS:
	case FLOWGRXQLEN:
	case FLOWGTXQLEN:
	case FRCTGFLAGS:
		if (p == NULL)
			return refuse(-EINVAL, "fccntl has no place for its answer");
		break;
	}
	switch (cmd) {
	case FLOWSRCVTIMEO:
		return set_timeout(fd, false, p);
	case FLOWGRCVTIMEO:
		return get_timeout(fd, false, p);
	case FLOWSSNDTIMEO:
		return set_timeout(fd, true, p);
	case FLOWGSNDTIMEO:
		return get_timeout(fd, true, p);
	case FLOWGQOSSPEC:
		return GO(int, core_qos(fd, p));
	case FLOWSFLAGS:
		return GO(int, core_set_flags(fd, (uint32_t) arg));
	case FLOWGFLAGS:
		return GO(int, core_flags(fd, p));
	case FLOWGRXQLEN:
		return GO(int, core_queue_len(fd, false, p));
	case FLOWGTXQLEN:
		return GO(int, core_queue_len(fd, true, p));
	case FRCTSFLAGS:
		return GO(int, core_set_frct(fd, (uint16_t) arg));
	case FRCTGFLAGS:
		return GO(int, core_frct(fd, p));
	}
	return refuse(-ENOTSUP, "fccntl does not know this command");
}

PUBLIC int fccntl(int fd, int cmd, ...)
{
	va_list   l;
	uintptr_t arg;

	va_start(l, cmd);
	arg = fccntl_vararg(cmd, l);
	va_end(l);
	return fccntl_arg(fd, cmd, arg);
}
