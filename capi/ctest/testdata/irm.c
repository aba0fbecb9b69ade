/* Management. */
#include "check.h"

#include <sys/stat.h>
#include <arpa/inet.h>

static char long_name[300];

/* A UDP port that nobody has. */
static uint16_t free_port(void)
{
	struct sockaddr_in a  = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t          n  = sizeof(a);
	int                fd = socket(AF_INET, SOCK_DGRAM, 0);

	IS(bind(fd, (struct sockaddr *) &a, n), 0);
	IS(getsockname(fd, (struct sockaddr *) &a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static pid_t pid_of(const char *name)
{
	struct ipcp_list_info *l;
	ssize_t                n = irm_list_ipcps(&l);
	pid_t                  pid = -1;

	for (ssize_t i = 0; i < n; i++)
		if (strcmp(l[i].name, name) == 0)
			pid = l[i].pid;
	free(l);
	return pid;
}

static void ipcps(void)
{
	struct ipcp_list_info *l = NULL;
	struct ipcp_config     conf;
	pid_t                  local, udp, udp6, uni, bc, eth;

	IS(irm_list_ipcps(NULL), -EINVAL);
	IS(irm_list_ipcps(&l), 0);
	OK(l == NULL);
	IS(irm_create_ipcp(NULL, IPCP_LOCAL), -EINVAL);
	IS(irm_create_ipcp(long_name, IPCP_LOCAL), -EINVAL);
	OK(irm_create_ipcp("x", IPCP_INVALID) < 0);
	OK(irm_create_ipcp("x", (enum ipcp_type) 99) < 0);
	IS(irm_create_ipcp("local", IPCP_LOCAL), 0);
	IS(irm_create_ipcp("local", IPCP_LOCAL), -1);
	OK(strstr(ouro_strerror(-1), "local") != NULL);
	IS(irm_list_ipcps(&l), 1);
	IS(l[0].type, IPCP_LOCAL);
	OK(l[0].pid > 4194304);
	OK(strcmp(l[0].name, "local") == 0 && strcmp(l[0].layer, "Not enrolled.") == 0);
	local = l[0].pid;
	free(l);

	IS(irm_destroy_ipcp(-1), -EINVAL);
	IS(irm_destroy_ipcp(getpid()), -EIPCP);
	IS(irm_destroy_ipcp(1), -EIPCP);

	conf = local_default_conf;
	IS(irm_bootstrap_ipcp(-1, &conf), -EINVAL);
	IS(irm_bootstrap_ipcp(local, NULL), -EINVAL);
	IS(irm_bootstrap_ipcp(local, &conf), -EINVAL); /* a layer without a name */
	strcpy(conf.layer_info.name, "home");
	OK(irm_bootstrap_ipcp(12345, &conf) < 0);
	conf.type = IPCP_UNICAST;
	conf.unicast = default_uni_config;
	IS(irm_bootstrap_ipcp(local, &conf), -EINVAL); /* of another type */
	conf = local_default_conf;
	strcpy(conf.layer_info.name, "home");
	IS(irm_bootstrap_ipcp(local, &conf), 0);
	OK(irm_bootstrap_ipcp(local, &conf) < 0);
	IS(irm_list_ipcps(&l), 1);
	OK(strcmp(l[0].layer, "home") == 0);
	free(l);
	memset(conf.layer_info.name, 'a', sizeof(conf.layer_info.name));
	IS(irm_bootstrap_ipcp(local, &conf), -EINVAL); /* without an end */

	/* All the other kinds, as far as they work on any machine. */
	IS(irm_create_ipcp("udp", IPCP_UDP4), 0);
	udp  = pid_of("udp");
	conf = udp4_default_conf;
	strcpy(conf.layer_info.name, "internet");
	IS(irm_bootstrap_ipcp(udp, &conf), -EINVAL); /* no address */
	inet_pton(AF_INET, "127.0.0.1", &conf.udp4.ip_addr);
	conf.udp4.port = 0;
	IS(irm_bootstrap_ipcp(udp, &conf), -EINVAL);
	conf.udp4.port = free_port();
	IS(irm_bootstrap_ipcp(udp, &conf), 0);
	IS(irm_create_ipcp("udp6", IPCP_UDP6), 0);
	udp6 = pid_of("udp6");
	conf = udp6_default_conf;
	strcpy(conf.layer_info.name, "internet6");
	IS(irm_bootstrap_ipcp(udp6, &conf), -EINVAL);
	IS(irm_create_ipcp("eth", IPCP_ETH_DIX), 0);
	eth  = pid_of("eth");
	conf = eth_dix_default_conf;
	strcpy(conf.layer_info.name, "cable");
	IS(irm_bootstrap_ipcp(eth, &conf), -EINVAL); /* no device */
	strcpy(conf.eth.dev, "no such dev");
	OK(irm_bootstrap_ipcp(eth, &conf) < 0);

	IS(irm_create_ipcp("uni", IPCP_UNICAST), 0);
	uni  = pid_of("uni");
	conf = uni_default_conf;
	strcpy(conf.layer_info.name, "wide");
	conf.unicast.dt.max_ttl = 0;
	IS(irm_bootstrap_ipcp(uni, &conf), -EINVAL);
	conf.unicast.dt.max_ttl         = 60;
	conf.unicast.dt.routing.ls.pol  = LS_INVALID;
	IS(irm_bootstrap_ipcp(uni, &conf), -EINVAL);
	conf.unicast.dt.routing.ls.pol  = LS_ECMP;
	conf.unicast.dir.dht.params.k   = 21;
	IS(irm_bootstrap_ipcp(uni, &conf), -EINVAL);
	conf.unicast.dir.dht.params.k   = 8;
	conf.unicast.dt.routing.ls.t_update = -1;
	IS(irm_bootstrap_ipcp(uni, &conf), -EINVAL);
	conf.unicast.dt.routing.ls.t_update = 15;
	IS(irm_bootstrap_ipcp(uni, &conf), 0);

	IS(irm_create_ipcp("bc", IPCP_BROADCAST), 0);
	bc   = pid_of("bc");
	conf = bc_default_conf;
	strcpy(conf.layer_info.name, "all");
	IS(irm_bootstrap_ipcp(bc, &conf), 0);

	IS(irm_enroll_ipcp(-1, "x"), -EINVAL);
	IS(irm_enroll_ipcp(uni, NULL), -EINVAL);
	OK(irm_enroll_ipcp(uni, "x") < 0);
	IS(irm_connect_ipcp(uni, NULL, DT_COMP, qos_raw), -EINVAL);
	IS(irm_connect_ipcp(uni, "x", NULL, qos_raw), -EINVAL);
	IS(irm_connect_ipcp(12345, "x", DT_COMP, qos_raw), -EIPCP);
	OK(irm_connect_ipcp(uni, "nowhere", DT_COMP, qos_raw) < 0);
	IS(irm_disconnect_ipcp(uni, NULL, DT_COMP), -EINVAL);
	IS(irm_disconnect_ipcp(12345, "x", DT_COMP), -EIPCP);

	IS(irm_list_ipcps(&l), 6);
	free(l);
	IS(irm_destroy_ipcp(udp6), 0);
	IS(irm_destroy_ipcp(eth), 0);
	IS(irm_destroy_ipcp(udp), 0);
	IS(irm_destroy_ipcp(uni), 0);
	IS(irm_destroy_ipcp(udp), -EIPCP);
}

static void names(void)
{
	struct name_info info = { .pol_lb = LB_SPILL }, *l = NULL;
	pid_t            local = pid_of("local");

	IS(irm_list_names(NULL), -EINVAL);
	IS(irm_list_names(&l), 0);
	OK(l == NULL);
	IS(irm_create_name(NULL), -EINVAL);
	IS(irm_create_name(&info), -EINVAL); /* empty */
	strcpy(info.name, "service");
	info.pol_lb = 7;
	IS(irm_create_name(&info), -EINVAL);
	info.pol_lb = LB_SPILL;
	strcpy(info.s.key, "/etc/key.pem");
	IS(irm_create_name(&info), 0);
	IS(irm_create_name(&info), 0); /* it exists */
	IS(irm_list_names(&l), 1);
	OK(strcmp(l[0].name, "service") == 0);
	IS(l[0].pol_lb, LB_SPILL);
	OK(strcmp(l[0].s.key, "/etc/key.pem") == 0);
	IS(l[0].c.enc[0], 0);
	free(l);

	IS(irm_reg_name(NULL, local), -EINVAL);
	IS(irm_reg_name("service", local), 0);
	IS(irm_reg_name("service", local), 0);
	IS(irm_reg_name("other", local), -ENAME);
	IS(irm_reg_name("service", getpid()), -EIPCP);
	IS(irm_unreg_name(NULL, local), -EINVAL);
	IS(irm_unreg_name("service", local), 0);
	IS(irm_unreg_name("service", local), 0);
	IS(irm_unreg_name("other", local), -ENAME);
	IS(irm_destroy_name(NULL), -EINVAL);
	IS(irm_destroy_name(long_name), -EINVAL);
	IS(irm_destroy_name("service"), 0);
	OK(irm_destroy_name("service") < 0);
}

static void bindings(void)
{
	char *argv[] = { "one", "two" }, path[1000], before[1000], dir[] = "/tmp/bindXXXXXX", *p;
	FILE *f;

	OK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/program", dir);
	f = fopen(path, "w");
	fputs("#!/bin/sh\n", f);
	fclose(f);
	IS(irm_bind_program(NULL, "b", 0, 0, NULL), -EINVAL);
	IS(irm_bind_program("ls", NULL, 0, 0, NULL), -EINVAL);
	IS(irm_bind_program("ls", "b", 0, 1, NULL), -EINVAL);
	IS(irm_bind_program("no program has this name", "b", 0, 0, NULL), -ENOENT);
	IS(irm_bind_program("/no/such/file", "b", 0, 0, NULL), -ENOENT);
	IS(irm_bind_program(path, "b", 0, 0, NULL), -EPERM); /* not executable */
	chmod(path, 0700);
	IS(irm_bind_program(path, "b", BIND_AUTO, 2, argv), 0); /* creates the name */
	IS(irm_bind_program(path, "b", BIND_AUTO, 2, argv), -EPERM);
	IS(irm_unbind_program("program", "b"), 0);
	OK(irm_unbind_program("program", "b") < 0);
	IS(irm_bind_program(path, "b", 0, 0, NULL), 0);
	IS(irm_unbind_program(path, "b"), 0); /* the path does, too */
	IS(irm_unbind_program("program", NULL), -EINVAL);
	IS(irm_unbind_program(NULL, "b"), -EINVAL);

	/* PATH is looked through, and is afterwards what it was. */
	snprintf(before, sizeof(before), "/nowhere:relative:%s:/bin:/usr/bin", dir);
	setenv("PATH", before, 1);
	IS(irm_bind_program("program", "b", 0, 0, NULL), 0);
	IS(irm_unbind_program("program", "b"), 0);
	IS(irm_bind_program("ls", "b", 0, 0, NULL), 0);
	IS(irm_bind_program("sh", "b", 0, 0, NULL), 0);
	p = getenv("PATH");
	OK(p != NULL && strcmp(p, before) == 0);
	unlink(path);
	rmdir(dir);

	IS(irm_bind_process(getpid(), NULL), -EINVAL);
	OK(irm_bind_process(1, "p") < 0); /* does not use the network */
	IS(irm_bind_process(getpid(), "p"), 0);
	IS(irm_bind_process(getpid(), "p"), -1);
	IS(irm_unbind_process(getpid(), NULL), -EINVAL);
	IS(irm_unbind_process(getpid(), "p"), 0);
	OK(irm_unbind_process(getpid(), "p") < 0);
}

int main(void)
{
	memset(long_name, 'n', sizeof(long_name) - 1);
	ipcps();
	names();
	bindings();
	return result();
}
