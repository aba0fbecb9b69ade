/* Forks before and after the first call. */
#include "check.h"

#include <sys/wait.h>

static int child(int (*f)(void))
{
	int   status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(60); /* a child that hangs is killed */
		exit(f());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A daemon forks, and uses the network in the child. */
static int uses(void)
{
	IS(flow_accept(NULL, &at_once), -ETIMEDOUT);
	IS(irm_bind_process(getpid(), "child"), 0);
	return result();
}

static int a, b;

static int refused(void)
{
	struct ipcp_list_info *list;
	char                   buf[8];
	fqueue_t              *q;

	IS(flow_read(a, buf, 8), -EBADF);
	IS(flow_write(a, buf, 8), -EBADF);
	IS(flow_dealloc(a), -EBADF);
	IS(flow_alloc("x", NULL, NULL), -EBADF);
	IS(flow_accept(NULL, NULL), -EBADF);
	IS(flow_join("x", NULL), -EBADF);
	IS(fccntl(a, FLOWSFLAGS, FLOWFDEFAULT), -EBADF);
	IS(irm_list_ipcps(&list), -EBADF);
	IS(irm_destroy_name("x"), -EBADF);
	IS(ouro_accept_start(NULL), -EBADF);
	OK(fset_create() == NULL);
	q = fqueue_create();
	IS(fqueue_next(q), -EPERM);
	fqueue_destroy(q);
	OK(strstr(ouro_strerror(-EBADF), "fork") != NULL);
	return result();
}

/* A program that is executed has the network again. */
static int executes(void)
{
	execl("/proc/self/exe", "fork", "again", NULL);
	return 1;
}

int main(int argc, char **argv)
{
	char buf[8];

	(void) argv;
	if (argc > 1) {
		IS(flow_accept(NULL, &at_once), -ETIMEDOUT);
		return result();
	}
	IS(child(uses), 0);
	serve("fork");
	pair("fork", NULL, &a, &b);
	IS(child(refused), 0);
	IS(child(executes), 0);
	/* The flow of the parent is as it was: the exit of a child is not its end. */
	IS(flow_write(a, "hello", 5), 5);
	IS(flow_read(b, buf, 8), 5);
	return result();
}
