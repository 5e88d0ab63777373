/*
 * What a selection cannot do without, as a module: for `make bench`.
 *
 * floor(set, alg) takes two numbers as ds_select_dst does and sends the message to one fixed
 * destination. next_call_id() writes another number over the last 16 bytes of the message's Call-ID, so
 * that one message can stand for many calls.
 */
#include "sr_module.h"
#include "mod_fix.h"
#include "dset.h"
#include "parser/msg_parser.h"

MODULE_VERSION

/* As long as the URIs of the benches' lists. */
static str destination = str_init("sip:110.100.100.100:50600");

static int floor_call(struct sip_msg *msg, char *set_param, char *alg_param)
{
	int set;
	int alg;

	if(get_int_fparam(&set, msg, (fparam_t *)set_param) < 0)
		return -1;
	if(get_int_fparam(&alg, msg, (fparam_t *)alg_param) < 0)
		return -1;
	if(set_dst_uri(msg, &destination) < 0)
		return -1;
	ruri_mark_new();
	return 1;
}

static int next_call_id(struct sip_msg *msg, char *unused1, char *unused2)
{
	/* One worker makes all calls. */
	static unsigned long long number;
	unsigned long long mixed;
	str id;
	int i;

	if(parse_headers(msg, HDR_CALLID_F, 0) < 0 || msg->callid == NULL)
		return -1;
	id = msg->callid->body;
	if(id.len < 16)
		return -1;
	/* Times an odd number: no two are the same, and neighbours are far apart. */
	mixed = ++number * 0x9e3779b97f4a7c15ULL;
	for(i = 1; i <= 16; i++, mixed >>= 4)
		id.s[id.len - i] = "0123456789abcdef"[mixed & 15];
	return 1;
}

static int fixup_number(void **param, int number)
{
	return fix_param_types(FPARAM_INT | FPARAM_PVS | FPARAM_PVE, param);
}

static cmd_export_t cmds[] = {
	{"floor", (cmd_function)floor_call, 2, fixup_number, fixup_free_fparam_all, ANY_ROUTE},
	{"next_call_id", (cmd_function)next_call_id, 0, 0, 0, ANY_ROUTE},
	{0, 0, 0, 0, 0, 0}
};

struct module_exports exports = {
	.name = "floor",
	.dlflags = DEFAULT_DLFLAGS,
	.cmds = cmds,
};
