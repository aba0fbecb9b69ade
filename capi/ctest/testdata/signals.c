/* The signals of a program are its own. */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile sig_atomic_t count[65];
static pthread_t             main_thread;
static volatile sig_atomic_t elsewhere; /* a handler ran in a thread of the library */

/* More stack than a goroutine has. */
static void handler(int sig)
{
	volatile char room[64 * 1024];

	for (unsigned i = 0; i < sizeof(room); i += 512)
		room[i] = sig;
	count[sig]++;
	if (!pthread_equal(pthread_self(), main_thread))
		elsewhere++;
}

/* This one comes to the threads of the library, too, on a stack of theirs. */
static void profile(int sig)
{
	count[sig]++;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = sig == SIGPROF ? profile : handler, .sa_flags = flags };

	sigaction(sig, &sa, NULL);
}

static int a, b;

/* Handlers set before and after the first call, without a stack of their own,
 * while messages go to and fro. */
static void storm(void)
{
	struct itimerval every = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	char             buf[2000];

	handle(SIGALRM, 0);
	handle(SIGPROF, SA_RESTART);
	IS(flow_accept(NULL, &soon), -ETIMEDOUT); /* from now on it has the stack that it needs */
	setitimer(ITIMER_REAL, &every, NULL);
	setitimer(ITIMER_PROF, &every, NULL);
	for (int i = 0; i < 20000 || count[SIGALRM] < 200 || count[SIGPROF] < 20; i++) {
		IS(flow_write(a, buf, 1000), 1000);
		IS(flow_read(b, buf, 2000), 1000);
		raise(SIGUSR1);
		if (failed)
			break;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	setitimer(ITIMER_PROF, &never, NULL);
	OK(count[SIGUSR1] >= 20000);
}

/* No call ends with EINTR, and a time-out stays what it is. */
static void restarted(void)
{
	struct itimerval every = { { 0, 5000 }, { 0, 5000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct timespec  t = { 0, 200 * 1000 * 1000 }, before, after;
	char             buf[8];

	IS(fccntl(b, FLOWSRCVTIMEO, &t), 0);
	setitimer(ITIMER_REAL, &every, NULL);
	clock_gettime(CLOCK_MONOTONIC, &before);
	IS(flow_read(b, buf, 8), -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &after);
	IS(flow_accept(NULL, &t), -ETIMEDOUT);
	setitimer(ITIMER_REAL, &never, NULL);
	OK((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 199);
	IS(fccntl(b, FLOWSRCVTIMEO, NULL), 0);
}

/* An interpreter may end a call after a signal. */
static int asked;

static int ask(void)
{
	asked++;
	return count[SIGALRM] > 0;
}

static void interrupted(void)
{
	struct itimerval once = { { 0, 0 }, { 0, 20000 } };
	fset_t          *s = fset_create();
	fqueue_t        *q = fqueue_create();
	char             buf[8];

	ouro_on_interrupt(ask);
	for (int i = 0; i < 4; i++) {
		count[SIGALRM] = 0;
		setitimer(ITIMER_REAL, &once, NULL);
		switch (i) {
		case 0:
			IS(flow_read(b, buf, 8), -EINTR);
			break;
		case 1:
			IS(flow_accept(NULL, NULL), -EINTR);
			break;
		case 2:
			IS(flow_alloc("signals", NULL, &minute), -EINTR);
			break;
		case 3:
			IS(fevent(s, q, NULL), -EINTR);
			break;
		}
	}
	OK(asked >= 4);
	ouro_on_interrupt(NULL);
	IS(flow_write(a, "x", 1), 1);
	IS(flow_read(b, buf, 8), 1);
	fset_destroy(s);
	fqueue_destroy(q);
}

/* SIGPIPE ends a program that has no handler, as it did. */
static void broken_pipe(void)
{
	struct sigaction sa;
	int              fds[2];
	sigset_t         set;
	struct timespec  none = { 0, 0 };

	sigaction(SIGPIPE, NULL, &sa);
	OK(sa.sa_handler == SIG_DFL);
	sigaction(SIGINT, NULL, &sa);
	OK(sa.sa_handler == SIG_DFL);
	IS(pipe(fds), 0);
	close(fds[0]);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	IS(write(fds[1], "x", 1), -1);
	IS(sigtimedwait(&set, NULL, &none), SIGPIPE);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	close(fds[1]);
}

/* A fault in C goes to the handler of the program. */
static sigjmp_buf jump;

static void fault(int sig)
{
	siglongjmp(jump, sig);
}

static void faults(void)
{
	struct sigaction sa = { .sa_handler = fault }, old;

	sigaction(SIGSEGV, &sa, &old);
	if (sigsetjmp(jump, 1) == 0) {
		*(volatile int *) 8 = 1;
		OK(!"a fault goes by");
	}
	sigaction(SIGSEGV, &old, NULL);
}

/* A process that blocks a signal in all its threads gets it by sigwait. */
static void waited_for(void)
{
	struct timespec t = { 10, 0 };
	sigset_t        set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 50; i++) {
		kill(getpid(), SIGTERM);
		IS(sigtimedwait(&set, NULL, &t), SIGTERM);
	}
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* A handler that exits while a call waits. */
static void leave_by_handler(int sig)
{
	(void) sig;
	exit(7);
}

static int exits(void)
{
	struct sigaction sa = { .sa_handler = leave_by_handler };
	char             buf[8];
	int              c, d;

	sigaction(SIGALRM, &sa, NULL);
	serve("signals");
	pair("signals", NULL, &c, &d);
	ualarm(50000, 0);
	flow_read(d, buf, 8);
	return 1;
}

int main(int argc, char **argv)
{
	char    buf[8];
	int     status;
	pid_t   pid;

	(void) argv;
	if (argc > 1)
		return exits();
	main_thread = pthread_self();
	handle(SIGUSR1, 0);
	serve("signals");
	pair("signals", NULL, &a, &b);
	storm();
	handle(SIGUSR2, 0);
	raise(SIGUSR2);
	IS(count[SIGUSR2], 1);
	handle(SIGURG, 0);
	raise(SIGURG);
	OK(count[SIGURG] >= 1);
	restarted();
	interrupted();
	broken_pipe();
	faults();
	waited_for();
	IS(elsewhere, 0);
	IS(flow_write(a, "end", 3), 3);
	IS(flow_read(b, buf, 8), 3);
	flow_dealloc(a);
	flow_dealloc(b);

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "signals", "exits", NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	OK(WIFEXITED(status));
	IS(WEXITSTATUS(status), 7);
	return result();
}
