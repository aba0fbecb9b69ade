/* Flow sets and their events. */
#include "check.h"

static int next(fqueue_t *q, int type)
{
	int fd = fqueue_next(q);

	IS(fqueue_type(q), type);
	return fd;
}

int main(void)
{
	fset_t   *s, *other, *many[40];
	fqueue_t *q = fqueue_create(), *fresh;
	char      buf[16];
	int       a, b, c, d, n;

	serve("events");
	s = fset_create();
	OK(s != NULL && q != NULL);

	IS(fevent(NULL, q, &at_once), -EINVAL);
	IS(fevent(s, NULL, &at_once), -EINVAL);
	IS(fevent(s, q, &at_once), -ETIMEDOUT);
	IS(fevent(s, q, &soon), -ETIMEDOUT);
	IS(fqueue_next(NULL), -EINVAL);
	IS((int) fqueue_type(NULL), -EINVAL);
	IS(fqueue_next(q), -EPERM);
	IS((int) fqueue_type(q), -EPERM);
	fset_destroy(NULL);
	fqueue_destroy(NULL);

	IS(fset_add(NULL, 64), -EINVAL);
	IS(fset_add(s, 64), -EINVAL);
	IS(fset_add(s, -1), -EINVAL);
	IS(fset_add(s, 5000), -EINVAL);
	OK(!fset_has(NULL, 64));
	OK(!fset_has(s, -1));

	/* Unread messages are one event when a flow is added, then one each. */
	pair("events", NULL, &a, &b);
	set_flags(b, FLOWFNONBLOCK);
	for (n = 0; n < 3; n++)
		IS(flow_write(a, "x", 1), 1);
	IS(fset_add(s, b), 0);
	IS(fset_add(s, b), -EPERM);
	other = fset_create();
	IS(fset_add(other, b), -EPERM);
	OK(fset_has(s, b) && !fset_has(other, b) && !fset_has(s, a));
	IS(fevent(s, q, NULL), 1);
	IS(next(q, FLOW_PKT), b);
	IS(fqueue_next(q), -EPERM);
	IS(fqueue_type(q), FLOW_PKT); /* keeps answering */
	for (n = 0; n < 3; n++)
		IS(flow_read(b, buf, 16), 1);
	IS(flow_read(b, buf, 16), -EAGAIN);
	IS(fevent(s, q, &at_once), -ETIMEDOUT);
	/* What was written before a poll is not missed. */
	for (n = 0; n < 5000 && !failed; n++) {
		IS(flow_write(a, "x", 1), 1);
		IS(fevent(s, q, &at_once), 1);
		IS(next(q, FLOW_PKT), b);
		IS(flow_read(b, buf, 16), 1);
	}
	IS(fevent(s, q, &at_once), -ETIMEDOUT);
	for (n = 0; n < 5; n++)
		IS(flow_write(a, "x", 1), 1);
	for (n = 0; n < 5; n++) {
		IS(fevent(s, q, &minute), 1); /* while events are left it is at once */
		IS(next(q, FLOW_PKT), b);
	}
	IS(fevent(s, q, &at_once), -ETIMEDOUT);
	while (flow_read(b, buf, 16) > 0)
		;

	/* More events than fit. None is lost. */
	for (n = 0; n < 5000; n++)
		IS(flow_write(a, "x", 1), 1);
	for (n = 0; n < 5000; n++) {
		IS(fevent(s, q, &minute), 1);
		IS(next(q, FLOW_PKT), b);
	}
	IS(fevent(s, q, &at_once), -ETIMEDOUT);
	while (flow_read(b, buf, 16) > 0)
		;

	/* Down, up, and the end. */
	IS(fccntl(a, FLOWSFLAGS, FLOWFDEFAULT | FLOWFDOWN), 0);
	IS(fevent(s, q, &minute), 1);
	IS(next(q, FLOW_DOWN), b);
	IS(fccntl(a, FLOWSFLAGS, FLOWFDEFAULT), 0);
	IS(fevent(s, q, &minute), 1);
	IS(next(q, FLOW_UP), b);
	IS(flow_write(a, "last", 4), 4);
	IS(flow_dealloc(a), 0);
	IS(fevent(s, q, &minute), 1);
	IS(next(q, FLOW_PKT), b);
	for (n = 0; n == 0;) {
		IS(fevent(s, q, &minute), 1);
		c = fqueue_next(q);
		if (c != b || fqueue_type(q) == FLOW_DEALLOC)
			n = 1;
	}
	IS(c, b);
	IS(flow_read(b, buf, 16), 4);
	IS(flow_read(b, buf, 16), -EFLOWDOWN);
	IS(flow_dealloc(b), 0);
	OK(!fset_has(s, b));

	/* An event of a flow that was deallocated since is not given, nor is it
	 * taken for one of the next flow with the number. */
	pair("events", NULL, &a, &b);
	IS(fset_add(s, b), 0);
	IS(flow_write(a, "x", 1), 1);
	IS(fevent(s, q, &minute), 1);
	IS(flow_dealloc(b), 0);
	IS(flow_dealloc(a), 0);
	pair("events", NULL, &c, &d);
	IS(fqueue_next(q), -EPERM);
	OK(!fset_has(s, c) && !fset_has(s, d));
	IS(fset_add(s, d), 0);

	/* Taken out, and all taken out with what is pending. */
	fset_del(s, d);
	OK(!fset_has(s, d));
	IS(flow_write(c, "x", 1), 1);
	IS(fevent(s, q, &at_once), -ETIMEDOUT);
	IS(fset_add(s, d), 0);
	fset_zero(s);
	OK(!fset_has(s, d));
	IS(fevent(s, q, &at_once), -ETIMEDOUT);
	IS(fset_add(other, d), 0);
	IS(fevent(other, q, &minute), 1); /* a queue serves many sets */
	IS(next(q, FLOW_PKT), d);
	fset_destroy(other);
	IS(fset_add(s, d), 0);

	/* A set that is destroyed with pending events. */
	fset_destroy(s);
	fresh = fqueue_create();
	IS((int) fqueue_type(fresh), -EPERM);
	fqueue_destroy(fresh);

	/* There are 31. */
	for (n = 0; n < 40 && (many[n] = fset_create()) != NULL; n++)
		;
	IS(n, 31);
	OK(strstr(ouro_strerror(-ENOBUFS), "31") != NULL);
	while (n > 0)
		fset_destroy(many[--n]);
	s = fset_create();
	OK(s != NULL);
	fset_destroy(s);
	flow_dealloc(c);
	flow_dealloc(d);
	fqueue_destroy(q);
	return result();
}
