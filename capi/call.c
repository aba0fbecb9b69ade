/*
 * Calls of Go, and sleeping.
 *
 * Go code never waits on a thread of the program: where a call would, Go says
 * so, and the thread sleeps here, in poll. There it can be cancelled, and
 * handlers of signals run as everywhere in C. While it is in Go, for some
 * hundred nanoseconds, its signals are blocked: a handler would run on the
 * stack of a goroutine, which is too small for C.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#define _GNU_SOURCE
#include "call.h"
#include "_cgo_export.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* What a thread has here. */
static __thread struct {
	int  inside; /* in Go */
	bool masked; /* its signals are blocked meanwhile */
	int  bell;   /* eventfd + 1; 0 = none yet */
	int  seat;
	int  number; /* of the error that text is about */
	char text[512];
	char plain[128]; /* what ouro_strerror gave last */
} self;

static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static pthread_key_t  thread_key;
static sigset_t       asynchronous; /* the signals that handlers may wait for */

/* alive is 1 in the process that started Go, and 0 in its children: the kernel
 * wipes the page when a process forks. */
static volatile int *alive;

static struct sigaction actions_before[NSIG];
static sigset_t         mask_before;
static int              exit_bell = -1, exit_done = -1;

/*
 * The Go runtime starts its threads when the library is loaded. They inherit
 * the signal mask, and are to leave all signals to the threads of the program:
 * the first of these functions runs before that, the second afterwards.
 */
__attribute__((constructor(101))) static void before_go(void)
{
	sigset_t all;

	sigfillset(&asynchronous);
	sigdelset(&asynchronous, SIGSEGV);
	sigdelset(&asynchronous, SIGBUS);
	sigdelset(&asynchronous, SIGFPE);
	sigdelset(&asynchronous, SIGILL);
	sigdelset(&asynchronous, SIGTRAP);
	sigfillset(&all);
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, NULL, &actions_before[sig]);
	keep_go_quiet(&asynchronous);
	pthread_sigmask(SIG_SETMASK, &asynchronous, &mask_before);

	alive = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (alive == MAP_FAILED) {
		alive = NULL;
		return;
	}
	madvise((void *) alive, sizeof(int), MADV_WIPEONFORK);
	*alive = 1;
}

__attribute__((constructor)) static void after_go(void)
{
	pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
}

static void in_child(void)
{
	if (alive != NULL)
		*alive = 0;
}

static void thread_end(void *seat)
{
	sigset_t mask;

	(void) seat;
	if (self.bell > 0 && enter(&mask) == 0) {
		core_stand(self.seat);
		leave(&mask);
	}
	if (self.bell > 0)
		close(self.bell - 1);
	self.bell = 0;
}

/*
 * Undoes what the runtime did to the signals of the program: it takes SIGPIPE,
 * and puts handlers on the alternate stack, where it has 32 KiB.
 */
static void restore_signals(void)
{
	struct sigaction fault;

	sigaction(SIGSEGV, NULL, &fault);
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction *before = &actions_before[sig], after;

		if (sigaction(sig, NULL, &after) < 0)
			continue;
		if (sig == SIGPIPE && after.sa_sigaction == fault.sa_sigaction &&
		    before->sa_sigaction != fault.sa_sigaction)
			sigaction(sig, before, NULL);
		else if (after.sa_sigaction == before->sa_sigaction && after.sa_flags != before->sa_flags)
			sigaction(sig, before, NULL);
	}
}

static void start(void)
{
	pthread_key_create(&thread_key, thread_end);
	pthread_atfork(NULL, NULL, in_child);
	exit_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	exit_done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	core_start(exit_bell, exit_done); /* waits for the runtime */
	restore_signals();
}

/*
 * At exit flows are deallocated, so that their other ends are told so. The
 * thread that exits may be a handler that interrupted anything: so it does not
 * call Go, but asks a goroutine, and does not wait for long.
 */
__attribute__((destructor)) static void at_exit(void)
{
	struct pollfd p = { .fd = exit_done, .events = POLLIN };
	uint64_t      one = 1;

	if (alive == NULL || *alive == 0 || exit_bell < 0)
		return;
	if (write(exit_bell, &one, sizeof(one)) == sizeof(one))
		poll(&p, 1, 1000);
}

int enter(sigset_t *mask)
{
	if (alive == NULL)
		return refuse(-ENOMEM, "cannot use the network: there was no memory when the program started");
	if (*alive == 0)
		return refuse(-EBADF, "cannot use the network in a process that was forked: "
			"its flows are those of the parent; execute a program first");
	if (self.inside)
		return refuse(-EDEADLK, "cannot use the network in the handler of a signal that interrupted a call");
	self.masked = !signals_on_stack();
	if (self.masked)
		pthread_sigmask(SIG_BLOCK, &asynchronous, mask);
	pthread_once(&start_once, start);
	self.inside = 1;
	return 0;
}

void leave(const sigset_t *mask)
{
	self.inside = 0;
	if (self.masked)
		pthread_sigmask(SIG_SETMASK, mask, NULL);
}

bool enter_quick(void)
{
	if (alive == NULL || *alive == 0 || self.inside)
		return false;
	self.inside = 1;
	return true;
}

void leave_quick(void)
{
	self.inside = 0;
}

int frame_init(struct frame *fr)
{
	if (self.bell == 0) {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		int seat;

		if (fd < 0)
			return refuse(-errno, "cannot wait: no descriptor is left");
		seat = GO(int, core_sit(fd));
		if (seat < 0) {
			close(fd);
			return seat;
		}
		self.bell = fd + 1;
		self.seat = seat;
		pthread_setspecific(thread_key, &self);
	}
	fr->bell    = self.bell - 1;
	fr->seat    = self.seat;
	fr->expired = false;
	return 0;
}

int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

bool sleep_on(int fd, int64_t deadline)
{
	struct pollfd   p = { .fd = fd, .events = POLLIN };
	struct timespec left, *limit = NULL;
	int64_t         ns;

	for (;;) {
		ns = deadline == FOREVER ? FOREVER : deadline - now();
		if (deadline != FOREVER && ns <= 0)
			return false;
		ns = nap(ns);
		if (ns != FOREVER) {
			left.tv_sec  = ns / 1000000000;
			left.tv_nsec = ns % 1000000000;
			limit        = &left;
		}
		if (ppoll(&p, 1, limit, NULL) > 0)
			return true;
		if (ask_host())
			return false;
	}
}

bool frame_sleep(struct frame *fr, int64_t deadline)
{
	uint64_t rung;

	if (!sleep_on(fr->bell, deadline))
		return false;
	/* Nothing to read is as good: another look is always right. */
	if (read(fr->bell, &rung, sizeof(rung)) < 0)
		return true;
	return true;
}

bool nanoseconds(const struct timespec *t, int64_t *ns)
{
	*ns = FOREVER;
	if (t == NULL)
		return true;
	if (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= 1000000000) {
		refuse(-EINVAL, "the time-out is not a time: give seconds from 0, and nanoseconds from 0 to 999999999");
		return false;
	}
	if (t->tv_sec >= INT64_MAX / 1000000000 / 2) /* some 146 years */
		return true;
	*ns = (int64_t) t->tv_sec * 1000000000 + t->tv_nsec;
	return true;
}

/* An operation whose thread was cancelled, or interrupted. */
struct waiting {
	struct frame *fr;
	int           op;
	bool          lists;
};

static void abandon(void *arg)
{
	struct waiting *w    = arg;
	void           *list = NULL;
	int             n;

	GO(int, core_cancel(w->op));
	stop_asking(true);
	for (;;) {
		n = GO(int, core_finish(w->op, NULL, &list));
		if (n != CORE_WAIT)
			break;
		frame_sleep(w->fr, FOREVER);
	}
	stop_asking(false);
	if (w->lists)
		free(list);
	else if (n >= FD_FIRST)
		GO(int, core_dealloc(n));
}

static void sleep_or_abandon(struct waiting *w)
{
	pthread_cleanup_push(abandon, w);
	frame_sleep(w->fr, FOREVER);
	pthread_cleanup_pop(0);
}

int finish(struct frame *fr, int op, qosspec_t *qs, void **list)
{
	struct waiting w = { fr, op, list != NULL };
	int            n;

	if (op < 0)
		return op;
	for (;;) {
		n = GO(int, core_finish(op, qs, list));
		if (n != CORE_WAIT)
			return n;
		sleep_or_abandon(&w);
		if (interrupted()) {
			abandon(&w);
			return refuse(-EINTR, "the call was interrupted by a signal");
		}
	}
}

/* For Go: where the text of an error goes. */
char *core_text(int number)
{
	self.number = number;
	return self.text;
}

int refuse(int number, const char *text)
{
	snprintf(core_text(number), sizeof(self.text), "%s", text);
	return number;
}

PUBLIC const char *ouro_strerror(int err)
{
	if (err > 0)
		err = -err;
	if (err == self.number && err != 0)
		return self.text;
	if (GO(int, (core_describe(err, self.plain, sizeof(self.plain)), 0)) < 0)
		snprintf(self.plain, sizeof(self.plain), "error %d", -err);
	return self.plain;
}

PUBLIC const char *ouro_errname(int err)
{
	if (GO(int, core_errname(err, self.plain, sizeof(self.plain))) <= 0)
		return NULL;
	return self.plain;
}
