/*
 * Connection establishment.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include "call.h"
#include "_cgo_export.h"

#include <ouroboros/dev.h>

#include <string.h>

PUBLIC int cep_snd(int fd, const struct conn_info *in)
{
	char    buf[CEP_MAX];
	ssize_t n;

	if (in == NULL)
		return -EINVAL;
	n = GO(int, core_cep_encode((struct conn_info *) in, buf));
	if (n < 0)
		return n;
	n = flow_write(fd, buf, n);
	return n < 0 ? n : 0;
}

PUBLIC int cep_rcv(int fd, struct conn_info *out)
{
	char    buf[CEP_MAX];
	ssize_t n;

	if (out == NULL)
		return -EINVAL;
	n = flow_read(fd, buf, sizeof(buf));
	if (n < 0)
		return n;
	memset(out, 0, sizeof(*out));
	return GO(int, core_cep_decode(buf, n, out));
}
