/*
 * A module that calls dispatcher through its C interface: for tests/server/module/c_api.rs.
 *
 * api_call("select", set, alg, mode) and so on as script functions with one text each.
 */
#include <stdlib.h>
#include <string.h>

#include "sr_module.h"
#include "mod_fix.h"
#include "dispatcher_api.h"

MODULE_VERSION

static struct dispatcher_api api;

static int init(void)
{
	if(find_export("bind_dispatcher", 0, 0) == NULL) {
		LM_ERR("no bind_dispatcher\n");
		return -1;
	}
	if(((bind_dispatcher_f)find_export("bind_dispatcher", 0, 0))(NULL) != -1) {
		LM_ERR("NULL was taken\n");
		return -1;
	}
	return dispatcher_load_api(&api);
}

/* "select 1 8 0", "next 0", "mark 9", "is_from -1". */
static int api_call(struct sip_msg *msg, char *text, char *unused)
{
	str call;
	char words[64];
	int n[3] = {0, 0, 0};
	char *at;
	int i;

	if(get_str_fparam(&call, msg, (fparam_t *)text) < 0 || call.len >= (int)sizeof(words))
		return -99;
	memcpy(words, call.s, call.len);
	words[call.len] = 0;
	at = strchr(words, ' ');
	for(i = 0; at != NULL && i < 3; i++) {
		n[i] = atoi(at + 1);
		at = strchr(at + 1, ' ');
	}
	if(strncmp(words, "select", 6) == 0)
		return api.select(msg, n[0], n[1], n[2]);
	if(strncmp(words, "next", 4) == 0)
		return api.next(msg, n[0]);
	if(strncmp(words, "mark", 4) == 0)
		return api.mark(msg, n[0]);
	if(strncmp(words, "is_from", 7) == 0)
		return api.is_from(msg, n[0]);
	return -98;
}

static cmd_export_t cmds[] = {
	{"api_call", (cmd_function)api_call, 1, fixup_spve_null, 0, ANY_ROUTE},
	{0, 0, 0, 0, 0, 0}
};

struct module_exports exports = {
	.name = "api_user",
	.dlflags = DEFAULT_DLFLAGS,
	.cmds = cmds,
	.init_mod_f = init,
};
