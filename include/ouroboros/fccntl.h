/*
 * Flags and time-outs of flows. See fccntl(3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_FCCNTL_H
#define OUROBOROS_FCCNTL_H

#include <ouroboros/cdefs.h>

#include <sys/time.h>

/* Flags of a flow. Read-only is 0: whoever sets others adds FLOWFRDWR. */
#define FLOWFRDONLY   00000000
#define FLOWFWRONLY   00000001
#define FLOWFRDWR     00000002
#define FLOWFACCMODE  00000003
#define FLOWFDOWN     00000004 /* down, said by this side */
#define FLOWFRNOBLOCK 00001000 /* reads do not wait */
#define FLOWFWNOBLOCK 00002000 /* writes do not wait */
#define FLOWFNONBLOCK (FLOWFRNOBLOCK | FLOWFWNOBLOCK)
#define FLOWFRNOPART  00010000 /* no partial reads */
#define FLOWFWNOPART  00020000 /* no partial writes */
#define FLOWFDEFAULT  (FLOWFRDWR | FLOWFWNOPART)
#define FLOWFINVALID  (FLOWFWRONLY | FLOWFRDWR)

/* Flags of FRCP, the reliable transport of in-order flows. */
#define FRCTFRTX      00000001 /* retransmission; from the QoS, cannot be set */
#define FRCTFRESCNTL  00000002 /* obey the window of the peer */
#define FRCTFLINGER   00000004 /* what was written is delivered after the dealloc */

/* Commands of fccntl, with their argument. */
#define FLOWSRCVTIMEO 00000001 /* const struct timespec *; NULL = none */
#define FLOWGRCVTIMEO 00000002 /* struct timespec * */
#define FLOWSSNDTIMEO 00000003 /* const struct timespec *; NULL = none */
#define FLOWGSNDTIMEO 00000004 /* struct timespec * */
#define FLOWGQOSSPEC  00000005 /* qosspec_t * */
#define FLOWSFLAGS    00000006 /* uint32_t */
#define FLOWGFLAGS    00000007 /* uint32_t * */
#define FLOWGRXQLEN   00000010 /* size_t *; messages to be read */
#define FLOWGTXQLEN   00000011 /* size_t *; messages that the layer has not taken */
#define FRCTSFLAGS    00001000 /* uint16_t */
#define FRCTGFLAGS    00002000 /* uint16_t * */

__BEGIN_DECLS

int fccntl(int fd, int cmd, ...);

__END_DECLS

#endif
