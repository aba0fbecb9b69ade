/*
 * Management of the node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include "call.h"
#include "_cgo_export.h"

#include <limits.h>
#include <string.h>

/* Begins a call of the management interface, and waits for its end. */
#define MANAGE(fr, call)                                       \
	({                                                     \
		int n_ = frame_init(fr);                       \
		if (n_ == 0)                                   \
			n_ = finish(fr, GO(int, call), NULL, NULL); \
		n_;                                            \
	})

static int too_long(const char *name)
{
	if (name == NULL)
		return refuse(-EINVAL, "a name is missing");
	if (strnlen(name, NAME_SIZE + 1) > NAME_SIZE)
		return refuse(-EINVAL, "a name is longer than 255 bytes");
	return 0;
}

#define NEED(name)                         \
	do {                               \
		int bad_ = too_long(name); \
		if (bad_ < 0)              \
			return bad_;       \
	} while (0)

PUBLIC pid_t irm_create_ipcp(const char *name, enum ipcp_type type)
{
	struct frame fr;

	NEED(name);
	return MANAGE(&fr, core_create_ipcp((char *) name, type, fr.bell));
}

PUBLIC int irm_destroy_ipcp(pid_t pid)
{
	struct frame fr;

	if (pid < 0)
		return -EINVAL;
	return MANAGE(&fr, core_destroy_ipcp(pid, fr.bell));
}

/* The configuration without its unions, in the memory of conf. */
static int flatten(struct config *c, const struct ipcp_config *conf)
{
	const struct uni_config *u = &conf->unicast;

	memset(c, 0, sizeof(*c));
	c->type  = conf->type;
	c->hash  = conf->layer_info.dir_hash_algo;
	c->layer = conf->layer_info.name;
	if (memchr(c->layer, 0, sizeof(conf->layer_info.name)) == NULL)
		return refuse(-EINVAL, "the name of the layer does not end: it has 255 bytes at most");
	switch (conf->type) {
	case IPCP_UNICAST:
		if (u->dt.routing.pol != ROUTING_LINK_STATE || u->dir.pol != DIR_DHT || u->addr_auth_type != ADDR_AUTH_FLAT_RANDOM)
			return refuse(-EINVAL, "a policy of the configuration does not exist: "
				"there are link state, DHT and flat random");
		c->addr_size   = u->dt.addr_size;
		c->eid_size    = u->dt.eid_size;
		c->max_ttl     = u->dt.max_ttl;
		c->routing     = u->dt.routing.ls.pol;
		c->t_recalc    = u->dt.routing.ls.t_recalc;
		c->t_update    = u->dt.routing.ls.t_update;
		c->t_timeo     = u->dt.routing.ls.t_timeo;
		c->congestion  = u->cong_avoid;
		c->alpha       = u->dir.dht.params.alpha;
		c->k           = u->dir.dht.params.k;
		c->t_expire    = u->dir.dht.params.t_expire;
		c->t_refresh   = u->dir.dht.params.t_refresh;
		c->t_replicate = u->dir.dht.params.t_replicate;
		break;
	case IPCP_ETH_LLC:
	case IPCP_ETH_DIX:
		c->device    = conf->eth.dev;
		c->ethertype = conf->eth.ethertype;
		if (memchr(c->device, 0, sizeof(conf->eth.dev)) == NULL)
			return refuse(-EINVAL, "the name of the device does not end");
		break;
	case IPCP_UDP4:
		c->ip   = (const uint8_t *) &conf->udp4.ip_addr;
		c->port = conf->udp4.port;
		if (conf->udp4.dns_addr.s_addr != 0)
			c->dns = (const uint8_t *) &conf->udp4.dns_addr;
		break;
	case IPCP_UDP6:
		c->ip   = (const uint8_t *) &conf->udp6.ip_addr;
		c->port = conf->udp6.port;
		if (!IN6_IS_ADDR_UNSPECIFIED(&conf->udp6.dns_addr))
			c->dns = (const uint8_t *) &conf->udp6.dns_addr;
		break;
	default:
		break;
	}
	return 0;
}

PUBLIC int irm_bootstrap_ipcp(pid_t pid, const struct ipcp_config *conf)
{
	struct frame  fr;
	struct config c;
	int           n;

	if (pid < 0 || conf == NULL)
		return -EINVAL;
	n = flatten(&c, conf);
	if (n < 0)
		return n;
	return MANAGE(&fr, core_bootstrap_ipcp(pid, &c, fr.bell));
}

PUBLIC int irm_enroll_ipcp(pid_t pid, const char *dst)
{
	struct frame fr;

	if (pid < 0)
		return -EINVAL;
	NEED(dst);
	return MANAGE(&fr, core_enroll_ipcp(pid, (char *) dst, fr.bell));
}

PUBLIC int irm_connect_ipcp(pid_t pid, const char *dst, const char *component, qosspec_t qs)
{
	struct frame fr;

	NEED(dst);
	NEED(component);
	return MANAGE(&fr, core_connect_ipcp(pid, (char *) dst, (char *) component, &qs, fr.bell));
}

PUBLIC int irm_disconnect_ipcp(pid_t pid, const char *dst, const char *component)
{
	struct frame fr;

	NEED(dst);
	NEED(component);
	return MANAGE(&fr, core_disconnect_ipcp(pid, (char *) dst, (char *) component, fr.bell));
}

PUBLIC int irm_bind_program(const char *prog, const char *name, uint16_t opts, int argc, char **argv)
{
	struct frame fr;
	const char  *path = getenv("PATH");

	if (prog == NULL || argc < 0 || (argc > 0 && argv == NULL))
		return refuse(-EINVAL, "a program to bind is missing");
	NEED(name);
	return MANAGE(&fr, core_bind_program((char *) prog, (char *) name, opts, argc, argv, (char *) path, fr.bell));
}

PUBLIC int irm_unbind_program(const char *prog, const char *name)
{
	struct frame fr;

	if (prog == NULL)
		return refuse(-EINVAL, "a program to unbind is missing");
	NEED(name);
	return MANAGE(&fr, core_unbind_program((char *) prog, (char *) name, fr.bell));
}

PUBLIC int irm_bind_process(pid_t pid, const char *name)
{
	struct frame fr;

	NEED(name);
	return MANAGE(&fr, core_bind_process(pid, (char *) name, fr.bell));
}

PUBLIC int irm_unbind_process(pid_t pid, const char *name)
{
	struct frame fr;

	NEED(name);
	return MANAGE(&fr, core_unbind_process(pid, (char *) name, fr.bell));
}

PUBLIC int irm_create_name(struct name_info *info)
{
	struct frame fr;

	if (info == NULL)
		return -EINVAL;
	return MANAGE(&fr, core_create_name(info, fr.bell));
}

PUBLIC int irm_destroy_name(const char *name)
{
	struct frame fr;

	NEED(name);
	return MANAGE(&fr, core_destroy_name((char *) name, fr.bell));
}

PUBLIC int irm_reg_name(const char *name, pid_t pid)
{
	struct frame fr;

	NEED(name);
	return MANAGE(&fr, core_reg_name((char *) name, pid, fr.bell));
}

PUBLIC int irm_unreg_name(const char *name, pid_t pid)
{
	struct frame fr;

	NEED(name);
	return MANAGE(&fr, core_unreg_name((char *) name, pid, fr.bell));
}

PUBLIC ssize_t irm_list_ipcps(struct ipcp_list_info **ipcps)
{
	struct frame fr;
	void        *list = NULL;
	int          n;

	if (ipcps == NULL)
		return -EINVAL;
	*ipcps = NULL;
	n      = frame_init(&fr);
	if (n < 0)
		return n;
	n      = finish(&fr, GO(int, core_list_ipcps(fr.bell)), NULL, &list);
	*ipcps = list;
	return n;
}

PUBLIC ssize_t irm_list_names(struct name_info **names)
{
	struct frame fr;
	void        *list = NULL;
	int          n;

	if (names == NULL)
		return -EINVAL;
	*names = NULL;
	n      = frame_init(&fr);
	if (n < 0)
		return n;
	n      = finish(&fr, GO(int, core_list_names(fr.bell)), NULL, &list);
	*names = list;
	return n;
}
