/*
 * The module's tables. In C because the server's function types need casts that only C allows,
 * and because its designated initializers hide the layout differences between versions.
 */
#include "compat.h"
#include "route.h"
#include "rpc_lookup.h"
#include "dispatcher_glue.h"

#define SELECT_ROUTES (REQUEST_ROUTE | FAILURE_ROUTE)
/* Without arguments, or with one that is the text of the config. */
#define PLAIN(name, function, params, routes) \
	{name, (cmd_function)function, params, 0, 0, routes}
/* The core takes an expression as an argument only where it can free what the fixup made. */
#define COMMAND(name, function, params, fixup, routes) \
	{name, (cmd_function)function, params, fixup, fixup_free_fparam_all, routes}

/* Table: script functions. */
static cmd_export_t glue_cmds[] = {
	COMMAND("ds_select_dst", dsr_select_dst, 2, dsr_fixup_select_dst, SELECT_ROUTES),
	COMMAND("ds_select_dst", dsr_select_dst_limit, 3, dsr_fixup_select_dst, SELECT_ROUTES),
	COMMAND("ds_select_domain", dsr_select_domain, 2, dsr_fixup_select_domain, SELECT_ROUTES),
	COMMAND("ds_select_domain", dsr_select_domain_limit, 3, dsr_fixup_select_domain, SELECT_ROUTES),
	COMMAND("ds_select", dsr_select, 2, dsr_fixup_select, ANY_ROUTE),
	COMMAND("ds_select", dsr_select_limit, 3, dsr_fixup_select, SELECT_ROUTES),
	COMMAND("ds_select_routes", dsr_select_routes, 2, dsr_fixup_routes, SELECT_ROUTES),
	COMMAND("ds_select_routes", dsr_select_routes_limit, 3, dsr_fixup_routes, SELECT_ROUTES),
	PLAIN("ds_next_dst", dsr_next_dst, 0, SELECT_ROUTES),
	PLAIN("ds_next_domain", dsr_next_domain, 0, SELECT_ROUTES),
	PLAIN("ds_set_dst", dsr_set_dst, 0, SELECT_ROUTES),
	PLAIN("ds_set_domain", dsr_set_domain, 0, SELECT_ROUTES),
	PLAIN("ds_mark_dst", dsr_mark_dst, 0, SELECT_ROUTES | ONREPLY_ROUTE),
	PLAIN("ds_mark_dst", dsr_mark_dst_state, 1, SELECT_ROUTES | ONREPLY_ROUTE),
	PLAIN("ds_is_from_list", dsr_is_from_lists, 0, SELECT_ROUTES | ONREPLY_ROUTE | BRANCH_ROUTE),
	COMMAND("ds_is_from_list", dsr_is_from_list, 1, dsr_fixup_from_list, ANY_ROUTE),
	COMMAND("ds_is_from_list", dsr_is_from_list_mode, 2, dsr_fixup_from_list, ANY_ROUTE),
	COMMAND("ds_is_from_list", dsr_is_from_list_uri, 3, dsr_fixup_from_list, ANY_ROUTE),
	COMMAND("ds_list_exist", dsr_list_exists, 1, dsr_fixup_list_exist, ANY_ROUTE),
	COMMAND("ds_list_exists", dsr_list_exists, 1, dsr_fixup_list_exists, ANY_ROUTE),
	COMMAND("ds_is_active", dsr_is_active, 1, dsr_fixup_is_active, ANY_ROUTE),
	COMMAND("ds_is_active", dsr_is_active_uri, 2, dsr_fixup_is_active, ANY_ROUTE),
	COMMAND("ds_dsg_fetch", dsr_dsg_fetch, 1, dsr_fixup_dsg_fetch, ANY_ROUTE),
	COMMAND("ds_dsg_fetch_uri", dsr_dsg_fetch_uri, 2, dsr_fixup_dsg_fetch_uri, ANY_ROUTE),
	COMMAND("ds_mark_addr", dsr_mark_addr, 3, dsr_fixup_mark_addr, ANY_ROUTE),
	PLAIN("ds_load_update", dsr_load_update, 0, ANY_ROUTE),
	PLAIN("ds_load_unset", dsr_load_unset, 0, ANY_ROUTE),
	COMMAND("ds_load_unset", dsr_load_unset_call_id, 1, dsr_fixup_load_unset, ANY_ROUTE),
	COMMAND("ds_oc_set_attrs", dsr_oc_set_attrs, 5, dsr_fixup_oc_set_attrs, ANY_ROUTE),
	PLAIN("ds_reload", dsr_reload, 0, ANY_ROUTE),
	COMMAND("ds_metrics", dsr_metrics, 0, dsr_fixup_metrics, ANY_ROUTE),
	COMMAND("ds_metrics", dsr_metrics_filter, 1, dsr_fixup_metrics, ANY_ROUTE),
	COMMAND("ds_page", dsr_page, 0, dsr_fixup_page, ANY_ROUTE),
	PLAIN("ds_dmq_ready", dsr_dmq_ready, 0, ANY_ROUTE),
	PLAIN("bind_dispatcher", dsr_bind_dispatcher, 0, 0),
#ifdef DISPATCHER_PANIC_PROBE
	PLAIN("ds_panic_probe", dsr_panic_probe, 0, ANY_ROUTE),
	PLAIN("ds_memory_probe", dsr_memory_probe, 0, ANY_ROUTE),
#endif
#ifdef DISPATCHER_FAULT_PROBE
	PLAIN("ds_fault_probe", dsr_fault_probe, 1, ANY_ROUTE),
#endif
	{0, 0, 0, 0, 0, 0}
};

/* Defaults; an empty text is "not set". */
struct glue_modparams glue_modparams = {
	.table_name = str_init("dispatcher"),
	.setid_col = str_init("setid"),
	.destination_col = str_init("destination"),
	.flags_col = str_init("flags"),
	.priority_col = str_init("priority"),
	.attrs_col = str_init("attrs"),
	.xavp_dst = str_init("_dsdst_"),
	.xavp_ctx = str_init("_dsctx_"),
	.force_dst = 1,
	.ds_probing_threshold = GLUE_UNSET,
	.ds_probing_threshhold = GLUE_UNSET,
	.ds_inactive_threshold = 1,
	.ds_hash_expire = 7200,
	.ds_hash_initexpire = 7200,
	.ds_hash_check_interval = 30,
	.ds_ping_active_init = 1,
	.ds_ping_method = str_init("OPTIONS"),
	.ds_ping_from = str_init("sip:dispatcher@localhost"),
	.ds_latency_estimator_alpha = GLUE_UNSET,
	.ds_dns_mode = 1,
	.ds_dns_interval = 600,
	.metrics_destinations = 1000,
	.counters = 1,
	.ds_passive_failures = 5,
	.ds_passive_codes = str_init("code=503"),
	.ds_eject_time = 30,
	.ds_eject_max_time = 300,
	.ds_eject_percent = 30,
	.ds_retry_after_max = 60,
	.metrics_interval = 15,
	.log_changes = 1,
	.history_size = 4096,
	.dmq_peer_id = str_init("dscluster"),
	.ds_dmq_cluster = str_init("default"),
	.ds_dmq_state = 1,
	.ds_dmq_load = 1,
	.ds_dmq_calls = 1,
	.ds_dmq_dead_hold = 300,
	.ds_dmq_probing = 1,
	.ds_dmq_hello = 1000,
	.ds_dmq_dead_time = 5000,
	.ds_dmq_join_wait = 3000,
};

#define TEXT(name) {#name, PARAM_STR, &glue_modparams.name}
#define NUMBER(name) {#name, PARAM_INT, &glue_modparams.name}
/* May be set more than once. */
#define TEXTS(name) {#name, PARAM_STRING | PARAM_USE_FUNC, (void *)dsr_##name}

/* Table: parameters. */
static param_export_t glue_params[] = {
	TEXT(list_file),
	TEXT(db_url),
	TEXT(state_file),
	TEXT(table_name),
	TEXT(setid_col),
	TEXT(destination_col),
	TEXT(flags_col),
	TEXT(priority_col),
	TEXT(attrs_col),
	TEXT(order_col),
	TEXT(ds_db_extra_attrs),
	TEXT(dst_avp),
	TEXT(grp_avp),
	TEXT(cnt_avp),
	TEXT(dstid_avp),
	TEXT(attrs_avp),
	TEXT(sock_avp),
	TEXT(hash_pvar),
	TEXT(setid_pvname),
	TEXT(setid_pvar),
	TEXT(attrs_pvname),
	TEXT(xavp_dst),
	TEXT(xavp_ctx),
	TEXT(compat),
	TEXT(reload_state),
	TEXT(ds_ping_method),
	TEXT(ds_ping_from),
	TEXT(ds_ping_reply_codes),
	TEXT(outbound_proxy),
	TEXT(ds_default_socket),
	TEXT(ds_default_sockname),
	TEXT(ds_ping_socket),
	TEXT(event_callback),
	TEXT(metrics_attrs),
	TEXT(metrics_file),
	NUMBER(force_dst),
	NUMBER(flags),
	NUMBER(use_default),
	NUMBER(xavp_dst_mode),
	NUMBER(xavp_ctx_mode),
	NUMBER(ds_attrs_none),
	NUMBER(ds_load_mode),
	NUMBER(ds_probing_threshold),
	NUMBER(ds_probing_threshhold),
	NUMBER(ds_inactive_threshold),
	NUMBER(reload_delta),
	NUMBER(ds_hash_size),
	NUMBER(ds_hash_max_calls),
	NUMBER(ds_hash_expire),
	NUMBER(ds_hash_initexpire),
	NUMBER(ds_hash_check_interval),
	NUMBER(ds_ping_interval),
	NUMBER(ds_ping_active_init),
	NUMBER(ds_probing_mode),
	NUMBER(ds_timer_mode),
	NUMBER(ds_ping_fr_timeout),
	{"ds_ping_fr_timer", PARAM_INT, &glue_modparams.ds_ping_fr_timeout},
	NUMBER(ds_ping_latency_stats),
	NUMBER(ds_latency_estimator_alpha),
	NUMBER(ds_retain_latency_stats),
	NUMBER(event_callback_mode),
	NUMBER(db_state_mode),
	NUMBER(ds_dns_mode),
	NUMBER(ds_dns_interval),
	NUMBER(ds_dns_ttl),
	NUMBER(ds_dns_match_all),
	NUMBER(metrics_destinations),
	NUMBER(metrics_interval),
	NUMBER(log_changes),
	NUMBER(history_size),
	TEXTS(set_name),
	NUMBER(counters),
	NUMBER(ds_count_calls),
	NUMBER(ds_cps),
	NUMBER(ds_bounded_load),
	NUMBER(ds_passive),
	NUMBER(ds_passive_failures),
	TEXT(ds_passive_codes),
	NUMBER(ds_eject_time),
	NUMBER(ds_eject_max_time),
	NUMBER(ds_eject_percent),
	NUMBER(ds_retry_after_max),
	NUMBER(ds_slow_start),
	NUMBER(enable_dmq),
	TEXT(dmq_peer_id),
	TEXT(ds_dmq_cluster),
	TEXT(ds_dmq_node),
	TEXTS(ds_dmq_peer),
	TEXT(ds_dmq_key),
	NUMBER(ds_dmq_state),
	NUMBER(ds_dmq_load),
	NUMBER(ds_dmq_calls),
	NUMBER(ds_dmq_dead_hold),
	NUMBER(ds_dmq_probing),
	NUMBER(ds_dmq_hello),
	NUMBER(ds_dmq_dead_time),
	NUMBER(ds_dmq_join_wait),
	{0, 0, 0}
};

#define DOC(name, text) static const char *doc_##name[] = {text, 0}

DOC(list, "List destinations: [short|full] [set|all] [offset count]; a large list by pages: short all 0 500, short all 500 500");
DOC(set_state, "Set a state: state (a, i, d, t or drain, with p for probing), set or `all`, URI, host=HOST or `all`");
DOC(set_duid_state, "Set a state: state (a, i, d, t or drain, with p for probing), set or `all`, unique id or `all`");
DOC(reload, "Load the destination list anew: [empty], which takes a list without destinations too");
DOC(check, "Say what a reload would do, without doing it");
DOC(add, "Add a destination: set, URI [flags [priority [attributes]]]");
DOC(remove, "Remove a destination: set, URI");
DOC(modify, "Change a destination: set, URI or duid=ID, then flags, priority, attrs or the name of an attribute, each with a value");
DOC(ping_active, "Say whether pings are sent, and turn them off (0) or on (1)");
DOC(ping_status, "Say why destinations are in their state: [set] [URI or duid=ID]");
DOC(hash, "Hash one or two texts as the algorithms do: number of slots, text [text]");
DOC(route, "Say where algorithms 100 to 107 send a key, and why: set, algorithm, key");
DOC(oclist, "List what destinations reported of their load: set");
DOC(calls, "List the calls that are counted: [set=N|duid=ID|callid=ID|all] [offset count]");
DOC(drain_status, "Say whether draining destinations are empty: [set]");
DOC(stats, "Say how much there is, what memory it takes, and who keeps what was replaced");
DOC(history, "List the last changes of states, the newest first: [set|URI|all] [count]");
DOC(cluster, "Show the servers of the cluster: [nodes]; or who has set a destination: dest SET URI; or load the lists on all of them: reload; or exchange all states again, leave it, forget one of them: sync, leave, forget NAME");
DOC(release, "Take a call from its destination's count: Call-ID");

/* Table: RPC commands; the last three have the names that the module's MI commands had. */
static rpc_export_t glue_rpc[] = {
	{"dispatcher.list", dsr_rpc_list, doc_list, 0},
	{"dispatcher.set_state", dsr_rpc_set_state, doc_set_state, 0},
	{"dispatcher.set_duid_state", dsr_rpc_set_duid_state, doc_set_duid_state, 0},
	{"dispatcher.reload", dsr_rpc_reload, doc_reload, 0},
	{"dispatcher.check", dsr_rpc_check, doc_check, 0},
	{"dispatcher.add", dsr_rpc_add, doc_add, 0},
	{"dispatcher.remove", dsr_rpc_remove, doc_remove, 0},
	{"dispatcher.modify", dsr_rpc_modify, doc_modify, 0},
	{"dispatcher.ping_active", dsr_rpc_ping_active, doc_ping_active, 0},
	{"dispatcher.ping_status", dsr_rpc_ping_status, doc_ping_status, 0},
	{"dispatcher.hash", dsr_rpc_hash, doc_hash, 0},
	{"dispatcher.route", dsr_rpc_route, doc_route, 0},
	{"dispatcher.oclist", dsr_rpc_oclist, doc_oclist, RET_ARRAY},
	{"dispatcher.calls", dsr_rpc_calls, doc_calls, 0},
	{"dispatcher.stats", dsr_rpc_stats, doc_stats, 0},
	{"dispatcher.history", dsr_rpc_history, doc_history, 0},
	{"dispatcher.drain_status", dsr_rpc_drain_status, doc_drain_status, 0},
	{"dispatcher.cluster", dsr_rpc_cluster, doc_cluster, 0},
	{"dispatcher.release", dsr_rpc_release, doc_release, 0},
	{"ds_list", dsr_rpc_list, doc_list, 0},
	{"ds_set_state", dsr_rpc_set_state, doc_set_state, 0},
	{"ds_reload", dsr_rpc_reload, doc_reload, 0},
	{0, 0, 0, 0}
};

#ifdef SERVER_HAS_MI
/* Table: MI commands. */
static mi_export_t mi_commands[] = {
	{"ds_list", dsr_mi_list, MI_NO_INPUT_FLAG, 0, 0},
	{"ds_set_state", dsr_mi_set_state, 0, 0, 0},
	{"ds_reload", dsr_mi_reload, 0, 0, 0},
	{"ds_stats", dsr_mi_stats, MI_NO_INPUT_FLAG, 0, 0},
	{0, 0, 0, 0, 0}
};
#endif

/* Here because the struct's layout differs by version. */
void glue_fill_exports(glue_exports_t *exports)
{
	exports->name = "dispatcher";
	exports->dlflags = DEFAULT_DLFLAGS;
	exports->cmds = glue_cmds;
	exports->params = glue_params;
	exports->EXPORTS_PVS = glue_pvs;
	exports->EXPORTS_INIT = dsr_init;
	exports->EXPORTS_DESTROY = dsr_destroy;
	exports->init_child_f = dsr_child_init;
#ifndef SERVER_HAS_MI
	exports->rpc_methods = glue_rpc;
#endif
}

/* Here because it is the struct above that has no place for them in 4.x. */
int glue_register_commands(void)
{
#ifdef SERVER_HAS_MI
	if(rpc_register_array(glue_rpc) != 0)
		return -1;
	return register_mi_mod("dispatcher", mi_commands);
#else
	return 0;
#endif
}
