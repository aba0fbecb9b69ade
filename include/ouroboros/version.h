/*
 * The version of the interface that this library has.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_VERSION_H
#define OUROBOROS_VERSION_H

#define OUROBOROS_VERSION_MAJOR 0
#define OUROBOROS_VERSION_MINOR 23
#define OUROBOROS_VERSION_PATCH 0
#define OUROBOROS_VERSION_STRING "0.23.0"

#endif
