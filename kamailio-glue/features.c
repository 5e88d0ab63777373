/*
 * Never linked into the module: build.rs compiles this file once for each TRY_NAME below, without
 * making code. Where that passes, C sees SERVER_HAS_NAME and Rust cfg(server_has = "name").
 * What follows from it stands in compat.h and in src/kamailio/compat.rs, and nowhere else.
 *
 * A test asks for the thing itself, never for a version number. What the preprocessor can see
 * (a header, a macro) needs no test here: compat.h asks for it directly.
 */
#include "compat.h"

#ifdef TRY_XAVP_INT
/* From 6.0 on a number in an XAVP is a long, with another name and another type tag. Older ones
   have longs as well, but do not take them for numbers. */
#include "xavp.h"
int try_it(sr_xval_t *value)
{
	value->type = SR_XTYPE_INT;
	return value->v.i;
}
#endif
