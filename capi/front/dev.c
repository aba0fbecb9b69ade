/*
 * libouroboros-dev: flows, passed on to libouroboros.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include "load.h"

#include <ouroboros/dev.h>
#include <ouroboros/version.h>

PUBLIC int flow_alloc(const char *dst, qosspec_t *qs, const struct timespec *timeo)
{
	PASS(flow_alloc(dst, qs, timeo));
}

PUBLIC int flow_accept(qosspec_t *qs, const struct timespec *timeo)
{
	PASS(flow_accept(qs, timeo));
}

PUBLIC int flow_join(const char *layer, const struct timespec *timeo)
{
	PASS(flow_join(layer, timeo));
}

PUBLIC int flow_dealloc(int fd)
{
	PASS(flow_dealloc(fd));
}

PUBLIC ssize_t flow_write(int fd, const void *buf, size_t count)
{
	PASS(flow_write(fd, buf, count));
}

PUBLIC ssize_t flow_read(int fd, void *buf, size_t count)
{
	PASS(flow_read(fd, buf, count));
}

PUBLIC int fccntl(int fd, int cmd, ...)
{
	va_list   l;
	uintptr_t arg;

	va_start(l, cmd);
	arg = fccntl_vararg(cmd, l);
	va_end(l);
	PASS(fccntl(fd, cmd, arg));
}

PUBLIC fset_t *fset_create(void)
{
	const struct calls *c = ouroboros_load();

	return c == NULL ? NULL : c->fset_create();
}

PUBLIC void fset_destroy(fset_t *set)
{
	if (set != NULL) /* then it was created, and the library is loaded */
		ouroboros_load()->fset_destroy(set);
}

PUBLIC void fset_zero(fset_t *set)
{
	if (set != NULL)
		ouroboros_load()->fset_zero(set);
}

PUBLIC int fset_add(fset_t *set, int fd)
{
	return set == NULL ? -EINVAL : ouroboros_load()->fset_add(set, fd);
}

PUBLIC bool fset_has(const fset_t *set, int fd)
{
	return set != NULL && ouroboros_load()->fset_has(set, fd);
}

PUBLIC void fset_del(fset_t *set, int fd)
{
	if (set != NULL)
		ouroboros_load()->fset_del(set, fd);
}

PUBLIC fqueue_t *fqueue_create(void)
{
	const struct calls *c = ouroboros_load();

	return c == NULL ? NULL : c->fqueue_create();
}

PUBLIC void fqueue_destroy(fqueue_t *fq)
{
	if (fq != NULL)
		ouroboros_load()->fqueue_destroy(fq);
}

PUBLIC int fqueue_next(fqueue_t *fq)
{
	return fq == NULL ? -EINVAL : ouroboros_load()->fqueue_next(fq);
}

PUBLIC enum fqtype fqueue_type(fqueue_t *fq)
{
	return fq == NULL ? (enum fqtype) -EINVAL : ouroboros_load()->fqueue_type(fq);
}

PUBLIC ssize_t fevent(fset_t *set, fqueue_t *fq, const struct timespec *timeo)
{
	return set == NULL || fq == NULL ? -EINVAL : ouroboros_load()->fevent(set, fq, timeo);
}

PUBLIC int cep_snd(int fd, const struct conn_info *in)
{
	PASS(cep_snd(fd, in));
}

PUBLIC int cep_rcv(int fd, struct conn_info *out)
{
	PASS(cep_rcv(fd, out));
}

PUBLIC int ouro_flow_fd(int fd)
{
	PASS(ouro_flow_fd(fd));
}

PUBLIC int ouro_fset_fd(fset_t *set)
{
	return set == NULL ? -EINVAL : ouroboros_load()->ouro_fset_fd(set);
}

PUBLIC int ouro_alloc_start(const char *dst, const qosspec_t *qs, const struct timespec *timeo)
{
	PASS(ouro_alloc_start(dst, qs, timeo));
}

PUBLIC int ouro_accept_start(const struct timespec *timeo)
{
	PASS(ouro_accept_start(timeo));
}

PUBLIC int ouro_join_start(const char *layer, const struct timespec *timeo)
{
	PASS(ouro_join_start(layer, timeo));
}

PUBLIC int ouro_write_start(int fd, const void *buf, size_t count)
{
	PASS(ouro_write_start(fd, buf, count));
}

PUBLIC int ouro_finish(int op, qosspec_t *qs)
{
	PASS(ouro_finish(op, qs));
}

PUBLIC int ouro_cancel(int op)
{
	PASS(ouro_cancel(op));
}

PUBLIC int ouro_flow_wait(int fd, const struct timespec *timeo)
{
	PASS(ouro_flow_wait(fd, timeo));
}

PUBLIC ssize_t ouro_next_len(int fd)
{
	PASS(ouro_next_len(fd));
}

PUBLIC ssize_t ouro_flow_mtu(int fd)
{
	PASS(ouro_flow_mtu(fd));
}

PUBLIC void ouro_on_interrupt(int (*ask)(void))
{
	const struct calls *c = ouroboros_load();

	if (c != NULL)
		c->ouro_on_interrupt(ask);
}

PUBLIC void ouro_signals_on_stack(bool yes)
{
	const struct calls *c = ouroboros_load();

	if (c != NULL)
		c->ouro_signals_on_stack(yes);
}

PUBLIC const char *ouro_version(void)
{
	return OUROBOROS_VERSION_STRING;
}

PUBLIC const char *ouro_strerror(int err)
{
	const struct calls *c = ouroboros_load();

	return c == NULL ? ouroboros_load_error() : c->ouro_strerror(err);
}

PUBLIC const char *ouro_errname(int err)
{
	const struct calls *c = ouroboros_load();

	return c == NULL ? NULL : c->ouro_errname(err);
}
