/*
 * The server's log, with the place in the Rust code as the location.
 */
#include "compat.h"
#include "dprint.h"
#include "dispatcher_glue.h"

/* Macro: is_printable asks for the level of the module that it is compiled in. */
int glue_log_on(int level)
{
	return is_printable(level);
}

/* Macro: LOG_FX chooses between stderr, syslog and structured logging. */
void glue_log(int level, const char *prefix, const char *func, const char *text, int len)
{
	LOG_FX(DEFAULT_FACILITY, level, NULL, prefix, func, "%.*s\n", len, text);
}
