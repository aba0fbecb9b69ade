/* Connection establishment. */
#include "check.h"

int main(void)
{
	struct conn_info in = { .comp_name = "Data Transfer", .protocol = "dtp", .pref_version = 1,
		                .pref_syntax = PROTO_FIXED, .addr = 0x1122334455667788 }, out;
	static const unsigned char dt[] = { 0x0a, 0x01, 'x', 0x12, 0x01, 'y', 0x18, 0x01, 0x28, 0x00, 0x40, 0x05 };
	char                       buf[128];
	int                        a, b;

	serve("cep");
	IS(cep_snd(64, &in), -ENOTALLOC);
	IS(cep_rcv(64, &out), -ENOTALLOC);
	pair("cep", NULL, &a, &b);
	IS(cep_snd(a, NULL), -EINVAL);
	IS(cep_rcv(b, NULL), -EINVAL);
	IS(cep_snd(a, &in), 0);
	IS(cep_rcv(b, &out), 0);
	OK(strcmp(out.comp_name, in.comp_name) == 0 && strcmp(out.protocol, in.protocol) == 0);
	IS(out.pref_version, 1);
	IS(out.pref_syntax, PROTO_FIXED);
	OK(out.addr == in.addr);

	/* The bytes are those of the wire. */
	IS(flow_write(a, dt, sizeof(dt)), sizeof(dt));
	IS(cep_rcv(b, &out), 0);
	OK(strcmp(out.comp_name, "x") == 0 && strcmp(out.protocol, "y") == 0 && out.addr == 5);
	memset(&in, 0, sizeof(in));
	strcpy(in.comp_name, "x");
	strcpy(in.protocol, "y");
	in.pref_version = 1;
	in.addr         = 5;
	IS(cep_snd(a, &in), 0);
	IS(flow_read(b, buf, sizeof(buf)), sizeof(dt));
	OK(memcmp(buf, dt, sizeof(dt)) == 0);

	IS(flow_write(a, "rubbish", 7), 7);
	IS(cep_rcv(b, &out), -1);
	memset(in.comp_name, 'x', sizeof(in.comp_name)); /* without an end, and too long */
	IS(cep_snd(a, &in), -1);
	IS(fccntl(b, FLOWSRCVTIMEO, &soon), 0);
	IS(cep_rcv(b, &out), -ETIMEDOUT);
	flow_dealloc(a);
	IS(cep_rcv(b, &out), -EFLOWDOWN);
	IS(cep_snd(b, &out), -EFLOWDOWN);
	return result();
}
