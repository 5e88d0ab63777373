/*
 * Event routes: what the server offers only as macros, or in structs with a jump buffer.
 */
#include <string.h>

#include "compat.h"
#include "action.h"
#include "pvar.h"
#include "route.h"
#include "dispatcher_glue.h"

/* The list of routes is a struct of the parser; a route may be named and not be defined. */
int glue_event_route(char *name)
{
	int at = route_lookup(&event_rt, name);

	return (at >= 0 && event_rt.rlist[at] != NULL) ? at : -1;
}

/* Macro, and a struct with a jump buffer: `exit` in the route ends here. */
void glue_run_event_route(int route, struct sip_msg *msg)
{
	struct run_act_ctx ctx;

	init_run_actions_ctx(&ctx);
	run_top_route(event_rt.rlist[route], msg, &ctx);
}

/* A struct with a jump buffer: `exit` in the function of a KEMI script ends here. */
int glue_run_event_function(str *function, str *event, struct sip_msg *msg)
{
#ifdef SERVER_HAS_KEMI
	sr_kemi_eng_t *engine = sr_kemi_eng_get();
	struct run_act_ctx *outer;
	struct run_act_ctx ctx;
	int done;

	if(engine == NULL)
		return -1;
	init_run_actions_ctx(&ctx);
	outer = sr_kemi_act_ctx_get();
	sr_kemi_act_ctx_set(&ctx);
	done = sr_kemi_route(engine, msg, EVENT_ROUTE, function, event);
	sr_kemi_act_ctx_set(outer);
	return done < 0 ? -2 : 0;
#else
	return -1;
#endif
}

/* Table: pseudo-variables; the name in the parentheses is parsed once, when the config is read. */
pv_export_t glue_pvs[] = {
	{{"dsv", sizeof("dsv") - 1}, PVT_OTHER, dsr_dsv_get, 0, dsr_dsv_parse_name, 0, 0, 0},
	{{"dsg", sizeof("dsg") - 1}, PVT_OTHER, dsr_dsg_get, 0, dsr_dsg_parse_name, 0, 0, 0},
	{{0, 0}, 0, 0, 0, 0, 0, 0, 0}
};
