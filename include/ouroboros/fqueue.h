/*
 * Sets of flows, and their events. See fset(3), fqueue(3), fevent(3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_FQUEUE_H
#define OUROBOROS_FQUEUE_H

#include <ouroboros/cdefs.h>

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

enum fqtype {
	FLOW_PKT     = 1,  /* a message came */
	FLOW_DOWN    = 2,  /* packets cannot be carried now */
	FLOW_UP      = 4,  /* they can again */
	FLOW_ALLOC   = 8,  /* reserved */
	FLOW_DEALLOC = 16, /* the other side has deallocated */
	FLOW_PEER    = 32  /* the peer timed out */
};

struct flow_set;
struct fqueue;

typedef struct flow_set fset_t;
typedef struct fqueue fqueue_t;

struct timespec;

__BEGIN_DECLS

fset_t *fset_create(void);
void    fset_destroy(fset_t *set);
void    fset_zero(fset_t *set);
int     fset_add(fset_t *set, int fd);
bool    fset_has(const fset_t *set, int fd);
void    fset_del(fset_t *set, int fd);

fqueue_t   *fqueue_create(void);
void        fqueue_destroy(fqueue_t *fq);
int         fqueue_next(fqueue_t *fq);
enum fqtype fqueue_type(fqueue_t *fq);

ssize_t fevent(fset_t *set, fqueue_t *fq, const struct timespec *timeo);

__END_DECLS

#endif
