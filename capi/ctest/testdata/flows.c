/* Allocation, reading and writing. */
#include "check.h"

static const struct timespec negative = { -1, 0 }, crooked = { 0, 1000000000 };

static void allocation(void)
{
	qosspec_t qs = qos_voice;
	int       a, b, op;

	IS(flow_alloc("nobody has this name", NULL, NULL), -ENAME);
	IS(flow_alloc(NULL, NULL, NULL), -EINVAL);
	IS(flow_alloc("x", NULL, &negative), -EINVAL);
	IS(flow_alloc("x", NULL, &crooked), -EINVAL);
	IS(flow_join("no such layer", NULL), -EIPCP);
	IS(flow_join(NULL, NULL), -EINVAL);
	IS(flow_accept(NULL, &at_once), -ETIMEDOUT);
	IS(flow_accept(NULL, &soon), -ETIMEDOUT);
	IS(flow_accept(NULL, &crooked), -EINVAL);

	/* Nobody accepts. */
	serve("flows");
	IS(flow_alloc("flows", NULL, &at_once), -ETIMEDOUT);
	IS(flow_alloc("flows", NULL, &soon), -ETIMEDOUT);

	/* The wish is granted, and both ends see it. */
	op = FD(ouro_accept_start(&minute));
	a  = FD(flow_alloc("flows", &qs, NULL));
	IS(a >= 64 && a < 66, 1);
	IS(qs.delay, 50);
	memset(&qs, 0, sizeof(qs));
	readable(op);
	b = FD(ouro_finish(op, &qs));
	IS(qs.bandwidth, 100000);
	IS(qs.in_order, 1);
	IS(fccntl(b, FLOWGQOSSPEC, &qs), 0);
	IS(qs.max_gap, 50);
	IS(flow_dealloc(a), 0);
	IS(flow_dealloc(b), 0);

	IS(flow_dealloc(-1), -EINVAL);
	IS(flow_dealloc(4096), -EINVAL);
	IS(flow_dealloc(10240), -EINVAL);
	IS(flow_dealloc(64), -ENOTALLOC);
	IS(flow_dealloc(0), -ENOTALLOC);

	/* The lowest number that is free. */
	pair("flows", NULL, &a, &b);
	IS(flow_dealloc(64), 0);
	IS(flow_dealloc(65), 0);
	pair("flows", NULL, &a, &b);
	OK(a + b == 64 + 65);
	for (op = 0; op < 2; op++)
		IS(flow_dealloc(64 + op), 0);
}

static void reading_and_writing(void)
{
	char            buf[64], *big;
	struct timespec t;
	int             a, b, c, d;
	ssize_t         mtu;

	IS(flow_write(-1, buf, 1), -EBADF);
	IS(flow_write(4096, buf, 1), -EBADF);
	IS(flow_write(64, buf, 1), -ENOTALLOC);
	IS(flow_write(-1, NULL, 1), -EINVAL);
	IS(flow_read(-1, buf, 1), -EBADF);
	IS(flow_read(4096, buf, 1), -EBADF);
	IS(flow_read(64, buf, 1), -ENOTALLOC);

	pair("flows", NULL, &a, &b);
	IS(flow_write(a, NULL, 1), -EINVAL);
	IS(flow_write(a, NULL, 0), 0);
	IS(flow_write(a, buf, 0), 0);
	set_flags(b, FLOWFNONBLOCK);
	IS(flow_read(b, NULL, 0), -EAGAIN);
	IS(flow_read(b, buf, 64), -EAGAIN); /* what was empty was not sent */
	IS(flow_write(a, "hello", 5), 5);
	IS(flow_read(b, buf, 64), 5);
	OK(memcmp(buf, "hello", 5) == 0);

	/* Too long. */
	mtu = ouro_flow_mtu(a);
	OK(mtu >= 1400);
	big = calloc(1, mtu + 1);
	IS(flow_write(a, big, mtu + 1), -EMSGSIZE);
	OK(strstr(ouro_strerror(-EMSGSIZE), "carries") != NULL);
	IS(flow_write(a, big, mtu), mtu);
	IS(ouro_next_len(b), mtu);
	free(big);
	big = malloc(mtu + 1);
	IS(flow_read(b, big, mtu + 1), mtu);
	free(big);

	/* Access modes. */
	IS(fccntl(a, FLOWSFLAGS, FLOWFRDONLY), 0);
	IS(flow_write(a, "x", 1), -EPERM);
	IS(fccntl(a, FLOWSFLAGS, FLOWFWRONLY), 0);
	IS(flow_write(b, "x", 1), -ENOTALLOC);
	IS(fccntl(a, FLOWSFLAGS, FLOWFDEFAULT), 0);
	IS(flow_write(b, "x", 1), 1);
	IS(flow_read(a, buf, 64), 1);
	IS(fccntl(a, FLOWSFLAGS, FLOWFINVALID), -EINVAL);

	/* Time-outs. */
	IS(fccntl(a, FLOWGRCVTIMEO, &t), -EPERM);
	IS(fccntl(a, FLOWGRCVTIMEO, NULL), -EINVAL);
	IS(fccntl(a, FLOWGSNDTIMEO, &t), -EPERM);
	IS(fccntl(a, FLOWGSNDTIMEO, NULL), -EINVAL);
	IS(fccntl(a, FLOWSRCVTIMEO, &crooked), -EINVAL);
	IS(fccntl(a, FLOWSRCVTIMEO, &soon), 0);
	IS(fccntl(a, FLOWGRCVTIMEO, &t), 0);
	IS(t.tv_nsec, soon.tv_nsec);
	IS(flow_read(a, buf, 64), -ETIMEDOUT);
	IS(fccntl(a, FLOWSRCVTIMEO, &at_once), 0);
	IS(flow_read(a, buf, 64), -ETIMEDOUT);
	IS(fccntl(a, FLOWSRCVTIMEO, NULL), 0);
	IS(fccntl(a, FLOWGRCVTIMEO, &t), -EPERM);

	/* A full queue. */
	IS(fccntl(a, FLOWSFLAGS, FLOWFDEFAULT | FLOWFWNOBLOCK), 0);
	for (c = 0; flow_write(a, buf, 64) == 64; c++)
		;
	OK(c >= 1023);
	IS(flow_write(a, buf, 64), -EAGAIN);
	IS(fccntl(a, FLOWSFLAGS, FLOWFDEFAULT), 0);
	IS(fccntl(a, FLOWSSNDTIMEO, &soon), 0);
	IS(flow_write(a, buf, 64), -ETIMEDOUT);
	{
		size_t n = 0;

		IS(fccntl(a, FLOWGTXQLEN, &n), 0);
		IS(n, c);
		IS(fccntl(b, FLOWGRXQLEN, &n), 0);
		IS(n, c);
	}
	/* What was written is read before the end is told. */
	IS(flow_dealloc(a), 0);
	for (d = 0; flow_read(b, buf, 64) == 64; d++)
		IS(flow_read(b, buf, 64), 0); /* it exactly filled the buffer */
	IS(d, c);
	IS(flow_read(b, buf, 64), -EFLOWDOWN);
	IS(flow_write(b, buf, 64), -EFLOWDOWN);
	IS(fccntl(b, FLOWSFLAGS, FLOWFDEFAULT), 0);
	IS(flow_read(b, buf, 64), -EFLOWDOWN); /* a blocking one does not wait */
	IS(flow_dealloc(b), 0);
}

/* A peer that takes nothing is slow at first, and stuck after a second. */
static void closed_window(void)
{
	static const struct timespec long_time = { 1, 100 * 1000 * 1000 };
	static const qosspec_t      *specs[]   = { &qos_data, &qos_raw };
	char                         buf[1000] = { 0 };
	int                          a, b;

	for (int i = 0; i < 2; i++) {
		pair("flows", specs[i], &a, &b);
		IS(fccntl(a, FLOWSSNDTIMEO, &soon), 0);
		while (flow_write(a, buf, sizeof(buf)) > 0)
			;
		IS(flow_write(a, buf, sizeof(buf)), -ETIMEDOUT);
		IS(fccntl(a, FLOWSSNDTIMEO, &long_time), 0);
		IS(flow_write(a, buf, sizeof(buf)), i == 0 ? -ECONNRESET : -ETIMEDOUT);
		flow_dealloc(a);
		flow_dealloc(b);
	}
}

static void controls(void)
{
	uint32_t flags = 0;
	uint16_t frct  = 0;
	size_t   n     = 77;
	int      a, b;

	IS(fccntl(-1, FLOWGFLAGS, &flags), -EBADF);
	IS(fccntl(10240, FLOWGFLAGS, &flags), -EBADF);
	IS(fccntl(64, FLOWGFLAGS, &flags), -ENOTALLOC);
	pair("flows", NULL, &a, &b);
	IS(fccntl(a, 0777), -ENOTSUP);
	IS(fccntl(a, FLOWGFLAGS, &flags), 0);
	IS(flags, FLOWFDEFAULT);
	IS(fccntl(a, FLOWGFLAGS, NULL), -EINVAL);
	IS(fccntl(a, FLOWGQOSSPEC, NULL), -EINVAL);
	IS(fccntl(a, FLOWGRXQLEN, NULL), -EINVAL);
	IS(fccntl(a, FLOWGTXQLEN, NULL), -EINVAL);
	IS(fccntl(a, FLOWGRXQLEN, &n), 0);
	IS(n, 0);
	IS(fccntl(a, FRCTGFLAGS, &frct), -EPERM);
	IS(fccntl(a, FRCTGFLAGS, NULL), -EINVAL);
	IS(fccntl(a, FRCTSFLAGS, 7), -EPERM);

	/* Down, and up again. */
	IS(fccntl(a, FLOWSFLAGS, FLOWFDEFAULT | FLOWFDOWN), 0);
	IS(flow_write(a, "x", 1), -EFLOWDOWN);
	IS(flow_write(b, "x", 1), -EFLOWDOWN);
	IS(fccntl(a, FLOWSFLAGS, FLOWFDEFAULT), 0);
	IS(flow_write(b, "x", 1), 1);
	IS(flow_write(a, "x", 1), 1);
	flow_dealloc(a);
	flow_dealloc(b);

	pair("flows", &qos_data, &a, &b);
	IS(fccntl(a, FRCTGFLAGS, &frct), 0);
	IS(frct, FRCTFRTX | FRCTFRESCNTL | FRCTFLINGER);
	IS(fccntl(a, FRCTSFLAGS, 0), 0);
	IS(fccntl(a, FRCTGFLAGS, &frct), 0);
	IS(frct, FRCTFRTX); /* as asked, and RTX unchanged */
	flow_dealloc(a);
	flow_dealloc(b);
	pair("flows", &qos_best_effort, &a, &b);
	IS(fccntl(a, FRCTGFLAGS, &frct), 0);
	IS(frct, FRCTFRESCNTL);
	flow_dealloc(a);
	flow_dealloc(b);
}

/* Messages of size, read by buffers of 4 bytes, with and without partial reads. */
static void parts(void)
{
	static const int sizes[] = { 1, 3, 4, 5, 8, 10 };
	char             buf[4];
	int              a, b;

	pair("flows", NULL, &a, &b);
	set_flags(b, FLOWFRNOBLOCK);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		int left = sizes[i], at = 0;

		IS(flow_write(a, "abcdefghij", sizes[i]), sizes[i]);
		IS(flow_read(b, buf, 0), 0); /* nothing is lost */
		IS(ouro_next_len(b), sizes[i]);
		while (left >= 4) {
			IS(flow_read(b, buf, 4), 4);
			OK(memcmp(buf, "abcdefghij" + at, 4) == 0);
			left -= 4;
			at += 4;
		}
		if (left > 0)
			IS(ouro_next_len(b), left);
		IS(flow_read(b, buf, 4), left); /* the rest, or the end */
		OK(memcmp(buf, "abcdefghij" + at, left) == 0);
		IS(flow_read(b, buf, 4), -EAGAIN);
	}
	set_flags(b, FLOWFRNOBLOCK | FLOWFRNOPART);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		IS(flow_write(a, "abcdefghij", sizes[i]), sizes[i]);
		IS(flow_read(b, buf, 4), sizes[i] > 4 ? -EMSGSIZE : sizes[i]);
		IS(flow_read(b, buf, 4), -EAGAIN);
	}
	flow_dealloc(a);
	flow_dealloc(b);
}

static void words(void)
{
	OK(strcmp(ouro_errname(-ENAME), "ENAME") == 0);
	OK(strcmp(ouro_errname(EAGAIN), "EAGAIN") == 0);
	OK(ouro_errname(-12345) == NULL);
	IS(flow_alloc("unheard of", NULL, NULL), -ENAME);
	OK(strstr(ouro_strerror(-ENAME), "unheard of") != NULL);
	OK(strstr(ouro_strerror(-EFLOWPEER), "peer") != NULL);
}

int main(void)
{
	allocation();
	reading_and_writing();
	closed_window();
	controls();
	parts();
	words();
	return result();
}
