/*
 * The module's tables. In C because the server's function types need casts that only C allows,
 * and because its designated initializers hide the layout differences between versions.
 */
#include "sr_module.h"
#include "dispatcher_glue.h"

cmd_export_t glue_cmds[] = {
#ifdef DISPATCHER_PANIC_PROBE
	{"ds_panic_probe", (cmd_function)dsr_panic_probe, 0, 0, 0, ANY_ROUTE},
#endif
	{0, 0, 0, 0, 0, 0}
};

param_export_t glue_params[] = {
	{0, 0, 0}
};

rpc_export_t glue_rpc[] = {
	{0, 0, 0, 0}
};
