/*
 * What this library has beyond the C implementation: descriptors for event
 * loops, calls that are begun and finished, and errors in words. See ouro(3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_OURO_H
#define OUROBOROS_OURO_H

#include <ouroboros/cdefs.h>
#include <ouroboros/fqueue.h>
#include <ouroboros/qos.h>

#include <sys/types.h>
#include <time.h>

struct timespec;

__BEGIN_DECLS

/*
 * Descriptors of the kernel, for poll, epoll and event loops. They are
 * readable (POLLIN) while there is something to do, and belong to the library:
 * wait on them, but do not read, write or close them.
 *
 * ouro_flow_fd: readable while flow_read would give a message, the end of one,
 *   or an error other than -EAGAIN. It is armed again by a non-blocking
 *   flow_read that returns -EAGAIN: set FLOWFRNOBLOCK and read until then. The
 *   flow can be in no set from now on (fset_add gives -EPERM); -EPERM when it
 *   is in one already. Gone with flow_dealloc.
 * ouro_fset_fd: readable while a fevent may give events without waiting. Now
 *   and then it does not: poll with a time-out of zero. Gone with
 *   fset_destroy. One set serves thousands of flows with one descriptor.
 *
 * They give -ENOTALLOC, -EBADF or -EINVAL as flow_read and fevent do.
 */
int ouro_flow_fd(int fd);
int ouro_fset_fd(fset_t *set);

/*
 * Calls that do not wait. Each ..._start gives the number of an operation,
 * which is a descriptor of the kernel that becomes readable (POLLIN) when the
 * operation has ended; or a negative error, when nothing was begun. No thread
 * waits behind it.
 *
 * Then ouro_finish gives what the call would have given: a flow descriptor,
 * a count, or a negative error. qs, which may be NULL, gets what was agreed.
 * It releases the operation, and must be called once for each. Before the
 * operation has ended it gives -EAGAIN and releases nothing.
 *
 * ouro_cancel ends an operation early. It does not release it: the descriptor
 * becomes readable, and ouro_finish gives -ECANCELED, or what the operation
 * had come to. A flow that was being accepted in that very moment is given,
 * because its client has it already.
 *
 * Times are as in the calls of the same name. ouro_write_start takes a copy of
 * the message; it waits for room as a blocking flow_write does, whatever the
 * flags of the flow say, and messages that are started one after the other on
 * a flow are written in that order.
 */
int ouro_alloc_start(const char *dst, const qosspec_t *qs, const struct timespec *timeo);
int ouro_accept_start(const struct timespec *timeo);
int ouro_join_start(const char *layer, const struct timespec *timeo);
int ouro_write_start(int fd, const void *buf, size_t count);
int ouro_finish(int op, qosspec_t *qs);
int ouro_cancel(int op);

/*
 * Waits until a flow can be read, without reading: 0 when it can, or has
 * ended; -ETIMEDOUT; -ENOTALLOC, -EBADF. timeo NULL waits without limit.
 */
int ouro_flow_wait(int fd, const struct timespec *timeo);

/*
 * Length in bytes of the message that the next flow_read begins with, or of
 * what is left of it; errors as
 * a non-blocking flow_read. -EAGAIN, too, where that gives 0 for the end of a
 * message that exactly filled its buffer, and nothing is behind it.
 */
ssize_t ouro_next_len(int fd);

/* Longest message in bytes that a flow_write takes now. */
ssize_t ouro_flow_mtu(int fd);

/*
 * Who is asked when a signal interrupts the sleep of a blocking call
 * (flow_alloc, flow_accept, flow_join, flow_read, flow_write, fevent, irm_*):
 * when ask gives other than 0, the call ends with -EINTR. It runs in the
 * thread that sleeps, and at least once a second. NULL, the default: no call
 * ends because of a signal. For interpreters, which run handlers of signals
 * outside of them.
 */
void ouro_on_interrupt(int (*ask)(void));

/*
 * The program promises that all its handlers of signals are installed with
 * SA_ONSTACK, as those of CPython are from 3.10 on, and call nothing of this
 * library: then its calls need not block the signals of the thread meanwhile,
 * which halves what those cost that are more than a message there or back.
 */
void ouro_signals_on_stack(bool yes);

/* The version of the library, such as "0.23.0". */
const char *ouro_version(void);

/*
 * An error in words: err is what a call returned, negative or not. When it is
 * what the last call that failed in this thread returned, the text says what
 * could not be done, why, and what to do next. It is valid until the next call
 * of the library in this thread.
 */
const char *ouro_strerror(int err);

/* Symbolic name of an error, such as "ENAME"; NULL for one that has none here. */
const char *ouro_errname(int err);

__END_DECLS

#endif
