/*
 * What other C modules can call of this one.
 *
 * Get it in your mod_init with dispatcher_load_api(); load dispatcher.so before your module.
 * The pointers stay valid until the server ends. Call them in the process that works on `msg`.
 * All four return a positive number for yes and a negative one for no or failure, never 0.
 */
#ifndef DISPATCHER_API_H
#define DISPATCHER_API_H

#include "sr_module.h"

/* What changes of the message: its destination URI, its R-URI, or nothing but the XAVPs. */
#define DISPATCHER_DST_URI 0
#define DISPATCHER_RURI 1
#define DISPATCHER_XAVP 2

/* State bits; 0 is active. */
#define DISPATCHER_INACTIVE 1
#define DISPATCHER_TRYING 2
#define DISPATCHER_DISABLED 4
#define DISPATCHER_PROBING 8

struct dispatcher_api {
	/* As ds_select_dst(set, alg) and its like, without a limit. */
	int (*select)(struct sip_msg *msg, int set, int alg, int mode);
	/* As ds_next_dst() and ds_next_domain(). */
	int (*next)(struct sip_msg *msg, int mode);
	/* As ds_mark_dst(), with state bits. */
	int (*mark)(struct sip_msg *msg, int state);
	/* As ds_is_from_list(set); -1 is any set. */
	int (*is_from)(struct sip_msg *msg, int set);
};

/* Fills the struct: 0, or -1 for NULL. */
typedef int (*bind_dispatcher_f)(struct dispatcher_api *api);

/* 0, or -1 when no dispatcher module is loaded before yours. */
static inline int dispatcher_load_api(struct dispatcher_api *api)
{
	bind_dispatcher_f bind = (bind_dispatcher_f)find_export("bind_dispatcher", 0, 0);

	return bind == NULL ? -1 : bind(api);
}

#endif
