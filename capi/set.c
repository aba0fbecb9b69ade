/*
 * Flow sets and their events.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#define _GNU_SOURCE
#include "call.h"
#include "_cgo_export.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

struct flow_set {
	int number; /* in core's table */
	int ready;  /* descriptor that is readable when there are events */
};

struct fqueue {
	pthread_mutex_t mu;
	int             next, end; /* in events */
	int             type;      /* of the event that was given last; 0 = none was */
	struct event    events[EVENTS];
};

PUBLIC fset_t *fset_create(void)
{
	fset_t *set = malloc(sizeof(*set));

	if (set == NULL)
		return NULL;
	set->number = GO(int, core_set_create(&set->ready));
	if (set->number < 0) {
		free(set);
		return NULL;
	}
	return set;
}

PUBLIC void fset_destroy(fset_t *set)
{
	if (set == NULL)
		return;
	GO(int, (core_set_destroy(set->number), 0));
	free(set);
}

PUBLIC void fset_zero(fset_t *set)
{
	if (set != NULL)
		GO(int, (core_set_zero(set->number), 0));
}

PUBLIC int fset_add(fset_t *set, int fd)
{
	if (set == NULL)
		return -EINVAL;
	return GO(int, core_set_add(set->number, fd));
}

PUBLIC bool fset_has(const fset_t *set, int fd)
{
	return set != NULL && GO(int, core_set_has(set->number, fd)) == 1;
}

PUBLIC void fset_del(fset_t *set, int fd)
{
	if (set != NULL)
		GO(int, (core_set_del(set->number, fd), 0));
}

PUBLIC int ouro_fset_fd(fset_t *set)
{
	return set == NULL ? -EINVAL : set->ready;
}

PUBLIC fqueue_t *fqueue_create(void)
{
	fqueue_t *fq = malloc(sizeof(*fq));

	if (fq == NULL)
		return NULL;
	pthread_mutex_init(&fq->mu, NULL);
	fq->next = fq->end = 0;
	fq->type           = 0;
	return fq;
}

PUBLIC void fqueue_destroy(fqueue_t *fq)
{
	if (fq == NULL)
		return;
	pthread_mutex_destroy(&fq->mu);
	free(fq);
}

/* Events of flows that were deallocated since are passed over. */
PUBLIC int fqueue_next(fqueue_t *fq)
{
	int fd = -EPERM;

	if (fq == NULL)
		return -EINVAL;
	pthread_mutex_lock(&fq->mu);
	while (fd < 0 && fq->next < fq->end) {
		const struct event *e = &fq->events[fq->next++];

		if (GO(int, core_same(e->fd, e->gen)) == 1) {
			fd       = e->fd;
			fq->type = e->type;
		}
	}
	pthread_mutex_unlock(&fq->mu);
	return fd;
}

PUBLIC enum fqtype fqueue_type(fqueue_t *fq)
{
	int type;

	if (fq == NULL)
		return (enum fqtype) -EINVAL;
	pthread_mutex_lock(&fq->mu);
	type = fq->type == 0 ? -EPERM : fq->type;
	pthread_mutex_unlock(&fq->mu);
	return (enum fqtype) type;
}

PUBLIC ssize_t fevent(fset_t *set, fqueue_t *fq, const struct timespec *timeo)
{
	int64_t ns, deadline;
	int     n;

	if (set == NULL || fq == NULL || !nanoseconds(timeo, &ns))
		return -EINVAL;
	deadline = ns == FOREVER ? FOREVER : now() + ns;
	for (;;) {
		pthread_mutex_lock(&fq->mu);
		n = fq->next < fq->end;
		if (n == 0) {
			n = GO(int, core_events(set->number, fq->events, EVENTS));
			if (n > 0) {
				fq->next = 0;
				fq->end  = n;
				n        = 1;
			}
		}
		pthread_mutex_unlock(&fq->mu);
		if (n != 0)
			return n;
		if (!sleep_on(set->ready, deadline))
			return interrupted() ? -EINTR : -ETIMEDOUT;
	}
}
