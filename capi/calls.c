/*
 * The table through which the thin libraries reach this one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include "call.h"

#include <ouroboros/dev.h>

int fccntl_arg(int fd, int cmd, uintptr_t arg);

PUBLIC const struct calls ouroboros_calls = {
	CALLS_VERSION,

	flow_alloc, flow_accept, flow_join, flow_dealloc, flow_write, flow_read, fccntl_arg,

	fset_create, fset_destroy, fset_zero, fset_add, fset_has, fset_del,
	fqueue_create, fqueue_destroy, fqueue_next, fqueue_type, fevent,

	cep_snd, cep_rcv,

	ouro_flow_fd, ouro_fset_fd, ouro_alloc_start, ouro_accept_start, ouro_join_start, ouro_write_start,
	ouro_finish, ouro_cancel, ouro_flow_wait, ouro_next_len, ouro_flow_mtu, ouro_on_interrupt,
	ouro_signals_on_stack, ouro_strerror, ouro_errname,

	irm_create_ipcp, irm_destroy_ipcp, irm_bootstrap_ipcp, irm_enroll_ipcp, irm_connect_ipcp,
	irm_disconnect_ipcp, irm_bind_program, irm_unbind_program, irm_bind_process, irm_unbind_process,
	irm_create_name, irm_destroy_name, irm_reg_name, irm_unreg_name, irm_list_ipcps, irm_list_names,
};
