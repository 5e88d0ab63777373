/*
 * Macros of the server that have no function behind them, or one whose name differs by version.
 */
#include "compat.h"
#include "cfg/cfg.h"
#include "cfg_core.h"
#include "dset.h"
#include "parser/msg_parser.h"
#include "pt.h"
#include "resolve.h"
#include "socket_info.h"
#include "sr_module.h"
#include "tcp_options.h"
#include "xavp.h"
#include "dispatcher_glue.h"

/* Macro: names another function in 6.x, or without the DNS cache. */
struct hostent *glue_resolvehost(char *name)
{
	return resolvehost(name);
}

/* Macro: names another function in 6.x, or without the DNS cache. */
struct hostent *glue_sip_resolvehost(str *name, unsigned short *port, char *proto)
{
	return sip_resolvehost(name, port, proto);
}

/* Macro. */
void glue_hostent_ip(struct ip_addr *ip, struct hostent *he, int nr)
{
	hostent2ip_addr(ip, he, nr);
}

/* The list's type differs between systems. */
int glue_hostent_count(struct hostent *he)
{
	int count = 0;

	while(he != NULL && he->h_addr_list[count] != NULL)
		count++;
	return count;
}

/* Macro: reads the core's config, which can change at run time. */
int glue_dns_try_ipv6(void)
{
	return cfg_get(core, core_cfg, dns_try_ipv6) != 0;
}

/* The length of the array differs between systems. */
int glue_is_tcp_receiver(void)
{
	return strncmp(my_desc(), "tcp receiver", strlen("tcp receiver")) == 0;
}

/* The struct's layout differs between versions. */
long glue_tcp_queue(void)
{
	struct cfg_group_tcp now;

	tcp_options_get(&now);
	return now.async ? (long)now.tcpconn_wq_max : -1;
}

/* The module's own variable can be found by its parameter alone. */
int glue_json_is_compact(void)
{
	struct sr_module *jsonrpcs = find_module_by_name("jsonrpcs");
	modparam_t type;
	int *pretty = NULL;

	if(jsonrpcs != NULL)
		pretty = find_param_export(jsonrpcs, "pretty_format", PARAM_INT, &type);
	return pretty != NULL && *pretty == 0;
}

/* Macro: rand() or random(), whichever the server seeds in each process. */
int glue_rand(void)
{
	return kam_rand();
}

/* Macro: sets a field and the flag that belongs to it. */
void glue_set_force_socket(struct sip_msg *msg, struct socket_info *socket)
{
	set_force_socket(msg, socket);
}

/* Macro: writes a global of the core. */
void glue_ruri_mark_new(void)
{
	ruri_mark_new();
}

/* Inline functions in 4.x. */
struct ip_addr *glue_literal(str *host)
{
	struct ip_addr *address = str2ip(host);

	return address != NULL ? address : str2ip6(host);
}

/* Not in all versions: compat.h. */
struct socket_info *glue_socket_named(str *name)
{
	return ksr_get_socket_by_name(name);
}

/* Not in all versions: compat.h. */
struct _sr_xavp **glue_set_xavps(int kind, struct _sr_xavp **list)
{
	switch(kind) {
		case GLUE_XAVP:
			return xavp_set_list(list);
		case GLUE_XAVU:
			return xavu_set_list(list);
		case GLUE_XAVI:
			return xavi_set_list(list);
	}
	return NULL;
}

/* Inline function. */
struct socket_info *glue_first_socket(void)
{
	return get_first_socket();
}
