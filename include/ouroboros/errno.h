/*
 * Numbers of errors. Calls return them negative; the variable errno is not used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_ERRNO_H
#define OUROBOROS_ERRNO_H

#include <errno.h>

#define ENOTALLOC  1000 /* the flow descriptor is not allocated */
#define EIPCPTYPE  1001 /* there is no such type of IPCP */
#define EIRMD      1002 /* the IRM daemon cannot be reached */
#define EIPCP      1003 /* no IPCP for this, or the IPCP failed */
#define EIPCPSTATE 1004 /* the IPCP is in the wrong state */
#define EFLOWDOWN  1005 /* the flow is down */
#define EFLOWPEER  1006 /* the peer timed out */
#define ENAME      1007 /* the name is unknown */
#define ECRYPT     1008 /* encryption failed */
#ifndef EAUTH
#define EAUTH      1009 /* authentication failed */
#endif

#endif
