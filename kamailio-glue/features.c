/*
 * Never linked into the module: build.rs compiles this file once for each TRY_NAME below, without
 * making code. Where that passes, C sees SERVER_HAS_NAME and Rust cfg(server_has = "name").
 * What follows from it stands in compat.h and in src/kamailio/server/compat.rs, and nowhere else.
 *
 * A test asks for the thing itself, never for a version number. What the preprocessor can see
 * (a header, a macro) needs no test here: compat.h asks for it directly.
 */
#include "compat.h"

#ifdef TRY_XAVP_INT
/* Where it is gone, a number in an XAVP is a long. Servers that have both use this one. */
#include "xavp.h"
int try_it(sr_xval_t *value)
{
	value->type = SR_XTYPE_INT;
	return value->v.i;
}
#endif

#ifdef TRY_XAVP_POINTER
/* From 5.2 on an XAVP can hold a pointer. */
#include "xavp.h"
void *try_it(sr_xval_t *value)
{
	value->type = SR_XTYPE_VPTR;
	return value->v.vptr;
}
#endif

#ifdef TRY_XAVU
/* Variables with one value each: from 5.4 on. */
#include "xavp.h"
void *try_it(void)
{
	return xavu_set_list(0);
}
#endif

#ifdef TRY_XAVI
/* XAVPs whose names know no case: from 5.4 on. */
#include "xavp.h"
void *try_it(void)
{
	return xavi_set_list(0);
}
#endif

#ifdef TRY_SOCKET_NAMES
/* Sockets have names from 5.4 on: `listen=... name "x"`. */
#include "socket_info.h"
void *try_it(str *name)
{
	return ksr_get_socket_by_name(name);
}
#endif

#ifdef TRY_PING_SOCKET_NAME
/* Requests of our own take such a name. */
#include "modules/tm/tm_load.h"
void try_it(uac_req_t *request)
{
	request->ssockname = 0;
}
#endif

#ifdef TRY_DB_UNSIGNED
/* Unsigned columns: from 5.2 on. */
#include "lib/srdb1/db.h"
unsigned long long try_it(db_val_t *value)
{
	return value->type == DB1_UINT ? value->val.uint_val : value->val.ull_val;
}
#endif

#ifdef TRY_MI
/* The management interface: up to 4.4. */
void *try_it(void)
{
	return init_mi_tree(200, 0, 0);
}
#endif
