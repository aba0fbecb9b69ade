/* The signals of a program are its own. */
#include "check.h"

#include <dirent.h>
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

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	sigaction(sig, &sa, NULL);
}

static int a, b;

/* A child that sends signals to the whole process: the kernel gives them to any
 * thread that does not block them. */
static const int sent[] = { SIGUSR1, SIGCHLD, SIGURG, SIGWINCH, SIGSTKFLT, 34 };

enum { SENT = sizeof(sent) / sizeof(sent[0]) };

static pid_t sender(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		while (getppid() == parent) {
			for (int i = 0; i < SENT; i++)
				kill(parent, sent[i]);
			usleep(100);
		}
		_exit(0);
	}
	return pid;
}

/* Handlers set before and after the first call, without a stack of their own,
 * while messages go to and fro, and calls go to Go. */
static void storm(void)
{
	struct itimerval every = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	char             buf[2000];
	pid_t            pid;

	handle(SIGALRM, 0);
	handle(SIGPROF, SA_RESTART);
	for (int i = 0; i < SENT; i++)
		handle(sent[i], 0);
	pid = sender();
	setitimer(ITIMER_REAL, &every, NULL);
	setitimer(ITIMER_PROF, &every, NULL);
	for (int i = 0; i < 20000 || count[SIGALRM] < 200 || count[SIGPROF] < 20; i++) {
		IS(flow_write(a, buf, 1000), 1000);
		IS(flow_read(b, buf, 2000), 1000);
		if (i % 10 == 0)
			IS(fccntl(b, FLOWSRCVTIMEO, &minute), 0);
		if (i % 100 == 0)
			IS(flow_accept(NULL, &at_once), -ETIMEDOUT);
		raise(SIGUSR1);
		if (failed)
			break;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	setitimer(ITIMER_PROF, &never, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	OK(count[SIGUSR1] >= 20000);
	for (int i = 0; i < SENT; i++)
		OK(count[sent[i]] > 0);
	IS(fccntl(b, FLOWSRCVTIMEO, NULL), 0);
}

/* What the threads of the library block: all but the faults, and the signals
 * that the C library keeps for itself. */
static void masks(void)
{
	DIR           *dir  = opendir("/proc/self/task");
	sigset_t       all;
	struct dirent *e;
	int            threads = 0;

	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGTRAP);
	OK(dir != NULL);
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		unsigned long long blocked = 0;
		char               path[64], line[256];
		FILE              *f;

		if (e->d_name[0] == '.' || atoi(e->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", e->d_name);
		f = fopen(path, "r");
		while (f != NULL && fgets(line, sizeof(line), f) != NULL)
			if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
				threads++;
		if (f != NULL)
			fclose(f);
		for (int sig = 1; sig <= 64; sig++)
			if (sigismember(&all, sig) == 1 && !(blocked >> (sig - 1) & 1)) {
				printf("thread %s does not block signal %d\n", e->d_name, sig);
				failed = 1;
			}
	}
	if (dir != NULL)
		closedir(dir);
	OK(threads >= 3);
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
	masks();
	storm();
	masks();
	handle(SIGUSR2, 0);
	raise(SIGUSR2);
	IS(count[SIGUSR2], 1);
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
