/*
 * Flows: allocating, reading and writing. See flow_alloc(3), flow_read(3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_DEV_H
#define OUROBOROS_DEV_H

#include <ouroboros/cdefs.h>
#include <ouroboros/qos.h>

#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct timespec;

__BEGIN_DECLS

/*
 * These give a flow descriptor, or a negative error. timeo is relative; NULL
 * is 20 s for flow_alloc and flow_join, and no limit for flow_accept. qs may
 * be NULL; flow_alloc takes the wish from it, and both put there what was
 * agreed.
 */
int flow_alloc(const char *dst, qosspec_t *qs, const struct timespec *timeo);
int flow_accept(qosspec_t *qs, const struct timespec *timeo);
int flow_join(const char *layer, const struct timespec *timeo);

int flow_dealloc(int fd);

/* One write is one message, and one read returns one, or the next part of one. */
ssize_t flow_write(int fd, const void *buf, size_t count);
ssize_t flow_read(int fd, void *buf, size_t count);

__END_DECLS

#endif
