/*
 * Signals of the program, and threads of Go.
 *
 * A handler of the program must not run in a thread of the Go runtime: without
 * SA_ONSTACK it would run on the stack of a goroutine, some 2 KiB, and destroy
 * what lies below. So these threads block signals, see before_go. But the
 * runtime unblocks some of them in each of its threads, those that its table of
 * signals marks so: SIGCHLD and SIGPROF among them, for which programs do have
 * handlers. It has no setting for that, so the marks are taken off before the
 * runtime starts. The table is found by what is in it, the names of the signals;
 * should a later runtime have none like it, all stays as the runtime wants it,
 * and the test of the signals fails.
 *
 * What remains unblocked are the faults, which do not wait, and the signals that
 * the C library keeps for itself (32, 33), of which all threads must hear.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#define _GNU_SOURCE
#include "call.h"

#include <link.h>
#include <string.h>

/* sigTabT of the runtime, and its flag for what it unblocks. */
struct go_signal {
	int32_t     flags;
	const char *name;
	intptr_t    name_len;
};

enum { GO_UNBLOCK = 1 << 7, GO_SIGNALS = 65 };

/* What the loader put where, of this library: what the file has, not the zeros
 * behind that. */
struct segment {
	const char *at;
	size_t      size;
	bool        writable;
};

struct module {
	struct segment of[16];
	int            count;
	const void    *within; /* that is searched */
};

static bool covers(const struct segment *s, const void *p, size_t n)
{
	size_t off = (uintptr_t) p - (uintptr_t) s->at;

	return (uintptr_t) p >= (uintptr_t) s->at && off <= s->size && n <= s->size - off;
}

/* What lies between variables is looked at, too. */
#define ANYWHERE __attribute__((no_sanitize("address")))

/* Whether a name begins with that of a signal, such as "SIGCHLD: child status
 * has changed". Anything may be here, so no pointer is followed out of the
 * library. */
ANYWHERE static bool called(const struct module *m, const struct go_signal *s, const char *name)
{
	const struct segment *in = NULL;

	if (s->name_len < (intptr_t) strlen(name) || s->name_len > 100)
		return false;
	for (int i = 0; i < m->count; i++)
		if (covers(&m->of[i], s->name, (size_t) s->name_len))
			in = &m->of[i];
	for (size_t i = 0; in != NULL && name[i] != 0; i++)
		if (s->name[i] != name[i])
			return false;
	return in != NULL;
}

ANYWHERE static struct go_signal *find(const struct module *m)
{
	const size_t whole = GO_SIGNALS * sizeof(struct go_signal);

	for (int i = 0; i < m->count; i++) {
		const struct segment *s = &m->of[i];
		uintptr_t             p = (uintptr_t) s->at;

		if (!s->writable || s->size < whole)
			continue;
		p += -p % _Alignof(struct go_signal);
		for (; covers(s, (void *) p, whole); p += _Alignof(struct go_signal)) {
			struct go_signal *t = (struct go_signal *) p;

			if (t[0].flags == 0 && called(m, &t[0], "SIGNONE:") &&
			    called(m, &t[SIGHUP], "SIGHUP:") && called(m, &t[SIGCHLD], "SIGCHLD:") &&
			    called(m, &t[SIGPROF], "SIGPROF:") && called(m, &t[GO_SIGNALS - 1], "signal 64"))
				return t;
		}
	}
	return NULL;
}

static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct module *m = arg;
	bool           ours = false;

	(void) size;
	m->count = 0;
	for (int i = 0; i < info->dlpi_phnum && m->count < 16; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		struct segment   *s = &m->of[m->count];

		if (h->p_type != PT_LOAD || !(h->p_flags & PF_R))
			continue;
		s->at       = (const char *) (info->dlpi_addr + h->p_vaddr);
		s->size     = h->p_filesz;
		s->writable = h->p_flags & PF_W;
		ours |= covers(s, m->within, 1);
		m->count++;
	}
	return ours;
}

void keep_go_quiet(const sigset_t *blocked)
{
	struct module     m = { .within = (const void *) keep_go_quiet };
	struct go_signal *t;

	if (!dl_iterate_phdr(visit, &m) || (t = find(&m)) == NULL)
		return;
	for (int sig = 1; sig < GO_SIGNALS; sig++)
		if (sigismember(blocked, sig) == 1)
			t[sig].flags &= ~GO_UNBLOCK;
}
