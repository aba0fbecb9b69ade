/*
 * Management of the node. See irm_create_ipcp(3), irm_bind_program(3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_IRM_H
#define OUROBOROS_IRM_H

#include <ouroboros/cdefs.h>
#include <ouroboros/ipcp.h>
#include <ouroboros/name.h>
#include <ouroboros/qos.h>

#include <sys/types.h>

struct ipcp_list_info {
	pid_t          pid;
	enum ipcp_type type;
	char           name[NAME_SIZE];
	char           layer[LAYER_NAME_SIZE];
};

__BEGIN_DECLS

/* All give 0 or a negative error, except the lists, which give a count. */

pid_t   irm_create_ipcp(const char *name, enum ipcp_type type);
int     irm_destroy_ipcp(pid_t pid);
int     irm_bootstrap_ipcp(pid_t pid, const struct ipcp_config *conf);
int     irm_enroll_ipcp(pid_t pid, const char *dst);
int     irm_connect_ipcp(pid_t pid, const char *dst, const char *component, qosspec_t qs);
int     irm_disconnect_ipcp(pid_t pid, const char *dst, const char *component);

int     irm_bind_program(const char *prog, const char *name, uint16_t opts, int argc, char **argv);
int     irm_unbind_program(const char *prog, const char *name);
int     irm_bind_process(pid_t pid, const char *name);
int     irm_unbind_process(pid_t pid, const char *name);

int     irm_create_name(struct name_info *info);
int     irm_destroy_name(const char *name);
int     irm_reg_name(const char *name, pid_t pid);
int     irm_unreg_name(const char *name, pid_t pid);

/* The caller frees the array with free(). */
ssize_t irm_list_ipcps(struct ipcp_list_info **ipcps);
ssize_t irm_list_names(struct name_info **names);

__END_DECLS

#endif
