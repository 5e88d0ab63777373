/*
 * Values that the server's config framework can change while it runs (cfg.set_now_int and the like).
 */
#include "compat.h"
#include "cfg/cfg.h"
#include "dispatcher_glue.h"

/* Points to the values of this moment: the server swaps it. */
void *glue_cfg_handle;

/* Table. */
static cfg_def_t glue_cfg_defs[] = {
	{"probing_threshold", CFG_VAR_INT | CFG_CB_ONLY_ONCE, 0, 0x7fffffff, NULL, dsr_cfg_threshold,
			"Failures in a row until a destination is inactive"},
	{"inactive_threshold", CFG_VAR_INT | CFG_ATOMIC, 0, 0x7fffffff, NULL, NULL,
			"Successes in a row until it is active again"},
	{"ping_reply_codes", CFG_VAR_STR, 0, 0, dsr_cfg_reply_codes, NULL,
			"Replies that are good beside the usual ones: code=N;class=N"},
	{"probing_threshhold", CFG_VAR_INT | CFG_CB_ONLY_ONCE, 0, 0x7fffffff, NULL, dsr_cfg_threshold,
			"Old name of probing_threshold: the one that was set last counts"},
	{"passive_failures", CFG_VAR_INT | CFG_ATOMIC, 1, 1023, NULL, NULL,
			"Failures of calls in a row that eject a destination"},
	{"eject_time", CFG_VAR_INT | CFG_ATOMIC, 1, 3600, NULL, NULL,
			"Seconds of the first ejection"},
	{"retry_after_max", CFG_VAR_INT | CFG_ATOMIC, 0, 86400, NULL, NULL,
			"Most seconds that a Retry-After ejects for; 0 ignores it"},
	{"slow_start", CFG_VAR_INT | CFG_ATOMIC, 0, 3600, NULL, NULL,
			"Seconds of the slow start of a destination that is back"},
	{NULL, 0, 0, 0, NULL, NULL, NULL}
};

/* Cast: cfg_declare wants pointers without const. */
int glue_cfg_declare(struct glue_cfg *values)
{
	return cfg_declare("dispatcher", glue_cfg_defs, values, sizeof(*values), &glue_cfg_handle);
}
