/*
 * What a message costs a C program: two processes and a flow between them,
 * beside the same two and a Unix SEQPACKET socket pair. See make bench-c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#define _GNU_SOURCE
#include <ouroboros/dev.h>
#include <ouroboros/irm.h>
#include <ouroboros/ouro.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRIPS   50000
#define SECONDS 1.0

/* A way to send messages. */
struct way {
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*read)(int, void *, size_t);
	int fd;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *) a - *(const double *) b;

	return d < 0 ? -1 : d > 0;
}

/* Round trips of 64 bytes: median and 99th percentile in microseconds. */
static void trips(struct way *w, double *median, double *p99)
{
	static double took[TRIPS];
	char          buf[128] = { 0 };

	for (int i = 0; i < TRIPS; i++) {
		double begun = now();

		if (w->write(w->fd, buf, 64) != 64 || w->read(w->fd, buf, sizeof(buf)) != 64)
			exit(1);
		took[i] = (now() - begun) * 1e6;
	}
	qsort(took, TRIPS, sizeof(*took), compare);
	*median = took[TRIPS / 2];
	*p99    = took[TRIPS / 100 * 99];
}

static void answer(struct way *w)
{
	char buf[2048];

	for (int i = 0; i < TRIPS; i++) {
		if (w->read(w->fd, buf, sizeof(buf)) != 64 || w->write(w->fd, buf, 64) != 64)
			exit(1);
	}
}

/* Messages a second, as the reader counts them. */
static void send_all(struct way *w, size_t size)
{
	static char buf[65536];
	double      end = now() + SECONDS;

	while (now() < end)
		for (int i = 0; i < 64; i++)
			if (w->write(w->fd, buf, size) != (ssize_t) size)
				exit(1);
	w->write(w->fd, buf, 1);
}

static double count_all(struct way *w, size_t size)
{
	static char buf[65536 + 1];
	double      begun = 0;
	long        n     = 0;
	ssize_t     got;

	while ((got = w->read(w->fd, buf, sizeof(buf))) == (ssize_t) size)
		if (n++ == 0)
			begun = now();
	if (got != 1)
		exit(1);
	return n / (now() - begun);
}

static const size_t sizes[] = { 64, 1400, 16384 };

static void measure(struct way *w, const char *what)
{
	double median, p99, rate;

	trips(w, &median, &p99);
	printf("%s: round trip 64 B, median %.2f us, p99 %.2f us\n", what, median, p99);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		rate = count_all(w, sizes[i]);
		printf("%s: one way %zu B, %.2f million/s, %.2f GB/s\n", what, sizes[i], rate / 1e6, rate * sizes[i] / 1e9);
	}
}

static void serve(struct way *w)
{
	answer(w);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		send_all(w, sizes[i]);
}

static ssize_t socket_write(int fd, const void *buf, size_t n) { return write(fd, buf, n); }
static ssize_t socket_read(int fd, void *buf, size_t n) { return read(fd, buf, n); }

int main(void)
{
	struct way way = { socket_write, socket_read, 0 };
	char       ready;
	int        pair[2], told[2];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || pipe(told) < 0)
		return 1;
	if (fork() == 0) {
		way.fd = pair[1];
		serve(&way);

		way = (struct way) { flow_write, flow_read, 0 };
		if (irm_bind_process(getpid(), "bench") < 0 || write(told[1], "", 1) != 1)
			return 1;
		way.fd = flow_accept(NULL, NULL);
		serve(&way);
		flow_read(way.fd, &ready, 1); /* until the other side has read it all */
		return 0;
	}
	way.fd = pair[0];
	measure(&way, "socket");
	if (read(told[0], &ready, 1) != 1)
		return 1;
	way = (struct way) { flow_write, flow_read, flow_alloc("bench", NULL, NULL) };
	if (way.fd < 0) {
		fprintf(stderr, "%s\n", ouro_strerror(way.fd));
		return 1;
	}
	measure(&way, "flow");
	flow_dealloc(way.fd);
	wait(NULL);
	return 0;
}
