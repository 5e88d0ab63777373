/*
 * The bus between servers: messages through the module dmq.
 */
#include "compat.h"
#include "parser/msg_parser.h"
#include "parser/parse_content.h"
#include "parser/parse_uri.h"
#include "dispatcher_glue.h"

/* The modules are a list that begins with the one that was loaded last. */
static struct sr_module *earlier_dmq(void)
{
	struct sr_module *dmq = find_module_by_name("dmq");
	struct sr_module *module = find_module_by_name("dispatcher");

	while(module != NULL && module != dmq)
		module = module->next;
	return module;
}

/* Header: a source package without the module, or one that was unpacked for an older build. */
#if __has_include("modules/dmq/bind_dmq.h")
#include "modules/dmq/bind_dmq.h"

/* Max-Forwards of a message, which nobody passes on. */
#define ONE_HOP 1

static dmq_api_t glue_dmq;
static dmq_peer_t *glue_dmq_peer;
static str glue_dmq_type = str_init("text/x-dscluster");

/* Here because the structs' layouts differ by version. */
static int received(struct sip_msg *msg, peer_reponse_t *response, dmq_node_t *node)
{
	str body = {get_body(msg), 0};

	if(body.s != NULL) {
		body.len = msg->len - (int)(body.s - msg->buf);
		/* A datagram may be longer than the message in it. */
		if(msg->content_length != NULL && get_content_length(msg) < body.len)
			body.len = get_content_length(msg);
	}
	response->reason.s = "Server Internal Error";
	response->reason.len = strlen(response->reason.s);
	response->resp_code = dsr_dmq_received(&body, &msg->rcv.src_ip, &response->reason);
	return 0;
}

/* Likewise. */
static int answered(struct sip_msg *reply, int code, dmq_node_t *node, void *what)
{
	dsr_dmq_answered(code, what);
	return 0;
}

/* Likewise. */
int glue_dmq_join(str *id)
{
	bind_dmq_f bind = (bind_dmq_f)find_export("bind_dmq", 0, 0);
	dmq_peer_t peer;

	if(earlier_dmq() == NULL || bind == NULL || bind(&glue_dmq) < 0)
		return GLUE_DMQ_ABSENT;
	memset(&peer, 0, sizeof(peer));
	peer.peer_id = *id;
	peer.description = *id;
	peer.callback = received;
	glue_dmq_peer = glue_dmq.register_dmq_peer(&peer);
	return glue_dmq_peer != NULL ? GLUE_DMQ_JOINED : GLUE_DMQ_TAKEN;
}

/* Likewise: dmq reads these two fields of a node, and copies it. */
int glue_dmq_send(str *uri, str *body, void *what)
{
	dmq_resp_cback_t callback = {answered, what};
	dmq_node_t node;

	memset(&node, 0, sizeof(node));
	node.orig_uri = *uri;
	if(parse_uri(uri->s, uri->len, &node.uri) < 0)
		return -1;
	return glue_dmq.send_message(glue_dmq_peer, body, &node, &callback, ONE_HOP, &glue_dmq_type);
}

/* Here because the struct above is. */
int glue_dmq_broadcast(str *body)
{
	dmq_resp_cback_t callback = {NULL, NULL};

	return glue_dmq.bcast_message(glue_dmq_peer, body, NULL, &callback, ONE_HOP, &glue_dmq_type);
}

#else

int glue_dmq_join(str *id)
{
	return GLUE_DMQ_UNKNOWN;
}

int glue_dmq_send(str *uri, str *body, void *what)
{
	return -1;
}

int glue_dmq_broadcast(str *body)
{
	return -1;
}
#endif

/* dmq's own variable can be found by its parameter alone. */
int glue_dmq_address(str *address)
{
	struct sr_module *module = earlier_dmq();
	modparam_t type;
	str *found = NULL;

	if(module != NULL)
		found = find_param_export(module, "server_address", PARAM_STR, &type);
	if(found == NULL)
		return -1;
	*address = *found;
	return 0;
}
