/* exit HOW: a client that ends with open flows, and a server that sees it. */
#include "check.h"

#include <signal.h>
#include <sys/wait.h>

static void interrupt(int sig)
{
	(void) sig;
	exit(0);
}

static int client(const char *how)
{
	char buf[8];
	int  fd = FD(flow_alloc("exit", &(qosspec_t) { 0 }, &minute));

	IS(flow_write(fd, "last words", 10), 10);
	if (strcmp(how, "exit") == 0)
		return result();
	if (strcmp(how, "interrupt") == 0)
		signal(SIGALRM, interrupt);
	if (strcmp(how, "interrupt") == 0 || strcmp(how, "kill") == 0) {
		ualarm(20000, 0); /* without a handler it kills */
		flow_read(fd, buf, sizeof(buf));
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *how = argv[argc - 1];
	fset_t     *s;
	fqueue_t   *q;
	char        buf[16];
	pid_t       pid;
	int         fd, got = 0;

	if (argc > 2)
		return client(how);
	serve("exit");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "exit", "client", how, NULL);
		_exit(1);
	}
	fd = FD(flow_accept(NULL, &minute));
	IS(flow_read(fd, buf, sizeof(buf)), 10);
	s = fset_create();
	q = fqueue_create();
	IS(fset_add(s, fd), 0);
	while (!(got & (FLOW_DEALLOC | FLOW_DOWN)) && !failed) {
		IS(fevent(s, q, &minute), 1);
		while (fqueue_next(q) == fd)
			got |= fqueue_type(q);
	}
	/* Who exits deallocates; who is killed is noticed all the same. */
	if (strcmp(how, "exit") == 0 || strcmp(how, "interrupt") == 0)
		OK(got & FLOW_DEALLOC);
	IS(flow_read(fd, buf, sizeof(buf)), -EFLOWDOWN);
	waitpid(pid, NULL, 0);
	return result();
}
