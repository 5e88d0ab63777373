/*
 * The one place in C for what differs between the versions of the server. Included first by every
 * file of the glue; see doc/versions.md for the list of differences.
 *
 * By feature, never by version number: SERVER_HAS_NAME comes from features.c.
 */
#ifndef DISPATCHER_COMPAT_H
#define DISPATCHER_COMPAT_H

/* Always first: mem/q_malloc.h before ver_defs.h would change SER_COMPILE_FLAGS. */
#include "sr_module.h"

#endif
