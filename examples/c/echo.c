/*
 * echo serve       an echo server: one thread, any number of flows
 * echo TEXT...     sends each text to it and prints what comes back
 */

#include <ouroboros/dev.h>
#include <ouroboros/errno.h>
#include <ouroboros/fccntl.h>
#include <ouroboros/fqueue.h>
#include <ouroboros/irm.h>
#include <ouroboros/ouro.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define NAME "echo"

static int fail(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, ouro_strerror(err));
	return 1;
}

/* Returns what a flow has sent, until nothing is left. */
static void answer(int fd)
{
	char    buf[2048];
	ssize_t n;

	while ((n = flow_read(fd, buf, sizeof(buf))) > 0)
		flow_write(fd, buf, n);
	if (n != -EAGAIN)
		flow_dealloc(fd); /* the client has gone */
}

static int serve(void)
{
	const struct timespec now = { 0, 0 };
	fset_t               *set = fset_create();
	fqueue_t             *fq  = fqueue_create();
	struct pollfd         wait[2];
	int                   fd, n;

	n = irm_bind_process(getpid(), NAME);
	if (n < 0)
		return fail("bind", n);

	wait[0] = (struct pollfd) { .fd = ouro_accept_start(NULL), .events = POLLIN };
	wait[1] = (struct pollfd) { .fd = ouro_fset_fd(set), .events = POLLIN };
	for (;;) {
		poll(wait, 2, -1);
		if (wait[0].revents) { /* a new flow */
			fd = ouro_finish(wait[0].fd, NULL);
			if (fd == -EIRMD)
				return fail("accept", fd);
			if (fd >= 0) {
				fccntl(fd, FLOWSFLAGS, FLOWFDEFAULT | FLOWFRNOBLOCK);
				fset_add(set, fd);
			}
			wait[0].fd = ouro_accept_start(NULL);
		}
		while (fevent(set, fq, &now) == 1)
			while ((fd = fqueue_next(fq)) >= 0)
				answer(fd);
	}
}

static int ask(int texts, char **text)
{
	qosspec_t qs = qos_data; /* nothing may be lost */
	char      buf[2048];
	ssize_t   n;
	int       fd;

	fd = flow_alloc(NAME, &qs, NULL);
	if (fd < 0)
		return fail("alloc", fd);
	for (int i = 0; i < texts; i++) {
		n = flow_write(fd, text[i], strlen(text[i]));
		if (n < 0)
			return fail("write", n);
		n = flow_read(fd, buf, sizeof(buf));
		if (n < 0)
			return fail("read", n);
		printf("%.*s\n", (int) n, buf);
	}
	flow_dealloc(fd);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: echo serve, or echo TEXT...\n");
		return 1;
	}
	return strcmp(argv[1], "serve") == 0 ? serve() : ask(argc - 1, argv + 1);
}
