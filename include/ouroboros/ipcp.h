/*
 * IPC processes and how they make layers. See irm_bootstrap_ipcp(3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_IPCP_H
#define OUROBOROS_IPCP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#define IPCP_NAME_SIZE  255
#define LAYER_NAME_SIZE 255
#define DEV_NAME_SIZE   255

/* Components of a unicast IPCP that can be connected. */
#define DT_COMP   "Data Transfer"
#define MGMT_COMP "Management"

enum ipcp_type {
	IPCP_LOCAL     = 0,
	IPCP_UNICAST   = 1,
	IPCP_BROADCAST = 2,
	IPCP_ETH_LLC   = 3,
	IPCP_ETH_DIX   = 4,
	IPCP_UDP4      = 5,
	IPCP_UDP6      = 6,
	IPCP_INVALID   = 7
};

enum ipcp_state {
	IPCP_NULL         = 0,
	IPCP_INIT         = 1,
	IPCP_BOOT         = 2,
	IPCP_BOOTSTRAPPED = 3,
	IPCP_ENROLLED     = 4,
	IPCP_OPERATIONAL  = 5,
	IPCP_SHUTDOWN     = 6
};

struct ipcp_info {
	enum ipcp_type  type;
	pid_t           pid;
	char            name[IPCP_NAME_SIZE + 1];
	enum ipcp_state state;
};

/* The policies of a unicast layer. */

enum pol_addr_auth {
	ADDR_AUTH_FLAT_RANDOM = 0,
	ADDR_AUTH_INVALID     = 1
};

enum pol_link_state {
	LS_SIMPLE  = 0, /* shortest paths */
	LS_LFA     = 1, /* with loop-free alternates */
	LS_ECMP    = 2, /* equal-cost multipath */
	LS_INVALID = 3
};

enum pol_routing {
	ROUTING_LINK_STATE = 0,
	ROUTING_INVALID    = 1
};

enum pol_cong_avoid {
	CA_NONE    = 0,
	CA_MB_ECN  = 1,
	CA_INVALID = 2
};

enum pol_dir {
	DIR_DHT     = 0,
	DIR_INVALID = 1
};

enum pol_dir_hash {
	DIR_HASH_SHA3_224 = 0,
	DIR_HASH_SHA3_256 = 1,
	DIR_HASH_SHA3_384 = 2,
	DIR_HASH_SHA3_512 = 3,
	DIR_HASH_INVALID  = 4
};

enum dir_dht_config_limits {
	DHT_ALPHA_MIN       = 1,
	DHT_ALPHA_MAX       = 10,
	DHT_K_MIN           = 1,
	DHT_K_MAX           = 20,
	DHT_T_EXPIRE_MIN    = 10,
	DHT_T_EXPIRE_MAX    = 86400,
	DHT_T_REFRESH_MIN   = 3,
	DHT_T_REFRESH_MAX   = 3600,
	DHT_T_REPLICATE_MIN = 3,
	DHT_T_REPLICATE_MAX = 3600
};

/* The configuration of a unicast IPCP. Times are in seconds. */

struct ls_config {
	enum pol_link_state pol;
	time_t              t_recalc; /* between calculations of routes */
	time_t              t_update; /* between announcements */
	time_t              t_timeo;  /* after which a link that is not announced is gone */
};

struct routing_config {
	enum pol_routing pol;
	union {
		struct ls_config ls;
	};
};

struct dt_config {
	struct {
		uint8_t addr_size; /* bytes: 4 */
		uint8_t eid_size;  /* bytes: 8 */
		uint8_t max_ttl;   /* hops */
	};
	struct routing_config routing;
};

struct dir_dht_config {
	struct {
		uint32_t alpha;       /* lookups in parallel */
		uint32_t k;           /* copies of an entry */
		uint32_t t_expire;
		uint32_t t_refresh;
		uint32_t t_replicate;
	} params;
	uint64_t peer; /* not used */
};

struct dir_config {
	enum pol_dir pol;
	union {
		struct dir_dht_config dht;
	};
};

struct uni_config {
	struct dt_config    dt;
	struct dir_config   dir;
	enum pol_addr_auth  addr_auth_type;
	enum pol_cong_avoid cong_avoid;
};

/* The configuration of the IPCPs at the edge. */

struct eth_config {
	char     dev[DEV_NAME_SIZE + 1]; /* network interface */
	uint16_t ethertype;              /* DIX only, host order */
};

struct udp4_config {
	struct in_addr ip_addr;  /* own address */
	struct in_addr dns_addr; /* server for dynamic DNS; 0 = none */
	uint16_t       port;     /* host order */
};

struct udp6_config {
	struct in6_addr ip_addr;
	struct in6_addr dns_addr;
	uint16_t        port;
};

struct layer_info {
	char              name[LAYER_NAME_SIZE + 1];
	enum pol_dir_hash dir_hash_algo;
};

struct ipcp_config {
	struct layer_info layer_info;
	enum ipcp_type    type;
	union {
		struct uni_config  unicast;
		struct udp4_config udp4;
		struct udp6_config udp6;
		struct eth_config  eth;
	};
};

/* The defaults: copy one, and set the name of the layer and what it lacks. */

#define OUROBOROS_LS_DEFAULT      { LS_SIMPLE, 4, 15, 60 }
#define OUROBOROS_ROUTING_DEFAULT { ROUTING_LINK_STATE, { OUROBOROS_LS_DEFAULT } }
#define OUROBOROS_DT_DEFAULT      { { 4, 8, 60 }, OUROBOROS_ROUTING_DEFAULT }
#define OUROBOROS_DHT_DEFAULT     { { 3, 8, 86400, 900, 900 }, 0 }
#define OUROBOROS_DIR_DEFAULT     { DIR_DHT, { OUROBOROS_DHT_DEFAULT } }
#define OUROBOROS_UNI_DEFAULT \
	{ OUROBOROS_DT_DEFAULT, OUROBOROS_DIR_DEFAULT, ADDR_AUTH_FLAT_RANDOM, CA_MB_ECN }
#define OUROBOROS_LAYER_DEFAULT   { "", DIR_HASH_SHA3_256 }

static const struct ls_config      default_ls_config      = OUROBOROS_LS_DEFAULT;
static const struct routing_config default_routing_config = OUROBOROS_ROUTING_DEFAULT;
static const struct dt_config      default_dt_config      = OUROBOROS_DT_DEFAULT;
static const struct dir_dht_config default_dht_config     = OUROBOROS_DHT_DEFAULT;
static const struct dir_config     default_dir_config     = OUROBOROS_DIR_DEFAULT;
static const struct uni_config     default_uni_config     = OUROBOROS_UNI_DEFAULT;

static const struct ipcp_config local_default_conf = {
	.layer_info = OUROBOROS_LAYER_DEFAULT,
	.type       = IPCP_LOCAL,
	.unicast    = OUROBOROS_UNI_DEFAULT
};

static const struct ipcp_config uni_default_conf = {
	.layer_info = OUROBOROS_LAYER_DEFAULT,
	.type       = IPCP_UNICAST,
	.unicast    = OUROBOROS_UNI_DEFAULT
};

static const struct ipcp_config bc_default_conf = {
	.layer_info = OUROBOROS_LAYER_DEFAULT,
	.type       = IPCP_BROADCAST,
	.unicast    = OUROBOROS_UNI_DEFAULT
};

static const struct ipcp_config eth_llc_default_conf = {
	.layer_info = OUROBOROS_LAYER_DEFAULT,
	.type       = IPCP_ETH_LLC,
	.eth        = { "", 0 }
};

static const struct ipcp_config eth_dix_default_conf = {
	.layer_info = OUROBOROS_LAYER_DEFAULT,
	.type       = IPCP_ETH_DIX,
	.eth        = { "", 0xA000 }
};

static const struct ipcp_config udp4_default_conf = {
	.layer_info = OUROBOROS_LAYER_DEFAULT,
	.type       = IPCP_UDP4,
	.udp4       = { { 0 }, { 0 }, 3435 }
};

static const struct ipcp_config udp6_default_conf = {
	.layer_info = OUROBOROS_LAYER_DEFAULT,
	.type       = IPCP_UDP6,
	.udp6       = { IN6ADDR_ANY_INIT, IN6ADDR_ANY_INIT, 3435 }
};

#endif
