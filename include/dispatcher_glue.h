/*
 * Every function and table that crosses between C and Rust.
 *
 * glue_*  written in C, called by Rust. Each one exists because Rust cannot do it: the server
 *         offers a macro, an inline function, a variadic function or wants a table.
 * dsr_*   written in Rust, called by the server through the tables. None of them unwinds or
 *         aborts: a panic inside is logged and becomes the error value of that kind of callback.
 */
#ifndef DISPATCHER_GLUE_H
#define DISPATCHER_GLUE_H

#include "compat.h"
#include "ip_addr.h"
#include "lock_ops.h"
#include "pvar.h"
#include "rpc.h"

#include "dispatcher_api.h"

struct hostent;

/* ---- tables (tables.c) ---- */

/* Script functions, parameters and what else the loader reads. */
void glue_fill_exports(glue_exports_t *exports);
/* RPC and MI commands, where `exports` has no place for them. In mod_init; -1 if refused. */
int glue_register_commands(void);
/* Variables (events.c). */
extern pv_export_t glue_pvs[];
/* The script functions for KEMI (kemi.c); -1 if refused. Nothing where the server has no KEMI. */
int glue_kemi_add(void);

/* ---- parameters (tables.c) ---- */

/* The value of a number before the config sets it, where "not set" means something. */
#define GLUE_UNSET (-0x7fffffff - 1)

/*
 * The modparam variables. Texts belong to the server and are empty when not set. Written by the
 * server while it reads the config; Rust reads them once, in mod_init.
 */
struct glue_modparams {
	str list_file;
	str db_url;
	str state_file;
	str table_name;
	str setid_col;
	str destination_col;
	str flags_col;
	str priority_col;
	str attrs_col;
	str order_col;
	str ds_db_extra_attrs;
	str dst_avp;
	str grp_avp;
	str cnt_avp;
	str dstid_avp;
	str attrs_avp;
	str sock_avp;
	str hash_pvar;
	str setid_pvname;
	str setid_pvar;
	str attrs_pvname;
	str xavp_dst;
	str xavp_ctx;
	str compat;
	str reload_state;
	str ds_ping_method;
	str ds_ping_from;
	str ds_ping_reply_codes;
	str outbound_proxy;
	str ds_default_socket;
	str ds_default_sockname;
	str ds_ping_socket;
	str event_callback;
	str metrics_attrs;
	str metrics_file;
	str ds_passive_codes;
	str dmq_peer_id;
	str ds_dmq_cluster;
	str ds_dmq_node;
	str ds_dmq_key;
	int force_dst;
	int flags;
	int use_default;
	int xavp_dst_mode;
	int xavp_ctx_mode;
	int ds_attrs_none;
	int ds_load_mode;
	int ds_probing_threshold;
	int ds_probing_threshhold;
	int ds_inactive_threshold;
	int reload_delta;
	int ds_hash_size;
	int ds_hash_max_calls;
	int ds_hash_expire;
	int ds_hash_initexpire;
	int ds_hash_check_interval;
	int ds_ping_interval;
	int ds_ping_active_init;
	int ds_probing_mode;
	int ds_timer_mode;
	int ds_ping_fr_timeout;
	int ds_ping_latency_stats;
	int ds_latency_estimator_alpha;
	int ds_retain_latency_stats;
	int event_callback_mode;
	int db_state_mode;
	int ds_dns_mode;
	int ds_dns_interval;
	int ds_dns_ttl;
	int ds_dns_match_all;
	int metrics_destinations;
	int counters;
	int metrics_interval;
	int log_changes;
	int history_size;
	int ds_count_calls;
	int ds_cps;
	int ds_bounded_load;
	int ds_passive;
	int ds_passive_failures;
	int ds_eject_time;
	int ds_eject_max_time;
	int ds_eject_percent;
	int ds_retry_after_max;
	int ds_slow_start;
	int enable_dmq;
	int ds_dmq_state;
	int ds_dmq_load;
	int ds_dmq_calls;
	int ds_dmq_dead_hold;
	int ds_dmq_probing;
	int ds_dmq_hello;
	int ds_dmq_dead_time;
	int ds_dmq_join_wait;
};
extern struct glue_modparams glue_modparams;

/* ---- log (log.c) ---- */

/* 1 if a message of this level (L_ERR, L_DBG, ...) would be written now, else 0. */
int glue_log_on(int level);

/*
 * Writes one line to the server's log. `prefix` is "dispatcher [file:line]: ", `func` the name of
 * the calling function or NULL; both end with NUL. `text` is `len` bytes, without a line end; it
 * is never taken as a format.
 */
void glue_log(int level, const char *prefix, const char *func, const char *text, int len);

/* ---- lock (lock.c) ---- */

/* The server's lock, good between processes. All bytes zero is an unlocked lock. */
void glue_lock_get(gen_lock_t *lock);
/* 1 if the lock is ours now, 0 if somebody holds it. */
int glue_lock_try(gen_lock_t *lock);
/* Only by the holder. */
void glue_lock_release(gen_lock_t *lock);

/* ---- memory (mem.c) ---- */

/* Memory that all processes share, aligned to 8 bytes; NULL if there is none left. */
void *glue_shm_malloc(size_t size);
/* Gives it back; `p` comes from glue_shm_malloc and is not NULL. */
void glue_shm_free(void *p);
/* Size of the pool in bytes. */
unsigned long glue_shm_size(void);

/* ---- the server's macros (server.c) ---- */

/* Addresses of a name, which ends with NUL; NULL if unknown. Valid until the next lookup. */
struct hostent *glue_resolvehost(char *name);
/* Addresses of a name by the rules of SIP (NAPTR, SRV); sets a `port` and `proto` that are 0. */
struct hostent *glue_sip_resolvehost(str *name, unsigned short *port, char *proto);
/* The address number `nr` of a lookup's result. */
void glue_hostent_ip(struct ip_addr *ip, struct hostent *he, int nr);
/* How many it has; 0 for NULL. */
int glue_hostent_count(struct hostent *he);
/* 1 if the server asks for IPv6 addresses of names (dns_try_ipv6), else 0. */
int glue_dns_try_ipv6(void);
/* 1 if this process reads connections of TCP, else 0. */
int glue_is_tcp_receiver(void);
/* Bytes that the server queues for a connection (tcp_conn_wq_max); -1 if it waits for the socket instead. */
long glue_tcp_queue(void);
/* 1 if replies of jsonrpcs have neither tabs nor line ends (its parameter pretty_format), else 0. */
int glue_json_is_compact(void);
/* The next number of this process's generator: 0 to KAM_RAND_MAX. */
int glue_rand(void);
/* Sends the request from this socket; NULL lets the server choose again. */
void glue_set_force_socket(struct sip_msg *msg, struct socket_info *socket);
/* The address that a text is, in the server's own buffer; NULL for a name. */
struct ip_addr *glue_literal(str *host);
/* The server's socket with this name; NULL if there is none, or if sockets have no names. */
struct socket_info *glue_socket_named(str *name);
/* The kinds of variables that hold lists of values. */
#define GLUE_XAVP 0
#define GLUE_XAVU 1
#define GLUE_XAVI 2
/* Lets the server work on this list of that kind; yields the one before, NULL for an unknown kind. */
struct _sr_xavp **glue_set_xavps(int kind, struct _sr_xavp **list);
/* The first socket that the server listens on. */
struct socket_info *glue_first_socket(void);
/* Tells the server that the R-URI changed, so that forking uses it again. */
void glue_ruri_mark_new(void);

/* ---- the config framework (cfg.c) ---- */

/* Values that can be changed while the server runs. */
struct glue_cfg {
	int probing_threshold;
	int inactive_threshold;
	str ping_reply_codes;
	int probing_threshhold;
	int passive_failures;
	int eject_time;
	int retry_after_max;
	int slow_start;
};
/* The values of this moment; to be read anew each time. NULL before glue_cfg_declare. */
extern void *glue_cfg_handle;
/* Declares the group with these values, which stay; -1 if the server refuses. In mod_init. */
int glue_cfg_declare(struct glue_cfg *values);

/* ---- pings through tm (tm.c) ---- */

struct cell;
struct tm_binds;
struct tmcb_params;

/* A ping. All texts stay while it is sent; empty is "none" for the last three. */
struct glue_ping {
	str method;
	str uri;
	str to;
	str from;
	str next_hop;
	str socket;
	str sockname;
	void *record; /* given back to dsr_ping_done */
};
/* tm's interface, which stays; NULL if tm is not loaded, or not initialised yet. */
struct tm_binds *glue_tm_find(void);
/* Has tm call this before it sends a local request; below 0 if it refuses. In mod_init, after glue_tm_find. */
int glue_tm_watch(void (*leaves)(struct cell *transaction, int type, struct tmcb_params *params));
/*
 * Sends a ping: 1 if dsr_ping_done will be called, once; 0 if a route of the config dropped it,
 * below 0 if it could not be sent.
 */
int glue_ping_send(struct glue_ping *ping);
/* The status for which a failure route runs; 0 in any other route, or without tm. After glue_tm_find. */
int glue_tm_failure(void);
/* How long a transaction waits for a final reply, before it waits. */
void glue_tm_set_timeout(struct cell *transaction, int timeout_ms);
/* When it sends its request again, and the longest time between two copies. */
void glue_tm_set_resends(struct cell *transaction, int first_ms, int longest_ms);
/* The subject of a ping's end: its record, the status, the reason phrase and the reply. Without a reply the last three
 * are 0, empty and NULL. */
int glue_tm_result(struct tmcb_params *result, void **record, str *reason, struct sip_msg **reply);

/* ---- requests on their way to destinations, through tm (tm.c) ---- */

/* The words of tm on a branch, for dsr_watched. */
struct glue_branch {
	int number;      /* below 0 for none of a request: a CANCEL, or its reply */
	int count;       /* branches of the transaction */
	int status;      /* of the reply, or the last one of the branch */
	int unsent;      /* 1 if the request could not be sent */
	int timed_out;   /* 1 if the time for a reply is over */
};
/* Has tm call dsr_watched for this message's transaction, and dsr_watched_ends at its end; below 0 if it refuses. */
int glue_watch(struct sip_msg *msg, void *watched);
/* Has tm call dsr_watched_taken for each message that it makes a transaction of; below 0 if it refuses. In mod_init. */
int glue_watch_ready(void);
/* The branches of the current transaction, and what watches it last, or NULL; below 0 without a transaction. */
int glue_watch_place(void **watched);
/* The branch that was sent. */
void glue_branch_sent(struct cell *transaction, struct tmcb_params *params, struct glue_branch *branch);
/* The branch that a reply is to. */
void glue_branch_replied(struct cell *transaction, struct tmcb_params *params, struct glue_branch *branch);
/* A branch as it stands. */
void glue_branch_state(struct cell *transaction, int number, struct glue_branch *branch);
/* The seconds in the Retry-After of a reply; -1 without one that the server can read. */
long glue_retry_after(struct sip_msg *reply);

/* ---- the bus between servers, through dmq (dmq.c) ---- */

/* Results of glue_dmq_join. */
#define GLUE_DMQ_JOINED 0
#define GLUE_DMQ_ABSENT 1	/* dmq is not loaded, or after this module */
#define GLUE_DMQ_TAKEN 2	/* the name has another user, or there is no memory */
#define GLUE_DMQ_UNKNOWN 3	/* this module was built without the headers of dmq */
/* Has dmq call dsr_dmq_received for messages to this name. In mod_init; the name stays. */
int glue_dmq_join(str *id);
/*
 * Sends a message to the server at this URI: 0 if it was sent, or a route of the config dropped it; below 0 if it
 * could not be sent. dsr_dmq_answered is called with `what` if it was sent. After glue_dmq_join.
 */
int glue_dmq_send(str *uri, str *body, void *what);
/* The same to all servers that dmq knows, as long as none fails; answers are not told. */
int glue_dmq_broadcast(str *body);
/* dmq's own URI (server_address), in the text of its parameter; -1 where dmq is not loaded before this module. */
int glue_dmq_address(str *address);

/* ---- HTTP through xhttp (http.c) ---- */

/* Looks for xhttp's interface, which stays; 0 if it is not loaded. */
int glue_http_find(void);
/* Replies to a request of xhttp, with the lumps of the message; below 0 if nothing was sent. */
int glue_http_reply(struct sip_msg *msg, int code, str *reason, str *type);
/* 1 if the message is a request of HTTP, else 0. */
int glue_is_http(struct sip_msg *msg);
/* ---- the server's counters (counters.c) ---- */

/* Registers a counter of the group "dispatcher": its number, or -1 if the server refuses. In mod_init. */
int glue_counter_add(const char *name, const char *doc);
/* The same for one whose value is asked for: dsr_counter_value(what). */
int glue_counter_show(const char *name, const char *doc, int what);
/* What this process has counted with that number. For the process alone, from child_init on. */
long *glue_counter_cell(int id);
/* What all processes have counted. */
long glue_counter_sum(int id);

/* ---- event routes (events.c) ---- */

/* Number of the event route with this name; -1 if the config has none. */
int glue_event_route(char *name);
/* Runs it on this message. */
void glue_run_event_route(int route, struct sip_msg *msg);
/*
 * Calls a KEMI script's function for this event with this message. -1 if no KEMI engine runs the
 * script, -2 if the call failed (the engine has said why), else 0.
 */
int glue_run_event_function(str *function, str *event, struct sip_msg *msg);

/* ---- entry points (src/kamailio) ---- */

int dsr_init(void);
int dsr_child_init(int rank);
void dsr_destroy(void);
/* Once a second, in the timer process. */
void dsr_tick(unsigned int ticks, void *param);
/* The processes that ping and that resolve names, each some milliseconds. */
void dsr_ping_tick(unsigned int ticks, void *param);
void dsr_names_tick(unsigned int ticks, void *param);
/* The process that keeps what operators have set. */
void dsr_states_tick(unsigned int ticks, void *param);
/* The process that speaks with the other servers of the cluster. */
void dsr_cluster_tick(unsigned int ticks, void *param);
/* The process that loads the lists when another server asks for it. */
void dsr_reload_tick(unsigned int ticks, void *param);
/* dmq: a message of another server, with the status of the answer and its reason; the answer to a message of ours. */
int dsr_dmq_received(const str *body, const struct ip_addr *source, str *reason);
void dsr_dmq_answered(int code, void *what);
/* The process that writes metrics_file. */
void dsr_metrics_tick(unsigned int ticks, void *param);
/* tm: a local request is about to leave, which may be a ping, or a message to another server; a ping has ended. */
void dsr_ping_leaves(struct cell *transaction, int type, struct tmcb_params *params);
void dsr_dmq_leaves(struct cell *transaction, int type, struct tmcb_params *params);
/* tm: something became of a watched request; nothing more will. */
void dsr_watched(struct cell *transaction, int type, struct tmcb_params *params);
void dsr_watched_taken(struct cell *transaction, int type, struct tmcb_params *params);
void dsr_watched_ends(void *watched);
void dsr_ping_done(struct cell *transaction, int type, struct tmcb_params *params);
/* The config framework: a threshold has changed; the reply codes are about to, -1 refuses. */
void dsr_cfg_threshold(str *group, str *name);
int dsr_cfg_reply_codes(void *values, str *group, str *name, void **value);

/* The parameter `set_name`, whose value is a text that ends with NUL; once for each time that it is set. */
int dsr_set_name(unsigned int kind, void *value);
/* The parameter `ds_dmq_peer`, likewise. */
int dsr_ds_dmq_peer(unsigned int kind, void *value);

/* The value of a counter that glue_counter_show has registered. In any process, at any time. */
long dsr_counter_value(int what);

/* Fills the interface for other C modules; -1 for NULL. */
int dsr_bind_dispatcher(struct dispatcher_api *api);

/* Fixups: numbers, texts that may hold variables. 0, or negative to stop the start. */
int dsr_fixup_select_dst(void **param, int number);
int dsr_fixup_select_domain(void **param, int number);
int dsr_fixup_select(void **param, int number);
int dsr_fixup_routes(void **param, int number);
int dsr_fixup_from_list(void **param, int number);
int dsr_fixup_list_exist(void **param, int number);
int dsr_fixup_list_exists(void **param, int number);
int dsr_fixup_is_active(void **param, int number);
int dsr_fixup_dsg_fetch(void **param, int number);
int dsr_fixup_dsg_fetch_uri(void **param, int number);
int dsr_fixup_mark_addr(void **param, int number);
int dsr_fixup_oc_set_attrs(void **param, int number);
int dsr_fixup_load_unset(void **param, int number);
/* Without arguments, these are called with NULL and 0. */
int dsr_fixup_metrics(void **param, int number);
int dsr_fixup_page(void **param, int number);

/* Script functions; each parameter is what its fixup left. Never 0. */
int dsr_select_dst(struct sip_msg *msg, char *set, char *alg);
int dsr_select_dst_limit(struct sip_msg *msg, char *set, char *alg, char *limit);
int dsr_select_domain(struct sip_msg *msg, char *set, char *alg);
int dsr_select_domain_limit(struct sip_msg *msg, char *set, char *alg, char *limit);
int dsr_select(struct sip_msg *msg, char *set, char *alg);
int dsr_select_limit(struct sip_msg *msg, char *set, char *alg, char *limit);
int dsr_select_routes(struct sip_msg *msg, char *rules, char *mode);
int dsr_select_routes_limit(struct sip_msg *msg, char *rules, char *mode, char *limit);
int dsr_next_dst(struct sip_msg *msg, char *p1, char *p2);
int dsr_next_domain(struct sip_msg *msg, char *p1, char *p2);
int dsr_set_dst(struct sip_msg *msg, char *p1, char *p2);
int dsr_set_domain(struct sip_msg *msg, char *p1, char *p2);
int dsr_mark_dst(struct sip_msg *msg, char *p1, char *p2);
/* `state` is the text of the config, ending with NUL. */
int dsr_mark_dst_state(struct sip_msg *msg, char *state, char *p2);
int dsr_is_from_lists(struct sip_msg *msg, char *p1, char *p2);
int dsr_is_from_list(struct sip_msg *msg, char *set, char *p2);
int dsr_is_from_list_mode(struct sip_msg *msg, char *set, char *mode);
int dsr_is_from_list_uri(struct sip_msg *msg, char *set, char *mode, char *uri);
int dsr_list_exists(struct sip_msg *msg, char *set, char *p2);
int dsr_is_active(struct sip_msg *msg, char *set, char *p2);
int dsr_is_active_uri(struct sip_msg *msg, char *set, char *uri);
int dsr_dsg_fetch(struct sip_msg *msg, char *set, char *p2);
int dsr_dsg_fetch_uri(struct sip_msg *msg, char *set, char *uri);
int dsr_mark_addr(struct sip_msg *msg, char *state, char *set, char *uri);
int dsr_oc_set_attrs(
		struct sip_msg *msg, char *set, char *uri, char *rate, char *ms, char *seq);
int dsr_load_update(struct sip_msg *msg, char *p1, char *p2);
int dsr_load_unset(struct sip_msg *msg, char *p1, char *p2);
int dsr_load_unset_call_id(struct sip_msg *msg, char *call_id, char *p2);
int dsr_reload(struct sip_msg *msg, char *p1, char *p2);
int dsr_dmq_ready(struct sip_msg *msg, char *p1, char *p2);
int dsr_metrics(struct sip_msg *msg, char *p1, char *p2);
int dsr_metrics_filter(struct sip_msg *msg, char *filter, char *p2);
int dsr_page(struct sip_msg *msg, char *p1, char *p2);

/* Script functions for KEMI; texts are never NULL. */
int dsr_kemi_select(struct sip_msg *msg, int set, int alg);
int dsr_kemi_select_limit(struct sip_msg *msg, int set, int alg, int limit);
int dsr_kemi_select_dst(struct sip_msg *msg, int set, int alg);
int dsr_kemi_select_dst_limit(struct sip_msg *msg, int set, int alg, int limit);
int dsr_kemi_select_domain(struct sip_msg *msg, int set, int alg);
int dsr_kemi_select_domain_limit(struct sip_msg *msg, int set, int alg, int limit);
int dsr_kemi_select_routes(struct sip_msg *msg, str *rules, str *mode);
int dsr_kemi_select_routes_limit(struct sip_msg *msg, str *rules, str *mode, int limit);
int dsr_kemi_next_dst(struct sip_msg *msg);
int dsr_kemi_next_domain(struct sip_msg *msg);
int dsr_kemi_set_dst(struct sip_msg *msg);
int dsr_kemi_set_domain(struct sip_msg *msg);
int dsr_kemi_mark_dst(struct sip_msg *msg);
int dsr_kemi_mark_dst_state(struct sip_msg *msg, str *state);
int dsr_kemi_mark_addr(struct sip_msg *msg, str *state, int set, str *uri);
int dsr_kemi_is_from_lists(struct sip_msg *msg);
int dsr_kemi_is_from_list(struct sip_msg *msg, int set);
int dsr_kemi_is_from_list_mode(struct sip_msg *msg, int set, int mode);
int dsr_kemi_is_from_list_uri(struct sip_msg *msg, int set, int mode, str *uri);
int dsr_kemi_list_exists(struct sip_msg *msg, int set);
int dsr_kemi_is_active(struct sip_msg *msg, int set);
int dsr_kemi_is_active_uri(struct sip_msg *msg, int set, str *uri);
/* These two return 0 for success, as the C module's do. */
int dsr_kemi_load_update(struct sip_msg *msg);
int dsr_kemi_load_unset(struct sip_msg *msg);
int dsr_kemi_load_unset_call_id(struct sip_msg *msg, str *call_id);
int dsr_kemi_reload(struct sip_msg *msg);
int dsr_kemi_dmq_ready(struct sip_msg *msg);
int dsr_kemi_metrics(struct sip_msg *msg);
int dsr_kemi_metrics_filter(struct sip_msg *msg, str *filter);
int dsr_kemi_page(struct sip_msg *msg);

/* $dsv(name): reads the name, gives the value. */
int dsr_dsv_parse_name(pv_spec_p spec, str *name);
int dsr_dsv_get(struct sip_msg *msg, pv_param_t *param, pv_value_t *value);

/* $dsg(name), likewise. */
int dsr_dsg_parse_name(pv_spec_p spec, str *name);
int dsr_dsg_get(struct sip_msg *msg, pv_param_t *param, pv_value_t *value);

/* RPC commands. */
void dsr_rpc_list(rpc_t *rpc, void *ctx);
void dsr_rpc_set_state(rpc_t *rpc, void *ctx);
void dsr_rpc_set_duid_state(rpc_t *rpc, void *ctx);
void dsr_rpc_check(rpc_t *rpc, void *ctx);
void dsr_rpc_add(rpc_t *rpc, void *ctx);
void dsr_rpc_remove(rpc_t *rpc, void *ctx);
void dsr_rpc_modify(rpc_t *rpc, void *ctx);
void dsr_rpc_hash(rpc_t *rpc, void *ctx);
void dsr_rpc_route(rpc_t *rpc, void *ctx);
void dsr_rpc_calls(rpc_t *rpc, void *ctx);
void dsr_rpc_oclist(rpc_t *rpc, void *ctx);
void dsr_rpc_release(rpc_t *rpc, void *ctx);
void dsr_rpc_drain_status(rpc_t *rpc, void *ctx);
void dsr_rpc_stats(rpc_t *rpc, void *ctx);
void dsr_rpc_history(rpc_t *rpc, void *ctx);
void dsr_rpc_cluster(rpc_t *rpc, void *ctx);
void dsr_rpc_reload(rpc_t *rpc, void *ctx);
void dsr_rpc_ping_active(rpc_t *rpc, void *ctx);
void dsr_rpc_ping_status(rpc_t *rpc, void *ctx);

#ifdef SERVER_HAS_MI
/* MI commands; NULL if even the answer finds no memory. */
struct mi_root *dsr_mi_list(struct mi_root *request, void *param);
struct mi_root *dsr_mi_set_state(struct mi_root *request, void *param);
struct mi_root *dsr_mi_reload(struct mi_root *request, void *param);
struct mi_root *dsr_mi_stats(struct mi_root *request, void *param);
#endif

#ifdef DISPATCHER_PANIC_PROBE
/* Panics on purpose; for the test of the guard only. */
int dsr_panic_probe(struct sip_msg *msg, char *p1, char *p2);
/* Ends the process for want of memory; for the test of its last line only. */
int dsr_memory_probe(struct sip_msg *msg, char *p1, char *p2);
#endif

#ifdef DISPATCHER_FAULT_PROBE
/* Makes the mistake of that name on purpose; for the test of the sanitizers only. */
int dsr_fault_probe(struct sip_msg *msg, char *kind, char *p2);
/* The mistakes in C: reads the element at `place` of an array of 16, or adds 1 to a number. */
int glue_stack_fault(int place);
int glue_sum_fault(int number);
#endif

#endif
