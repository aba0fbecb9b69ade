/*
 * The quality of service that a flow is asked for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_QOS_H
#define OUROBOROS_QOS_H

#include <stdbool.h>
#include <stdint.h>

#define DEFAULT_PEER_TIMEOUT 120000

typedef struct qos_spec {
	uint32_t delay;        /* highest one-way delay, ms; UINT32_MAX = any */
	uint64_t bandwidth;    /* bit/s; 0 = any */
	uint8_t  availability; /* class of nines: 3 = 99.9 % */
	uint32_t loss;         /* 0 = nothing may be lost */
	uint32_t ber;          /* errors per 10^9 bits; 0 = a checksum on each packet */
	uint8_t  in_order;     /* 1 = in order: the flow runs FRCP */
	uint32_t max_gap;      /* longest gap, ms; UINT32_MAX = any */
	uint32_t timeout;      /* peer time-out, ms; 0 = none */
} qosspec_t;

/* Messages as they come: they may be lost, out of order and damaged. */
static const qosspec_t qos_raw = {
	UINT32_MAX, 0, 0, 1, 1, 0, UINT32_MAX, DEFAULT_PEER_TIMEOUT
};

/* As qos_raw, and damaged messages are dropped. */
static const qosspec_t qos_raw_no_errors = {
	UINT32_MAX, 0, 0, 1, 0, 0, UINT32_MAX, DEFAULT_PEER_TIMEOUT
};

/* In order; messages may be lost. */
static const qosspec_t qos_best_effort = {
	UINT32_MAX, 0, 0, 1, 0, 1, UINT32_MAX, DEFAULT_PEER_TIMEOUT
};

static const qosspec_t qos_video = {
	100, UINT64_MAX, 3, 1, 0, 1, 100, DEFAULT_PEER_TIMEOUT
};

static const qosspec_t qos_voice = {
	50, 100000, 5, 1, 0, 1, 50, DEFAULT_PEER_TIMEOUT
};

/* In order and complete. */
static const qosspec_t qos_data = {
	1000, 0, 0, 0, 0, 1, 2000, DEFAULT_PEER_TIMEOUT
};

#endif
