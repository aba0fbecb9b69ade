/* As many flows as a process can have. */
#include "check.h"

#define FLOWS 4032

static int count;

static void *accepts(void *arg)
{
	int fd;

	(void) arg;
	while ((fd = flow_accept(NULL, &minute)) >= 0)
		count++;
	return (void *) (ssize_t) fd;
}

int main(void)
{
	pthread_t t;
	void     *end;
	int       fd, n = 0, highest = 0;

	serve("limits");
	pthread_create(&t, NULL, accepts, NULL);
	/* Both ends are here: half of the descriptors are those of the other. */
	while (n < FLOWS && (fd = flow_alloc("limits", NULL, &minute)) >= 0) {
		n++;
		if (fd > highest)
			highest = fd;
	}
	pthread_join(t, &end);
	OK((ssize_t) end == -EBADF || fd == -EBADF);
	/* Who asked last may have got the only one that was left. */
	OK(n + count == FLOWS || n + count == FLOWS - 1);
	OK(highest >= 4093 && highest < 4096);
	for (fd = 64; fd < 4096; fd++)
		flow_dealloc(fd);
	fd = FD(ouro_accept_start(&minute));
	IS(FD(flow_alloc("limits", NULL, &minute)) <= 65, 1);
	readable(fd);
	FD(ouro_finish(fd, NULL));
	return result();
}
