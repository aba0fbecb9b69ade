/*
 * Names. See irm_create_name(3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef OUROBOROS_NAME_H
#define OUROBOROS_NAME_H

#define NAME_SIZE      255
#define NAME_PATH_SIZE (NAME_SIZE + 256)
#define BIND_AUTO      0x01 /* start the program when a flow arrives */

/* Which process gets the next flow to a name. */
enum pol_balance {
	LB_RR      = 0, /* each in turn */
	LB_SPILL   = 1, /* the one that accepted last, while it accepts */
	LB_INVALID = 2
};

/* Security files of one side; empty means the place that the daemon has. */
struct name_sec_paths {
	char enc[NAME_PATH_SIZE + 1];
	char key[NAME_PATH_SIZE + 1];
	char crt[NAME_PATH_SIZE + 1];
};

struct name_info {
	char                  name[NAME_SIZE + 1];
	enum pol_balance      pol_lb;
	struct name_sec_paths s; /* of the server */
	struct name_sec_paths c; /* of the client */
};

#endif
