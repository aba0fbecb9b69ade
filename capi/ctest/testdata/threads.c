/* Many threads, cancelled threads, and calls that wait while a flow goes. */
#include "check.h"

#define MESSAGES 20000

static atomic_int      got, bad;
static atomic_uchar    seen[MESSAGES];
static atomic_int      waiting;

static void *reader(void *fd)
{
	for (;;) {
		int     i = -1;
		ssize_t n = flow_read(*(int *) fd, &i, sizeof(i) + 1);

		if (n < 0)
			return (void *) n;
		if (n != sizeof(i) || i < 0 || i >= MESSAGES || atomic_fetch_add(&seen[i], 1) != 0)
			bad++;
		got++;
	}
}

struct writer {
	int fd, from;
};

static void *writer(void *arg)
{
	struct writer *w = arg;

	for (int i = w->from; i < MESSAGES; i += 2)
		if (flow_write(w->fd, &i, sizeof(i)) != sizeof(i))
			bad++;
	return NULL;
}

/* Two readers and two writers on one flow: each message comes once. */
static void two_and_two(void)
{
	struct writer w[2];
	pthread_t     r[2], p[2];
	void         *end;
	int           a, b;

	pair("threads", &qos_data, &a, &b);
	for (int i = 0; i < 2; i++) {
		w[i] = (struct writer) { a, i };
		pthread_create(&r[i], NULL, reader, &b);
		pthread_create(&p[i], NULL, writer, &w[i]);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(p[i], NULL);
	flow_dealloc(a);
	for (int i = 0; i < 2; i++) {
		pthread_join(r[i], &end);
		IS((ssize_t) end, -EFLOWDOWN);
	}
	IS(got, MESSAGES);
	IS(bad, 0);
	flow_dealloc(b);
}

struct call {
	int   fd;
	void *set;
};

static void *read_once(void *c)
{
	char buf[8];

	waiting++;
	return (void *) flow_read(((struct call *) c)->fd, buf, sizeof(buf));
}

static void *write_full(void *c)
{
	char    buf[1000] = { 0 };
	ssize_t n;

	waiting++;
	while ((n = flow_write(((struct call *) c)->fd, buf, sizeof(buf))) > 0)
		;
	return (void *) n;
}

static void *accept_once(void *c)
{
	(void) c;
	waiting++;
	return (void *) (ssize_t) flow_accept(NULL, NULL);
}

static void *alloc_once(void *c)
{
	(void) c;
	waiting++;
	return (void *) (ssize_t) flow_alloc("threads", NULL, &minute); /* nobody accepts */
}

static void *event_once(void *c)
{
	fqueue_t *q = fqueue_create();

	waiting++;
	return (void *) fevent(((struct call *) c)->set, q, NULL); /* the queue goes with the process */
}

/* Runs f in a thread until it waits, as far as one can tell. */
static pthread_t wait_in(void *(*f)(void *), struct call *c)
{
	pthread_t t;
	int       before = waiting;

	pthread_create(&t, NULL, f, c);
	while (waiting == before)
		usleep(1000);
	usleep(20000);
	return t;
}

static void woken(void)
{
	struct call c;
	pthread_t   t;
	void       *end;
	int         a, b;

	/* By the end of the other side, and by that of this one. */
	pair("threads", NULL, &a, &b);
	c.fd = b;
	t    = wait_in(read_once, &c);
	flow_dealloc(a);
	pthread_join(t, &end);
	IS((ssize_t) end, -EFLOWDOWN);
	flow_dealloc(b);

	pair("threads", NULL, &a, &b);
	c.fd = b;
	t    = wait_in(read_once, &c);
	flow_dealloc(b);
	pthread_join(t, &end);
	IS((ssize_t) end, -ENOTALLOC);
	flow_dealloc(a);

	pair("threads", NULL, &a, &b);
	c.fd = a;
	t    = wait_in(write_full, &c);
	flow_dealloc(b);
	pthread_join(t, &end);
	IS((ssize_t) end, -EFLOWDOWN);
	flow_dealloc(a);

	/* By the end of the set. */
	c.set = fset_create();
	t     = wait_in(event_once, &c);
	fset_destroy(c.set);
	pthread_join(t, &end);
	IS((ssize_t) end, -EINVAL);

	/* By down. */
	pair("threads", NULL, &a, &b);
	c.fd = b;
	t    = wait_in(read_once, &c);
	set_flags(a, FLOWFDOWN);
	pthread_join(t, &end);
	IS((ssize_t) end, -EFLOWDOWN);
	flow_dealloc(a);
	flow_dealloc(b);
}

static void cancelled(void)
{
	void *(*calls[])(void *) = { read_once, write_full, accept_once, alloc_once, event_once };
	struct call c;
	void       *end;
	int         a, b, n;
	char        buf[2048];

	pair("threads", NULL, &a, &b);
	c.set = fset_create();
	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		pthread_t t;

		c.fd = a;
		t    = wait_in(calls[i], &c);
		pthread_cancel(t);
		pthread_join(t, &end);
		OK(end == PTHREAD_CANCELED);
	}
	/* All goes on: no lock is held, and no flow was lost. */
	set_flags(b, FLOWFRNOBLOCK | FLOWFRNOPART);
	for (n = 0; flow_read(b, buf, sizeof(buf)) > 0; n++)
		;
	OK(n > 0);
	IS(flow_write(b, "x", 1), 1);
	IS(flow_read(a, buf, sizeof(buf)), 1);
	flow_dealloc(a);
	flow_dealloc(b);
	pair("threads", NULL, &a, &b);
	IS(a + b, 64 + 65);
	flow_dealloc(a);
	flow_dealloc(b);
	fset_destroy(c.set);
}

static void *alloc_and_talk(void *arg)
{
	char buf[8];
	int  fd = FD(flow_alloc("threads", NULL, &minute));

	(void) arg;
	IS(flow_write(fd, "ping", 4), 4);
	IS(flow_read(fd, buf, 8), 4);
	IS(flow_dealloc(fd), 0);
	return NULL;
}

static void *serve_one(void *arg)
{
	char buf[8];
	int  fd = FD(flow_accept(NULL, &minute));

	(void) arg;
	IS(flow_read(fd, buf, 8), 4);
	IS(flow_write(fd, buf, 4), 4);
	IS(flow_read(fd, buf, 8), -EFLOWDOWN);
	IS(flow_dealloc(fd), 0);
	return NULL;
}

/* As many accepts as allocations: all succeed. */
static void parallel(void)
{
	pthread_t c[20], s[20];

	for (int i = 0; i < 20; i++) {
		pthread_create(&s[i], NULL, serve_one, NULL);
		pthread_create(&c[i], NULL, alloc_and_talk, NULL);
	}
	for (int i = 0; i < 20; i++) {
		pthread_join(s[i], NULL);
		pthread_join(c[i], NULL);
	}
}

/* A thread that ends gives back what the library keeps for it. */
static void many_threads(void)
{
	struct call c;
	pthread_t   t;
	int         a, b, before, after;

	pair("threads", NULL, &a, &b);
	c.fd   = b;
	before = dup(0);
	close(before);
	for (int i = 0; i < 200; i++) {
		pthread_create(&t, NULL, read_once, &c);
		IS(flow_write(a, "x", 1), 1);
		pthread_join(t, NULL);
	}
	after = dup(0);
	close(after);
	OK(after <= before + 8);
	flow_dealloc(a);
	flow_dealloc(b);
}

int main(void)
{
	serve("threads");
	two_and_two();
	woken();
	cancelled();
	parallel();
	many_threads();
	return result();
}
