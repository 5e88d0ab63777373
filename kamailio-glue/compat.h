/*
 * The one place in C for what differs between the versions of the server. Included first by every
 * file of the glue; see doc/dev/versions.md for the list of differences.
 *
 * By feature, never by version number: SERVER_HAS_NAME comes from features.c.
 */
#ifndef DISPATCHER_COMPAT_H
#define DISPATCHER_COMPAT_H

/* Always first: mem/q_malloc.h before ver_defs.h would change SER_COMPILE_FLAGS. */
#include "sr_module.h"

#include "dprint.h"

/* ---- what a header of its own shows ---- */

/* Scripts in other languages: from 5.0 on. */
#if __has_include("kemi.h")
#define SERVER_HAS_KEMI
#include "kemi.h"
#endif

/* The management interface: up to 4.4. Its functions are in a library of their own. Rust asks as
   well, so the name SERVER_HAS_MI comes from features.c. */
#if __has_include("lib/kmi/mi.h")
#include "lib/kmi/mi.h"
#endif

/* The server's choice of a generator; 4.x uses the one of the C library. */
#if __has_include("rand/kam_rand.h")
#include "rand/kam_rand.h"
#else
#include <stdlib.h>
#define kam_rand() rand()
#define KAM_RAND_MAX RAND_MAX
#endif

/* Unique ids: in a library of their own in 4.x. */
#if __has_include("utils/sruid.h")
#include "utils/sruid.h"
#else
#include "lib/srutils/sruid.h"
#endif

/* ---- what a macro shows ---- */

#ifndef VERSIONVAL
#define VERSIONVAL SER_VER
#endif

/* The log line with a function's name that is not the compiler's: from 5.4 on. */
#ifndef LOG_FX
#define LOG_FX(facility, level, lname, prefix, func, fmt, args...) \
	LOG__(facility, level, lname, prefix, "%s%s" fmt, (func) != NULL ? (func) : "", \
			(func) != NULL ? "(): " : "", ##args)
#endif

/* ---- what only a compiler can tell (features.c) ---- */

/* Not yet while they are asked for. */
#ifdef SERVER_FEATURES_KNOWN

/* Variables of the interrupted script that this version does not have: nothing to put aside. */
#ifndef SERVER_HAS_XAVU
#define xavu_set_list(list) NULL
#endif
#ifndef SERVER_HAS_XAVI
#define xavi_set_list(list) NULL
#endif

/* Names of sockets: from 5.4 on. */
#ifndef SERVER_HAS_SOCKET_NAMES
#define ksr_get_socket_by_name(name) NULL
#endif

/* Of requests of our own, likewise. */
#ifdef SERVER_HAS_PING_SOCKET_NAME
#define set_socket_name(request, name) \
	((request)->ssockname = (name)->len > 0 ? (name) : (request)->ssockname)
#else
#define set_socket_name(request, name) ((void)(name))
#endif

#endif /* SERVER_FEATURES_KNOWN */

/* ---- exports ---- */

/* The name that the loader reads: `module_exports` is a macro in 4.x. */
typedef struct module_exports glue_exports_t;
typedef cmd_export_t glue_command_t;

#ifdef SERVER_HAS_MI
#define EXPORTS_PVS items
#define EXPORTS_INIT init_f
#define EXPORTS_DESTROY destroy_f
#else
#define EXPORTS_PVS pv_items
#define EXPORTS_INIT init_mod_f
#define EXPORTS_DESTROY destroy_mod_f
#endif

#endif
