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
#include <stdatomic.h>
#include <unistd.h>

struct flow_set {
	int         number; /* in core's table */
	int         ready;  /* eventfd that is readable when there are events */
	atomic_int  users;  /* the program, until it destroys the set, and calls */
	atomic_bool gone;   /* destroyed */
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
	atomic_init(&set->users, 1);
	atomic_init(&set->gone, false);
	return set;
}

/* The last user of a set releases it: a set may be destroyed while others wait
 * for its events. */
static void put(void *arg)
{
	fset_t *set = arg;

	if (atomic_fetch_sub(&set->users, 1) > 1)
		return;
	GO(int, (core_set_destroy(set->number), 0));
	free(set);
}

PUBLIC void fset_destroy(fset_t *set)
{
	uint64_t one = 1;

	if (set == NULL)
		return;
	fset_zero(set);
	atomic_store(&set->gone, true);
	if (atomic_load(&set->users) > 1 && write(set->ready, &one, sizeof(one)) < 0)
		abort(); /* an eventfd that is ours and not full */
	put(set);
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

static bool sleep_or_put(fset_t *set, int64_t deadline)
{
	bool rung;

	pthread_cleanup_push(put, set);
	rung = sleep_on(set->ready, deadline);
	pthread_cleanup_pop(0);
	return rung;
}

PUBLIC ssize_t fevent(fset_t *set, fqueue_t *fq, const struct timespec *timeo)
{
	int64_t ns, deadline;
	int     n;

	if (set == NULL || fq == NULL || !nanoseconds(timeo, &ns))
		return -EINVAL;
	pthread_testcancel();
	deadline = ns == FOREVER ? FOREVER : now() + ns;
	atomic_fetch_add(&set->users, 1);
	for (;;) {
		pthread_mutex_lock(&fq->mu);
		n = fq->next < fq->end;
		if (n == 0 && atomic_load(&set->gone))
			n = -EINVAL;
		if (n == 0) {
			bool last = deadline != FOREVER && now() >= deadline;

			n = GO(int, core_events(set->number, fq->events, EVENTS, last));
			if (n > 0) {
				fq->next = 0;
				fq->end  = n;
				n        = 1;
			}
		}
		pthread_mutex_unlock(&fq->mu);
		if (n == 0 && !sleep_or_put(set, deadline))
			n = interrupted() ? -EINTR : -ETIMEDOUT;
		if (n != 0)
			break;
	}
	put(set);
	return n;
}
