/*
 * libouroboros-dev and libouroboros-irm are thin: each call goes on through a
 * table of libouroboros.so.0, which is loaded by the first one that needs it.
 * A program that does not get that far starts no Go runtime; and one that
 * forks before it, as daemons do, can use the network in the child.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_LOAD_H
#define OUROBOROS_LOAD_H

#include "core.h"

#define PUBLIC __attribute__((visibility("default")))

/* The table, or NULL when the library cannot be loaded: then calls give -EIRMD. */
const struct calls *ouroboros_load(void);

/* Why it could not be loaded. */
const char *ouroboros_load_error(void);

/* Passes a call on. */
#define PASS(call)                                                \
	do {                                                      \
		const struct calls *c_ = ouroboros_load();        \
		return c_ == NULL ? (-EIRMD) : c_->call;          \
	} while (0)

#endif
