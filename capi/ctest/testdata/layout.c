/* Sizes, offsets and numbers of the interface, on x86-64. */
#include "check.h"

#include <stddef.h>

#define SIZE(type, size, align) \
	_Static_assert(sizeof(type) == (size) && _Alignof(type) == (align), #type)
#define AT(type, field, offset, size)                                              \
	_Static_assert(offsetof(type, field) == (offset) &&                        \
	               sizeof(((type *) 0)->field) == (size), #type "." #field)
#define NUMBER(name, value) _Static_assert((name) == (value), #name)

SIZE(qosspec_t, 40, 8);
SIZE(struct qos_spec, 40, 8);
AT(qosspec_t, delay, 0, 4);
AT(qosspec_t, bandwidth, 8, 8);
AT(qosspec_t, availability, 16, 1);
AT(qosspec_t, loss, 20, 4);
AT(qosspec_t, ber, 24, 4);
AT(qosspec_t, in_order, 28, 1);
AT(qosspec_t, max_gap, 32, 4);
AT(qosspec_t, timeout, 36, 4);
NUMBER(DEFAULT_PEER_TIMEOUT, 120000);

SIZE(struct timespec, 16, 8);
SIZE(struct name_sec_paths, 1536, 1);
AT(struct name_sec_paths, enc, 0, 512);
AT(struct name_sec_paths, key, 512, 512);
AT(struct name_sec_paths, crt, 1024, 512);
SIZE(struct name_info, 3332, 4);
AT(struct name_info, name, 0, 256);
AT(struct name_info, pol_lb, 256, 4);
AT(struct name_info, s, 260, 1536);
AT(struct name_info, c, 1796, 1536);
SIZE(struct ipcp_list_info, 520, 4);
AT(struct ipcp_list_info, pid, 0, 4);
AT(struct ipcp_list_info, type, 4, 4);
AT(struct ipcp_list_info, name, 8, 255);
AT(struct ipcp_list_info, layer, 263, 255);
SIZE(struct ls_config, 32, 8);
AT(struct ls_config, pol, 0, 4);
AT(struct ls_config, t_recalc, 8, 8);
AT(struct ls_config, t_update, 16, 8);
AT(struct ls_config, t_timeo, 24, 8);
SIZE(struct routing_config, 40, 8);
AT(struct routing_config, pol, 0, 4);
AT(struct routing_config, ls, 8, 32);
SIZE(struct dt_config, 48, 8);
AT(struct dt_config, addr_size, 0, 1);
AT(struct dt_config, eid_size, 1, 1);
AT(struct dt_config, max_ttl, 2, 1);
AT(struct dt_config, routing, 8, 40);
SIZE(struct dir_dht_config, 32, 8);
AT(struct dir_dht_config, params.alpha, 0, 4);
AT(struct dir_dht_config, params.k, 4, 4);
AT(struct dir_dht_config, params.t_expire, 8, 4);
AT(struct dir_dht_config, params.t_refresh, 12, 4);
AT(struct dir_dht_config, params.t_replicate, 16, 4);
AT(struct dir_dht_config, peer, 24, 8);
SIZE(struct dir_config, 40, 8);
AT(struct dir_config, pol, 0, 4);
AT(struct dir_config, dht, 8, 32);
SIZE(struct uni_config, 96, 8);
AT(struct uni_config, dt, 0, 48);
AT(struct uni_config, dir, 48, 40);
AT(struct uni_config, addr_auth_type, 88, 4);
AT(struct uni_config, cong_avoid, 92, 4);
SIZE(struct eth_config, 258, 2);
AT(struct eth_config, dev, 0, 256);
AT(struct eth_config, ethertype, 256, 2);
SIZE(struct udp4_config, 12, 4);
AT(struct udp4_config, ip_addr, 0, 4);
AT(struct udp4_config, dns_addr, 4, 4);
AT(struct udp4_config, port, 8, 2);
SIZE(struct udp6_config, 36, 4);
AT(struct udp6_config, ip_addr, 0, 16);
AT(struct udp6_config, dns_addr, 16, 16);
AT(struct udp6_config, port, 32, 2);
SIZE(struct layer_info, 260, 4);
AT(struct layer_info, name, 0, 256);
AT(struct layer_info, dir_hash_algo, 256, 4);
SIZE(struct ipcp_config, 528, 8);
AT(struct ipcp_config, layer_info, 0, 260);
AT(struct ipcp_config, type, 260, 4);
AT(struct ipcp_config, unicast, 264, 96);
AT(struct ipcp_config, udp4, 264, 12);
AT(struct ipcp_config, udp6, 264, 36);
AT(struct ipcp_config, eth, 264, 258);
SIZE(struct ipcp_info, 268, 4);
AT(struct ipcp_info, type, 0, 4);
AT(struct ipcp_info, pid, 4, 4);
AT(struct ipcp_info, name, 8, 256);
AT(struct ipcp_info, state, 264, 4);
SIZE(struct proto_field, 16, 8);
SIZE(struct conn_info, 2336, 8);
AT(struct conn_info, comp_name, 0, 129);
AT(struct conn_info, protocol, 129, 129);
AT(struct conn_info, pref_version, 260, 4);
AT(struct conn_info, pref_syntax, 264, 4);
AT(struct conn_info, fixed_conc_syntax, 272, 2048);
AT(struct conn_info, num_fields, 2320, 8);
AT(struct conn_info, addr, 2328, 8);

NUMBER(ENOTALLOC, 1000);
NUMBER(EIPCPTYPE, 1001);
NUMBER(EIRMD, 1002);
NUMBER(EIPCP, 1003);
NUMBER(EIPCPSTATE, 1004);
NUMBER(EFLOWDOWN, 1005);
NUMBER(EFLOWPEER, 1006);
NUMBER(ENAME, 1007);
NUMBER(ECRYPT, 1008);
NUMBER(EAUTH, 1009);

NUMBER(IPCP_LOCAL, 0);
NUMBER(IPCP_UNICAST, 1);
NUMBER(IPCP_BROADCAST, 2);
NUMBER(IPCP_ETH_LLC, 3);
NUMBER(IPCP_ETH_DIX, 4);
NUMBER(IPCP_UDP4, 5);
NUMBER(IPCP_UDP6, 6);
NUMBER(IPCP_INVALID, 7);
NUMBER(IPCP_NULL, 0);
NUMBER(IPCP_INIT, 1);
NUMBER(IPCP_BOOT, 2);
NUMBER(IPCP_BOOTSTRAPPED, 3);
NUMBER(IPCP_ENROLLED, 4);
NUMBER(IPCP_OPERATIONAL, 5);
NUMBER(IPCP_SHUTDOWN, 6);
NUMBER(ADDR_AUTH_FLAT_RANDOM, 0);
NUMBER(ADDR_AUTH_INVALID, 1);
NUMBER(LS_SIMPLE, 0);
NUMBER(LS_LFA, 1);
NUMBER(LS_ECMP, 2);
NUMBER(LS_INVALID, 3);
NUMBER(ROUTING_LINK_STATE, 0);
NUMBER(ROUTING_INVALID, 1);
NUMBER(CA_NONE, 0);
NUMBER(CA_MB_ECN, 1);
NUMBER(CA_INVALID, 2);
NUMBER(DIR_DHT, 0);
NUMBER(DIR_INVALID, 1);
NUMBER(DIR_HASH_SHA3_224, 0);
NUMBER(DIR_HASH_SHA3_256, 1);
NUMBER(DIR_HASH_SHA3_384, 2);
NUMBER(DIR_HASH_SHA3_512, 3);
NUMBER(DIR_HASH_INVALID, 4);
NUMBER(LB_RR, 0);
NUMBER(LB_SPILL, 1);
NUMBER(LB_INVALID, 2);
NUMBER(NAME_SIZE, 255);
NUMBER(IPCP_NAME_SIZE, 255);
NUMBER(LAYER_NAME_SIZE, 255);
NUMBER(DEV_NAME_SIZE, 255);
NUMBER(NAME_PATH_SIZE, 511);
NUMBER(BIND_AUTO, 1);
NUMBER(DHT_ALPHA_MIN, 1);
NUMBER(DHT_ALPHA_MAX, 10);
NUMBER(DHT_K_MIN, 1);
NUMBER(DHT_K_MAX, 20);
NUMBER(DHT_T_EXPIRE_MIN, 10);
NUMBER(DHT_T_EXPIRE_MAX, 86400);
NUMBER(DHT_T_REFRESH_MIN, 3);
NUMBER(DHT_T_REFRESH_MAX, 3600);
NUMBER(DHT_T_REPLICATE_MIN, 3);
NUMBER(DHT_T_REPLICATE_MAX, 3600);
NUMBER(OCEP_BUF_STRLEN, 128);
NUMBER(PROTO_FIELD_ABSENT, -1);
NUMBER(PROTO_FIELD_VARIABLE, 0);
NUMBER(PROTO_MAX_FIELDS, 128);
NUMBER(PROTO_GPB, 0);
NUMBER(PROTO_ASN_1, 1);
NUMBER(PROTO_FIXED, 2);

NUMBER(FLOWFRDONLY, 0);
NUMBER(FLOWFWRONLY, 1);
NUMBER(FLOWFRDWR, 2);
NUMBER(FLOWFACCMODE, 3);
NUMBER(FLOWFDOWN, 4);
NUMBER(FLOWFRNOBLOCK, 01000);
NUMBER(FLOWFWNOBLOCK, 02000);
NUMBER(FLOWFNONBLOCK, 03000);
NUMBER(FLOWFRNOPART, 010000);
NUMBER(FLOWFWNOPART, 020000);
NUMBER(FLOWFDEFAULT, 020002);
NUMBER(FLOWFINVALID, 3);
NUMBER(FRCTFRTX, 1);
NUMBER(FRCTFRESCNTL, 2);
NUMBER(FRCTFLINGER, 4);
NUMBER(FLOWSRCVTIMEO, 1);
NUMBER(FLOWGRCVTIMEO, 2);
NUMBER(FLOWSSNDTIMEO, 3);
NUMBER(FLOWGSNDTIMEO, 4);
NUMBER(FLOWGQOSSPEC, 5);
NUMBER(FLOWSFLAGS, 6);
NUMBER(FLOWGFLAGS, 7);
NUMBER(FLOWGRXQLEN, 8);
NUMBER(FLOWGTXQLEN, 9);
NUMBER(FRCTSFLAGS, 01000);
NUMBER(FRCTGFLAGS, 02000);

NUMBER(FLOW_PKT, 1);
NUMBER(FLOW_DOWN, 2);
NUMBER(FLOW_UP, 4);
NUMBER(FLOW_ALLOC, 8);
NUMBER(FLOW_DEALLOC, 16);
NUMBER(FLOW_PEER, 32);
SIZE(enum fqtype, 4, 4);
SIZE(enum ipcp_type, 4, 4);

NUMBER(OUROBOROS_VERSION_MAJOR, 0);
NUMBER(OUROBOROS_VERSION_MINOR, 23);
NUMBER(OUROBOROS_VERSION_PATCH, 0);

static void spec(qosspec_t q, uint32_t delay, uint64_t bandwidth, uint8_t avail, uint32_t loss, uint32_t ber,
                 uint8_t in_order, uint32_t gap)
{
	IS(q.delay, delay);
	OK(q.bandwidth == bandwidth);
	IS(q.availability, avail);
	IS(q.loss, loss);
	IS(q.ber, ber);
	IS(q.in_order, in_order);
	IS(q.max_gap, gap);
	IS(q.timeout, 120000);
}

static void unicast(const struct uni_config *u)
{
	IS(u->dt.addr_size, 4);
	IS(u->dt.eid_size, 8);
	IS(u->dt.max_ttl, 60);
	IS(u->dt.routing.pol, ROUTING_LINK_STATE);
	IS(u->dt.routing.ls.pol, LS_SIMPLE);
	IS(u->dt.routing.ls.t_recalc, 4);
	IS(u->dt.routing.ls.t_update, 15);
	IS(u->dt.routing.ls.t_timeo, 60);
	IS(u->dir.pol, DIR_DHT);
	IS(u->dir.dht.params.alpha, 3);
	IS(u->dir.dht.params.k, 8);
	IS(u->dir.dht.params.t_expire, 86400);
	IS(u->dir.dht.params.t_refresh, 900);
	IS(u->dir.dht.params.t_replicate, 900);
	IS(u->addr_auth_type, ADDR_AUTH_FLAT_RANDOM);
	IS(u->cong_avoid, CA_MB_ECN);
}

int main(void)
{
	spec(qos_raw, UINT32_MAX, 0, 0, 1, 1, 0, UINT32_MAX);
	spec(qos_raw_no_errors, UINT32_MAX, 0, 0, 1, 0, 0, UINT32_MAX);
	spec(qos_best_effort, UINT32_MAX, 0, 0, 1, 0, 1, UINT32_MAX);
	spec(qos_video, 100, UINT64_MAX, 3, 1, 0, 1, 100);
	spec(qos_voice, 50, 100000, 5, 1, 0, 1, 50);
	spec(qos_data, 1000, 0, 0, 0, 0, 1, 2000);

	unicast(&default_uni_config);
	unicast(&uni_default_conf.unicast);
	IS(default_ls_config.t_update, 15);
	IS(default_routing_config.ls.t_timeo, 60);
	IS(default_dt_config.max_ttl, 60);
	IS(default_dht_config.params.k, 8);
	IS(default_dir_config.dht.params.alpha, 3);
	IS(local_default_conf.type, IPCP_LOCAL);
	IS(local_default_conf.layer_info.dir_hash_algo, DIR_HASH_SHA3_256);
	IS(uni_default_conf.type, IPCP_UNICAST);
	IS(bc_default_conf.type, IPCP_BROADCAST);
	IS(eth_llc_default_conf.type, IPCP_ETH_LLC);
	IS(eth_dix_default_conf.type, IPCP_ETH_DIX);
	IS(eth_dix_default_conf.eth.ethertype, 0xA000);
	IS(udp4_default_conf.type, IPCP_UDP4);
	IS(udp4_default_conf.udp4.port, 3435);
	IS(udp6_default_conf.type, IPCP_UDP6);
	IS(udp6_default_conf.udp6.port, 3435);
	OK(strcmp(DT_COMP, "Data Transfer") == 0 && strcmp(MGMT_COMP, "Management") == 0);
	OK(strcmp(OUROBOROS_VERSION_STRING, "0.23.0") == 0);
	return result();
}
