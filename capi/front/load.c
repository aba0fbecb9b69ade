/*
 * libouroboros-common: loading the library itself, once for all the thin ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#define _GNU_SOURCE
#include "load.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic(const struct calls *) loaded;
static pthread_mutex_t               loading = PTHREAD_MUTEX_INITIALIZER;
static char                          reason[256];

static void load(void)
{
	const struct calls *c;
	void               *lib;

	/* Beside this library, see its RUNPATH, or where the system looks. It
	 * stays: a Go runtime cannot be unloaded. */
	lib = dlopen("libouroboros.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (lib == NULL) {
		const char *e = dlerror();

		snprintf(reason, sizeof(reason), "cannot load libouroboros.so.0: %s; "
			"install it beside libouroboros-dev.so", e == NULL ? "unknown" : e);
		return;
	}
	c = dlsym(lib, "ouroboros_calls");
	if (c == NULL || c->version != CALLS_VERSION) {
		snprintf(reason, sizeof(reason), "libouroboros.so.0 is of another version; install all libraries of one");
		return;
	}
	atomic_store_explicit(&loaded, c, memory_order_release);
}

PUBLIC const struct calls *ouroboros_load(void)
{
	const struct calls *c = atomic_load_explicit(&loaded, memory_order_acquire);
	sigset_t            all, before;

	if (c != NULL)
		return c;
	/* No handler may come between, and no cancellation: dlopen is neither's
	 * friend. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&loading);
	if (atomic_load(&loaded) == NULL)
		load();
	pthread_mutex_unlock(&loading);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return atomic_load(&loaded);
}

PUBLIC const char *ouroboros_load_error(void)
{
	return reason;
}

/* A fork while another thread loads must not leave the child a lock that
 * nobody holds. */
static void before_fork(void)
{
	pthread_mutex_lock(&loading);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&loading);
}

__attribute__((constructor)) static void guard(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}
