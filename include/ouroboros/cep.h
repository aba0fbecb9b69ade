/*
 * Connection establishment over an allocated flow. See cep(3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_CEP_H
#define OUROBOROS_CEP_H

#include <ouroboros/cdefs.h>
#include <ouroboros/proto.h>

#include <stdint.h>

#define OCEP_BUF_STRLEN 128

struct conn_info {
	char                       comp_name[OCEP_BUF_STRLEN + 1];
	char                       protocol[OCEP_BUF_STRLEN + 1];
	uint32_t                   pref_version;
	enum proto_concrete_syntax pref_syntax;
	struct proto_field         fixed_conc_syntax[PROTO_MAX_FIELDS];
	size_t                     num_fields;
	uint64_t                   addr; /* of the sender in its layer; 0 = none */
};

__BEGIN_DECLS

int cep_snd(int fd, const struct conn_info *in);
int cep_rcv(int fd, struct conn_info *out);

__END_DECLS

#endif
