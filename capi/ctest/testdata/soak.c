/* soak ROUNDS: allocate, write, read, deallocate; the memory stays what it is. */
#include "check.h"

static long resident(void)
{
	char  line[200];
	long  kb = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "VmRSS: %ld", &kb);
	fclose(f);
	return kb;
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += dup2(fd, fd) == fd;
	return n;
}

static atomic_int over;

static void *server(void *arg)
{
	char buf[2000];

	(void) arg;
	while (!over) {
		ssize_t n;
		int     fd = flow_accept(NULL, &minute);

		if (fd < 0)
			break;
		while ((n = flow_read(fd, buf, sizeof(buf))) > 0)
			flow_write(fd, buf, n);
		flow_dealloc(fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int       rounds = argc > 1 ? atoi(argv[1]) : 2000, fds = 0;
	long      before = 0, after;
	char      buf[1000];
	pthread_t t;

	serve("soak");
	pthread_create(&t, NULL, server, NULL);
	for (int i = 0; i < rounds && !failed; i++) {
		int fd = FD(flow_alloc("soak", i % 2 ? &(qosspec_t) { 0 } : NULL, &minute));

		if (i == rounds / 4) {
			before = resident();
			fds    = descriptors();
		}
		memset(buf, i, sizeof(buf));
		IS(flow_write(fd, buf, 1 + i % 900), 1 + i % 900);
		IS(flow_read(fd, buf, sizeof(buf)), 1 + i % 900);
		if (i == rounds - 1)
			over = 1;
		IS(flow_dealloc(fd), 0);
	}
	pthread_join(t, NULL);
	after = resident();
	if (after > before + before / 4 + 4096) {
		printf("resident: %ld kB after a quarter of the rounds, %ld kB at the end\n", before, after);
		failed = 1;
	}
	if (descriptors() > fds + 4) {
		printf("descriptors: %d, then %d\n", fds, descriptors());
		failed = 1;
	}
	return result();
}
