/*
 * The border between the two halves of the library: the C functions that
 * programs call, and the Go that answers. See package capi.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_CORE_H
#define OUROBOROS_CORE_H

#include <ouroboros/cep.h>
#include <ouroboros/errno.h>
#include <ouroboros/fccntl.h>
#include <ouroboros/fqueue.h>
#include <ouroboros/irm.h>
#include <ouroboros/ouro.h>
#include <ouroboros/qos.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

/* Flow descriptors: the lowest, and how many numbers there are. */
#define FD_FIRST 64
#define FD_END   4096

/* Flow sets of a program; number 0 is not given out. */
#define SETS 32

/* Events that one fevent takes. */
#define EVENTS 1024

/* What a call answers when its thread is to sleep on its bell and call again. */
#define CORE_WAIT (-100000)

/* Longest message of connection establishment in bytes. */
#define CEP_MAX 128

/* No time-out. */
#define FOREVER ((int64_t) -1)

/*
 * What a thread keeps while it is in a call that may sleep. Times are in
 * nanoseconds.
 */
struct frame {
	int      bell;    /* eventfd of the thread */
	int      seat;    /* of the thread in core's table of those who sleep; -1 = the first look */
	uint32_t gen;     /* of the descriptor, by the first look; 0 = none yet */
	int64_t  timeout; /* out: of the call, FOREVER or 0 and more */
	bool     expired; /* in: the time is over, this is the last look */
	uint32_t queued;  /* of a write: messages in the queue when it began to wait, + 1 */
};

struct event {
	int32_t  fd;
	uint32_t gen; /* of the descriptor: another when it was given out again */
	int32_t  type;
};

/* An IPCP's configuration without unions. */
struct config {
	int32_t     type, hash;
	const char *layer;

	uint8_t  addr_size, eid_size, max_ttl;
	int32_t  routing, congestion;
	int64_t  t_recalc, t_update, t_timeo;
	uint32_t alpha, k, t_expire, t_refresh, t_replicate;

	const char *device;
	uint16_t    ethertype;

	const uint8_t *ip, *dns; /* 4 or 16 bytes in network order; dns NULL = none */
	uint16_t       port;
};

/* The argument of fccntl: small numbers by value, all else by reference. */
static inline uintptr_t fccntl_vararg(int cmd, va_list l)
{
	switch (cmd) {
	case FLOWSFLAGS:
	case FRCTSFLAGS:
		return va_arg(l, unsigned int);
	case FLOWSRCVTIMEO:
	case FLOWGRCVTIMEO:
	case FLOWSSNDTIMEO:
	case FLOWGSNDTIMEO:
	case FLOWGQOSSPEC:
	case FLOWGFLAGS:
	case FLOWGRXQLEN:
	case FLOWGTXQLEN:
	case FRCTGFLAGS:
		return (uintptr_t) va_arg(l, void *);
	}
	return 0;
}

/* The functions that the thin libraries pass on to, by version of this table. */
#define CALLS_VERSION 1

struct calls {
	int version;

	int (*flow_alloc)(const char *, qosspec_t *, const struct timespec *);
	int (*flow_accept)(qosspec_t *, const struct timespec *);
	int (*flow_join)(const char *, const struct timespec *);
	int (*flow_dealloc)(int);
	ssize_t (*flow_write)(int, const void *, size_t);
	ssize_t (*flow_read)(int, void *, size_t);
	int (*fccntl)(int, int, uintptr_t);

	fset_t *(*fset_create)(void);
	void (*fset_destroy)(fset_t *);
	void (*fset_zero)(fset_t *);
	int (*fset_add)(fset_t *, int);
	bool (*fset_has)(const fset_t *, int);
	void (*fset_del)(fset_t *, int);
	fqueue_t *(*fqueue_create)(void);
	void (*fqueue_destroy)(fqueue_t *);
	int (*fqueue_next)(fqueue_t *);
	enum fqtype (*fqueue_type)(fqueue_t *);
	ssize_t (*fevent)(fset_t *, fqueue_t *, const struct timespec *);

	int (*cep_snd)(int, const struct conn_info *);
	int (*cep_rcv)(int, struct conn_info *);

	int (*ouro_flow_fd)(int);
	int (*ouro_fset_fd)(fset_t *);
	int (*ouro_alloc_start)(const char *, const qosspec_t *, const struct timespec *);
	int (*ouro_accept_start)(const struct timespec *);
	int (*ouro_join_start)(const char *, const struct timespec *);
	int (*ouro_write_start)(int, const void *, size_t);
	int (*ouro_finish)(int, qosspec_t *);
	int (*ouro_cancel)(int);
	int (*ouro_flow_wait)(int, const struct timespec *);
	ssize_t (*ouro_next_len)(int);
	ssize_t (*ouro_flow_mtu)(int);
	void (*ouro_on_interrupt)(int (*)(void));
	void (*ouro_signals_on_stack)(bool);
	const char *(*ouro_strerror)(int);
	const char *(*ouro_errname)(int);

	pid_t (*irm_create_ipcp)(const char *, enum ipcp_type);
	int (*irm_destroy_ipcp)(pid_t);
	int (*irm_bootstrap_ipcp)(pid_t, const struct ipcp_config *);
	int (*irm_enroll_ipcp)(pid_t, const char *);
	int (*irm_connect_ipcp)(pid_t, const char *, const char *, qosspec_t);
	int (*irm_disconnect_ipcp)(pid_t, const char *, const char *);
	int (*irm_bind_program)(const char *, const char *, uint16_t, int, char **);
	int (*irm_unbind_program)(const char *, const char *);
	int (*irm_bind_process)(pid_t, const char *);
	int (*irm_unbind_process)(pid_t, const char *);
	int (*irm_create_name)(struct name_info *);
	int (*irm_destroy_name)(const char *);
	int (*irm_reg_name)(const char *, pid_t);
	int (*irm_unreg_name)(const char *, pid_t);
	ssize_t (*irm_list_ipcps)(struct ipcp_list_info **);
	ssize_t (*irm_list_names)(struct name_info **);
};

#endif
