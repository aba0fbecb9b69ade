/*
 * Sleeps that a signal may end, when the program wants it: an interpreter runs
 * the handlers of its language outside of signal handlers, and looks for them
 * only if a sleep lets it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include "call.h"

#include <ouroboros/version.h>

#include <stdatomic.h>

/* The longest sleep, in nanoseconds, after which the program is asked though
 * no signal came: one may have come between the last look and the sleep. */
#define LONGEST_NAP ((int64_t) 1000000000)

static int (*_Atomic ask)(void);

static __thread struct {
	bool deaf; /* is not to be asked */
	bool told; /* that the call is to end */
} self;

PUBLIC void ouro_on_interrupt(int (*f)(void))
{
	atomic_store(&ask, f);
}

PUBLIC const char *ouro_version(void)
{
	return OUROBOROS_VERSION_STRING;
}

static _Atomic bool on_stack;

PUBLIC void ouro_signals_on_stack(bool yes)
{
	atomic_store(&on_stack, yes);
}

bool signals_on_stack(void)
{
	return atomic_load_explicit(&on_stack, memory_order_relaxed);
}

int64_t nap(int64_t ns)
{
	if (atomic_load(&ask) == NULL || self.deaf)
		return ns;
	return ns == FOREVER || ns > LONGEST_NAP ? LONGEST_NAP : ns;
}

bool ask_host(void)
{
	int (*f)(void) = atomic_load(&ask);

	self.told = f != NULL && !self.deaf && f() != 0;
	return self.told;
}

bool interrupted(void)
{
	bool told = self.told;

	self.told = false;
	return told;
}

void stop_asking(bool deaf)
{
	self.deaf = deaf;
}
