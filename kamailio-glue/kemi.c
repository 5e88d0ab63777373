/*
 * The script functions for KEMI (KSR.dispatcher.* in Lua, Python, JavaScript ...).
 */
#include "compat.h"
#include "dispatcher_glue.h"

#ifdef SERVER_HAS_KEMI

#define INT SR_KEMIP_INT
#define STR SR_KEMIP_STR
#define NO SR_KEMIP_NONE
#define METHOD(name, function, p1, p2, p3) \
	{str_init("dispatcher"), str_init(name), SR_KEMIP_INT, (void *)function, \
			{p1, p2, p3, NO, NO, NO}}

/* Table: functions of different types behind one pointer type. */
static sr_kemi_t methods[] = {
	METHOD("ds_select", dsr_kemi_select, INT, INT, NO),
	METHOD("ds_select_limit", dsr_kemi_select_limit, INT, INT, INT),
	METHOD("ds_select_dst", dsr_kemi_select_dst, INT, INT, NO),
	METHOD("ds_select_dst_limit", dsr_kemi_select_dst_limit, INT, INT, INT),
	METHOD("ds_select_domain", dsr_kemi_select_domain, INT, INT, NO),
	METHOD("ds_select_domain_limit", dsr_kemi_select_domain_limit, INT, INT, INT),
	METHOD("ds_select_routes", dsr_kemi_select_routes, STR, STR, NO),
	METHOD("ds_select_routes_limit", dsr_kemi_select_routes_limit, STR, STR, INT),
	METHOD("ds_next_dst", dsr_kemi_next_dst, NO, NO, NO),
	METHOD("ds_next_domain", dsr_kemi_next_domain, NO, NO, NO),
	METHOD("ds_set_dst", dsr_kemi_set_dst, NO, NO, NO),
	METHOD("ds_set_domain", dsr_kemi_set_domain, NO, NO, NO),
	METHOD("ds_mark_dst", dsr_kemi_mark_dst, NO, NO, NO),
	METHOD("ds_mark_dst_state", dsr_kemi_mark_dst_state, STR, NO, NO),
	METHOD("ds_mark_addr", dsr_kemi_mark_addr, STR, INT, STR),
	METHOD("ds_is_from_lists", dsr_kemi_is_from_lists, NO, NO, NO),
	METHOD("ds_is_from_list", dsr_kemi_is_from_list, INT, NO, NO),
	METHOD("ds_is_from_list_mode", dsr_kemi_is_from_list_mode, INT, INT, NO),
	METHOD("ds_is_from_list_uri", dsr_kemi_is_from_list_uri, INT, INT, STR),
	METHOD("ds_list_exists", dsr_kemi_list_exists, INT, NO, NO),
	METHOD("ds_is_active", dsr_kemi_is_active, INT, NO, NO),
	METHOD("ds_is_active_uri", dsr_kemi_is_active_uri, INT, STR, NO),
	METHOD("ds_load_update", dsr_kemi_load_update, NO, NO, NO),
	METHOD("ds_load_unset", dsr_kemi_load_unset, NO, NO, NO),
	METHOD("ds_load_unset_callid", dsr_kemi_load_unset_call_id, STR, NO, NO),
	METHOD("ds_reload", dsr_kemi_reload, NO, NO, NO),
	METHOD("ds_metrics", dsr_kemi_metrics, NO, NO, NO),
	METHOD("ds_metrics_filter", dsr_kemi_metrics_filter, STR, NO, NO),
	METHOD("ds_page", dsr_kemi_page, NO, NO, NO),
	METHOD("ds_dmq_ready", dsr_kemi_dmq_ready, NO, NO, NO),
	{{0, 0}, {0, 0}, 0, NULL, {0, 0, 0, 0, 0, 0}}
};

/* Here because the table is. */
int glue_kemi_add(void)
{
	return sr_kemi_modules_add(methods);
}
#else
int glue_kemi_add(void)
{
	return 0;
}
#endif
