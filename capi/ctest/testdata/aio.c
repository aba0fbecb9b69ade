/* Descriptors of the kernel, and calls that are begun and finished. */
#include "check.h"

#include <sys/epoll.h>

static bool is_readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

static void operations(void)
{
	qosspec_t qs = qos_voice;
	int       acc, all, a, b;

	IS(ouro_finish(12345, NULL), -EBADF);
	IS(ouro_cancel(12345), -EBADF);
	IS(ouro_alloc_start(NULL, NULL, NULL), -EINVAL);
	IS(ouro_join_start(NULL, NULL), -EINVAL);

	acc = FD(ouro_accept_start(NULL));
	IS(ouro_finish(acc, NULL), -EAGAIN);
	OK(!is_readable(acc));
	all = FD(ouro_alloc_start("aio", &qs, NULL));
	readable(all);
	a = FD(ouro_finish(all, &qs));
	IS(qs.max_gap, 50);
	readable(acc);
	b = FD(ouro_finish(acc, &qs));
	IS(qs.delay, 50);
	IS(ouro_finish(acc, NULL), -EBADF); /* once */
	IS(flow_write(a, "x", 1), 1);
	flow_dealloc(a);
	flow_dealloc(b);

	/* Cancelled. */
	acc = FD(ouro_accept_start(NULL));
	IS(ouro_cancel(acc), 0);
	readable(acc);
	IS(ouro_finish(acc, NULL), -ECANCELED);
	all = FD(ouro_alloc_start("aio", NULL, &minute));
	IS(ouro_cancel(all), 0);
	readable(all);
	IS(ouro_finish(all, NULL), -ECANCELED);

	/* Failed. */
	all = FD(ouro_alloc_start("no such name", NULL, NULL));
	readable(all);
	IS(ouro_finish(all, NULL), -ENAME);
	OK(strstr(ouro_strerror(-ENAME), "no such name") != NULL);
	all = FD(ouro_join_start("no such layer", NULL));
	readable(all);
	IS(ouro_finish(all, NULL), -EIPCP);
	all = FD(ouro_accept_start(&soon));
	readable(all);
	IS(ouro_finish(all, NULL), -ETIMEDOUT);
}

static void one_flow(void)
{
	fset_t *s = fset_create();
	char    buf[8];
	int     a, b, fd;

	IS(ouro_flow_fd(64), -ENOTALLOC);
	IS(ouro_flow_fd(-1), -EBADF);
	pair("aio", NULL, &a, &b);
	set_flags(b, FLOWFRNOBLOCK);
	fd = FD(ouro_flow_fd(b));
	IS(ouro_flow_fd(b), fd);
	IS(fset_add(s, b), -EPERM);
	IS(flow_read(b, buf, 8), -EAGAIN);
	for (int i = 0; i < 1000; i++) {
		OK(!is_readable(fd));
		IS(flow_write(a, "xyz", 3), 3);
		if (i % 2)
			IS(flow_write(a, "xyz", 3), 3);
		readable(fd);
		for (int j = 0; j <= i % 2; j++)
			IS(flow_read(b, buf, 8), 3);
		IS(flow_read(b, buf, 8), -EAGAIN);
	}
	IS(flow_dealloc(a), 0);
	readable(fd);
	IS(flow_read(b, buf, 8), -EFLOWDOWN);
	readable(fd);
	IS(flow_dealloc(b), 0);

	pair("aio", NULL, &a, &b);
	IS(fset_add(s, a), 0);
	IS(ouro_flow_fd(a), -EPERM);
	fset_destroy(s);
	flow_dealloc(a);
	flow_dealloc(b);
}

static void waiting(void)
{
	char buf[8];
	int  a, b;

	IS(ouro_flow_wait(64, NULL), -ENOTALLOC);
	IS(ouro_flow_wait(-1, NULL), -EBADF);
	pair("aio", NULL, &a, &b);
	IS(ouro_flow_wait(b, &at_once), -ETIMEDOUT);
	IS(ouro_flow_wait(b, &soon), -ETIMEDOUT);
	IS(ouro_next_len(b), -EAGAIN);
	IS(flow_write(a, "1234", 4), 4);
	IS(ouro_flow_wait(b, NULL), 0);
	IS(ouro_next_len(b), 4);
	IS(flow_read(b, buf, 4), 4);
	IS(ouro_flow_wait(b, NULL), 0); /* the end of the message */
	IS(flow_read(b, buf, 4), 0);
	IS(ouro_flow_wait(b, &at_once), -ETIMEDOUT);
	flow_dealloc(a);
	IS(ouro_flow_wait(b, NULL), 0);
	IS(flow_read(b, buf, 4), -EFLOWDOWN);
	flow_dealloc(b);
}

/* Writes that were started are written in their order, and end when there is
 * room, also on a flow that does not block. */
static void writes(void)
{
	char buf[64] = { 0 };
	int  a, b, ops[100], n, full;

	pair("aio", NULL, &a, &b);
	IS(ouro_write_start(-1, buf, 1), -EBADF);
	IS(ouro_write_start(a, NULL, 1), -EINVAL);
	set_flags(a, FLOWFWNOBLOCK);
	for (full = 0; flow_write(a, buf, 64) == 64; full++)
		;
	for (n = 0; n < 100; n++) {
		buf[0] = n;
		ops[n] = FD(ouro_write_start(a, buf, 64));
	}
	buf[0] = 0;
	OK(!is_readable(ops[0]));
	IS(ouro_cancel(ops[99]), 0);
	set_flags(b, FLOWFRNOPART);
	for (n = 0; n < full + 99; n++) {
		IS(flow_read(b, buf, 64), 64);
		if (n >= full)
			IS(buf[0], n - full);
	}
	for (n = 0; n < 99; n++) {
		readable(ops[n]);
		IS(ouro_finish(ops[n], NULL), 64);
	}
	readable(ops[99]);
	IS(ouro_finish(ops[99], NULL), -ECANCELED);
	flow_dealloc(b);
	n = FD(ouro_write_start(a, buf, 64));
	readable(n);
	IS(ouro_finish(n, NULL), -EFLOWDOWN);
	flow_dealloc(a);
}

/* A thousand flows, one loop, one descriptor. */
#define FLOWS 1000

static void loop(void)
{
	struct timespec    zero = { 0, 0 };
	struct epoll_event ev = { .events = EPOLLIN };
	fset_t            *s = fset_create();
	fqueue_t          *q = fqueue_create();
	static int         client[FLOWS], server[FLOWS];
	char               buf[8];
	int                ep = epoll_create1(0), got = 0;

	IS(epoll_ctl(ep, EPOLL_CTL_ADD, FD(ouro_fset_fd(s)), &ev), 0);
	for (int i = 0; i < FLOWS; i++) {
		pair("aio", NULL, &client[i], &server[i]);
		set_flags(server[i], FLOWFRNOBLOCK);
		IS(fset_add(s, server[i]), 0);
	}
	for (int i = 0; i < FLOWS; i++)
		IS(flow_write(client[i], "x", 1), 1);
	while (got < FLOWS && !failed) {
		IS(epoll_wait(ep, &ev, 1, 60000), 1);
		while (fevent(s, q, &zero) == 1) {
			int fd = fqueue_next(q);

			IS(fqueue_type(q), FLOW_PKT);
			IS(flow_read(fd, buf, 8), 1);
			got++;
		}
	}
	/* Now and then it is readable for nothing, but does not stay so. */
	while (!failed && epoll_wait(ep, &ev, 1, 0) == 1)
		IS(fevent(s, q, &zero), -ETIMEDOUT);
	for (int i = 0; i < FLOWS; i++) {
		flow_dealloc(client[i]);
		flow_dealloc(server[i]);
	}
	close(ep);
	fset_destroy(s);
	fqueue_destroy(q);
}

int main(void)
{
	serve("aio");
	operations();
	one_flow();
	waiting();
	writes();
	loop();
	return result();
}
