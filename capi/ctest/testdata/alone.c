/* A program without a daemon, and one that asks for nothing. */
#include "check.h"

#include <dirent.h>

static int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int  n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

int main(void)
{
	struct ipcp_list_info *ipcps = (void *) 1;
	struct name_info      *names = (void *) 1, info = { .name = "x" };
	struct ipcp_config     conf = local_default_conf;
	fqueue_t              *q;
	char                   buf[8];

	IS(threads(), 1); /* nothing was started yet */

	IS(flow_alloc("x", NULL, NULL), -EIRMD);
	OK(strstr(ouro_strerror(-EIRMD), "irmd") != NULL);
	IS(flow_accept(NULL, NULL), -EIRMD);
	IS(flow_join("x", NULL), -EIRMD);
	IS(flow_read(64, buf, 8), -ENOTALLOC);
	IS(flow_write(64, buf, 8), -ENOTALLOC);
	IS(flow_dealloc(64), -ENOTALLOC);
	IS(irm_create_ipcp("x", IPCP_LOCAL), -EIRMD);
	IS(irm_destroy_ipcp(1), -EIRMD);
	strcpy(conf.layer_info.name, "layer");
	IS(irm_bootstrap_ipcp(1, &conf), -EIRMD);
	IS(irm_enroll_ipcp(1, "x"), -EIRMD);
	IS(irm_connect_ipcp(1, "x", DT_COMP, qos_raw), -EIRMD);
	IS(irm_disconnect_ipcp(1, "x", DT_COMP), -EIRMD);
	IS(irm_bind_program("/bin/true", "x", 0, 0, NULL), -EIRMD);
	IS(irm_unbind_program("true", "x"), -EIRMD);
	IS(irm_bind_process(1, "x"), -EIRMD);
	IS(irm_unbind_process(1, "x"), -EIRMD);
	IS(irm_create_name(&info), -EIRMD);
	IS(irm_destroy_name("x"), -EIRMD);
	IS(irm_reg_name("x", 1), -EIRMD);
	IS(irm_unreg_name("x", 1), -EIRMD);
	IS(irm_list_ipcps(&ipcps), -EIRMD);
	OK(ipcps == NULL);
	IS(irm_list_names(&names), -EIRMD);
	OK(names == NULL);
	q = fqueue_create();
	IS(fqueue_next(q), -EPERM);
	fqueue_destroy(q);
	return result();
}
