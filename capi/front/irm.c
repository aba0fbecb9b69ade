/*
 * libouroboros-irm: management, passed on to libouroboros.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include "load.h"

PUBLIC pid_t irm_create_ipcp(const char *name, enum ipcp_type type)
{
	PASS(irm_create_ipcp(name, type));
}

PUBLIC int irm_destroy_ipcp(pid_t pid)
{
	PASS(irm_destroy_ipcp(pid));
}

PUBLIC int irm_bootstrap_ipcp(pid_t pid, const struct ipcp_config *conf)
{
	PASS(irm_bootstrap_ipcp(pid, conf));
}

PUBLIC int irm_enroll_ipcp(pid_t pid, const char *dst)
{
	PASS(irm_enroll_ipcp(pid, dst));
}

PUBLIC int irm_connect_ipcp(pid_t pid, const char *dst, const char *component, qosspec_t qs)
{
	PASS(irm_connect_ipcp(pid, dst, component, qs));
}

PUBLIC int irm_disconnect_ipcp(pid_t pid, const char *dst, const char *component)
{
	PASS(irm_disconnect_ipcp(pid, dst, component));
}

PUBLIC int irm_bind_program(const char *prog, const char *name, uint16_t opts, int argc, char **argv)
{
	PASS(irm_bind_program(prog, name, opts, argc, argv));
}

PUBLIC int irm_unbind_program(const char *prog, const char *name)
{
	PASS(irm_unbind_program(prog, name));
}

PUBLIC int irm_bind_process(pid_t pid, const char *name)
{
	PASS(irm_bind_process(pid, name));
}

PUBLIC int irm_unbind_process(pid_t pid, const char *name)
{
	PASS(irm_unbind_process(pid, name));
}

PUBLIC int irm_create_name(struct name_info *info)
{
	PASS(irm_create_name(info));
}

PUBLIC int irm_destroy_name(const char *name)
{
	PASS(irm_destroy_name(name));
}

PUBLIC int irm_reg_name(const char *name, pid_t pid)
{
	PASS(irm_reg_name(name, pid));
}

PUBLIC int irm_unreg_name(const char *name, pid_t pid)
{
	PASS(irm_unreg_name(name, pid));
}

PUBLIC ssize_t irm_list_ipcps(struct ipcp_list_info **ipcps)
{
	PASS(irm_list_ipcps(ipcps));
}

PUBLIC ssize_t irm_list_names(struct name_info **names)
{
	PASS(irm_list_names(names));
}
