/*
 * What the test programs share. A program prints what is not as it must be,
 * and exits with 1 if there was any of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ouroboros/cep.h>
#include <ouroboros/dev.h>
#include <ouroboros/errno.h>
#include <ouroboros/fccntl.h>
#include <ouroboros/fqueue.h>
#include <ouroboros/irm.h>
#include <ouroboros/ouro.h>
#include <ouroboros/version.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int failed;

#define IS(got, want)                                                                   \
	do {                                                                            \
		long long g_ = (long long) (got), w_ = (long long) (want);              \
		if (g_ != w_) {                                                         \
			printf("%s:%d: %s gives %lld (%s), not %lld\n", __FILE__,       \
			       __LINE__, #got, g_, g_ < 0 ? ouro_strerror(g_) : "", w_); \
			failed = 1;                                                     \
		}                                                                       \
	} while (0)

#define OK(holds)                                                                 \
	do {                                                                      \
		if (!(holds)) {                                                   \
			printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #holds); \
			failed = 1;                                               \
		}                                                                 \
	} while (0)

/* A descriptor, or the end of the program. */
#define FD(call)                                                                     \
	({                                                                           \
		int fd_ = (call);                                                    \
		if (fd_ < 0) {                                                       \
			printf("%s:%d: %s gives %d: %s\n", __FILE__, __LINE__, #call, \
			       fd_, ouro_strerror(fd_));                             \
			exit(1);                                                     \
		}                                                                    \
		fd_;                                                                 \
	})

static const struct timespec at_once = { 0, 0 };
static const struct timespec soon    = { 0, 20 * 1000 * 1000 };
static const struct timespec minute  = { 60, 0 };

/* Binds this process to a name, which it must have called the network for. */
static inline void serve(const char *name)
{
	flow_accept(NULL, &at_once);
	IS(irm_bind_process(getpid(), name), 0);
}

static inline void readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	IS(poll(&p, 1, 60000), 1);
}

/* Makes a flow from this process to itself; serve(name) was called before. */
static inline void pair(const char *name, const qosspec_t *qs, int *client, int *server)
{
	qosspec_t wish = qs == NULL ? qos_raw : *qs;
	int       op   = FD(ouro_accept_start(&minute));

	*client = FD(flow_alloc(name, &wish, &minute));
	readable(op);
	*server = FD(ouro_finish(op, NULL));
}

static inline void set_flags(int fd, unsigned flags)
{
	IS(fccntl(fd, FLOWSFLAGS, FLOWFRDWR | FLOWFWNOPART | flags), 0);
}

static inline int result(void)
{
	fflush(stdout);
	return failed;
}

#endif
