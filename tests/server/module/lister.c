/*
 * A module that says what another module exports, as the server has it: for tests/server/module/surface.rs.
 *
 *     lister.names MODULE       every parameter, function with its number of arguments and routes,
 *                               RPC command and class of pseudo-variables, one a line
 *     lister.variables TEXT...  those of the texts that the server takes as pseudo-variables
 */
#include <stdio.h>
#include <string.h>

#include "compat.h"
#include "pvar.h"
#include "route.h"
#include "rpc.h"

MODULE_VERSION

static void say(rpc_t *rpc, void *ctx, const char *kind, const char *name, int number, const char *route)
{
	char line[256];

	if(number < 0)
		snprintf(line, sizeof(line), "%s %s", kind, name);
	else
		snprintf(line, sizeof(line), "%s %s/%d in %s", kind, name, number, route);
	rpc->add(ctx, "s", line);
}

static void say_command(rpc_t *rpc, void *ctx, ksr_cmd_export_t *cmd)
{
	static const struct {
		const char *name;
		unsigned int flag;
	} routes[] = {
		{"request_route", REQUEST_ROUTE},
		{"failure_route", FAILURE_ROUTE},
		{"onreply_route", TM_ONREPLY_ROUTE},
		{"reply_route", CORE_ONREPLY_ROUTE},
		{"branch_route", BRANCH_ROUTE},
		{"onsend_route", ONSEND_ROUTE},
		{"error_route", ERROR_ROUTE},
		{"tm:local-request", LOCAL_ROUTE},
		{"tm:branch-failure", BRANCH_FAILURE_ROUTE},
		{"no route", 0},
	};
	unsigned int i;

	for(i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if((cmd->flags & routes[i].flag) != 0 || (cmd->flags == 0 && routes[i].flag == 0))
			say(rpc, ctx, "function", cmd->name, cmd->param_no, routes[i].name);
	}
}

static void names(rpc_t *rpc, void *ctx)
{
	char *name;
	sr_module_t *module;
	ksr_cmd_export_t *cmd;
	param_export_t *param;
	rpc_export_t *command;
	pv_export_t *pv;
	char typed[128];

	if(rpc->scan(ctx, "s", &name) < 1)
		return;
	module = find_module_by_name(name);
	if(module == NULL) {
		rpc->fault(ctx, 404, "No such module");
		return;
	}
	for(cmd = module->exports.cmds; cmd != NULL && cmd->name != NULL; cmd++)
		say_command(rpc, ctx, cmd);
	for(param = module->exports.params; param != NULL && param->name != NULL; param++) {
		snprintf(typed, sizeof(typed), "%s %s", param->name,
				PARAM_TYPE_MASK(param->type) == PARAM_INT ? "int" : "string");
		say(rpc, ctx, "parameter", typed, -1, NULL);
	}
	for(command = module->exports.rpc_methods; command != NULL && command->name != NULL; command++)
		say(rpc, ctx, "command", command->name, -1, NULL);
	for(pv = module->exports.pv_items; pv != NULL && pv->name.s != NULL; pv++)
		say(rpc, ctx, "class", pv->name.s, -1, NULL);
}

static void variables(rpc_t *rpc, void *ctx)
{
	str text;
	pv_spec_t spec;

	while(rpc->scan(ctx, "*S", &text) == 1) {
		if(pv_parse_spec2(&text, &spec, 1) == text.s + text.len)
			rpc->add(ctx, "S", &text);
	}
}

static const char *doc_names[] = {"Names that a module exports", 0};
static const char *doc_variables[] = {"Pseudo-variables among the texts", 0};
static rpc_export_t commands[] = {
	{"lister.names", names, doc_names, RET_ARRAY},
	{"lister.variables", variables, doc_variables, RET_ARRAY},
	{0, 0, 0, 0}
};

struct module_exports exports = {
	.name = "lister",
	.dlflags = DEFAULT_DLFLAGS,
	.rpc_methods = commands,
};
