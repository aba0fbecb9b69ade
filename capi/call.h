/*
 * How a C function calls Go, and how a thread sleeps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_CALL_H
#define OUROBOROS_CALL_H

#include "core.h"

#include <signal.h>
#include <stdarg.h>

#define PUBLIC __attribute__((visibility("default")))

/*
 * Around each call of Go: 0, or why it cannot be made. Between the two no
 * handler of a signal runs in this thread; no call that may sleep is made.
 */
int  enter(sigset_t *mask);
void leave(const sigset_t *mask);

/* Calls Go, and gives error where that cannot be done. */
#define GO(type, call)                                    \
	({                                                \
		sigset_t mask_;                           \
		type     result_ = enter(&mask_);         \
		if (result_ == 0) {                       \
			result_ = (call);                 \
			leave(&mask_);                    \
		}                                         \
		result_;                                  \
	})

/* The same around what needs no Go and no signal mask; false when that cannot be. */
bool enter_quick(void);
void leave_quick(void);

/* Prepares the thread for a sleep: 0 or a negative error. */
int frame_init(struct frame *fr);

/*
 * Sleeps until a descriptor can be read, or until deadline on the monotonic
 * clock in nanoseconds (FOREVER for none): then false. Signals do not end the
 * sleep. It is a point where threads are cancelled. frame_sleep does so with
 * the bell of the thread, and empties it.
 */
bool sleep_on(int fd, int64_t deadline);
bool frame_sleep(struct frame *fr, int64_t deadline);

/*
 * Signals do end a sleep when the program said so by ouro_on_interrupt: the
 * sleep gives false as if its time were over, and interrupted is true then,
 * once. nap is how long to sleep at most before ask_host is called.
 */
int64_t nap(int64_t ns);
bool    ask_host(void);
bool    interrupted(void);
void    stop_asking(bool deaf);

/* Before Go starts: its threads keep these signals blocked. */
void keep_go_quiet(const sigset_t *blocked);

/* Whether handlers of signals do not use the stack that they interrupt. */
bool signals_on_stack(void);

/* The monotonic clock in nanoseconds. */
int64_t now(void);

/* The nanoseconds of a relative time, FOREVER for NULL; false for one that is none. */
bool nanoseconds(const struct timespec *t, int64_t *ns);

/* Finishes an operation that was begun with the bell of fr. */
int finish(struct frame *fr, int op, qosspec_t *qs, void **list);

/* For Go: where the text of an error goes. */
char *core_text(int number);

/* The text of an error that has none of its own: number is kept as the last. */
int refuse(int number, const char *text);

#endif
