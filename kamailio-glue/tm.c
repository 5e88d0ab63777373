/*
 * Requests through the tm module: pings of our own, and what becomes of those of others.
 */
#include "compat.h"
#include "route.h"
#include "timer.h"
#include "timer_ticks.h"
#include "modules/tm/tm_load.h"
#include "dispatcher_glue.h"

static struct tm_binds glue_tm;

/* Here because its parts are: casts of function types. */
struct tm_binds *glue_tm_find(void)
{
	load_tm_f load = (load_tm_f)find_export("load_tm", NO_SCRIPT, 0);

	return (load == NULL || load(&glue_tm) < 0) ? NULL : &glue_tm;
}

/* Here because the struct above is. */
int glue_tm_watch(void (*leaves)(struct cell *, int, struct tmcb_params *))
{
	return glue_tm.register_tmcb(NULL, NULL, TMCB_LOCAL_REQUEST_IN, leaves, NULL, NULL);
}

/* Macro: set_uac_req clears a struct whose fields differ by version. */
int glue_ping_send(struct glue_ping *ping)
{
	uac_req_t request;

	set_uac_req(&request, &ping->method, NULL, NULL, NULL, TMCB_LOCAL_COMPLETED | TMCB_REQUEST_SENT,
			dsr_ping_done, ping->record);
	set_socket_name(&request, &ping->sockname);
	if (ping->socket.len > 0)
		request.ssock = &ping->socket;
	return glue_tm.t_request(&request, &ping->uri, &ping->to, &ping->from,
			ping->next_hop.len > 0 ? &ping->next_hop : NULL);
}

/* Macro, and a struct whose layout differs by version. */
int glue_tm_failure(void)
{
	struct cell *transaction = NULL;
	int branch = -1;

	if (is_route_type(FAILURE_ROUTE) && glue_tm.t_gett != NULL) {
		transaction = glue_tm.t_gett();
		branch = glue_tm.t_get_picked_branch();
	}
	if (transaction == NULL || transaction == T_UNDEFINED || branch < 0)
		return 0;
	return transaction->uac[branch].last_received;
}

/* Macro: MS_TO_TICKS. The timeout is read when the timer starts, after the callback of glue_tm_watch. */
void glue_tm_set_timeout(struct cell *transaction, int timeout_ms)
{
	transaction->fr_timeout = MS_TO_TICKS((unsigned int)timeout_ms);
}

/* Here because the struct's layout differs by version. Read as the timeout is. */
void glue_tm_set_resends(struct cell *transaction, int first_ms, int longest_ms)
{
	transaction->rt_t1_timeout_ms = first_ms;
	transaction->rt_t2_timeout_ms = longest_ms;
}

/* Here because the struct's layout differs by version. */
int glue_tm_result(struct tmcb_params *result, void **record, str *reason, struct sip_msg **reply)
{
	*record = result->param != NULL ? *result->param : NULL;
	*reply = result->rpl;
	if (*reply == NULL || *reply == FAKED_REPLY) {
		*reply = NULL;
		reason->s = NULL;
		reason->len = 0;
		return 0;
	}
	*reason = (*reply)->first_line.u.reply.reason;
	return result->code;
}

/* Here because the types are macros. */
int glue_watch(struct sip_msg *msg, void *watched)
{
	return glue_tm.register_tmcb(msg, NULL,
			TMCB_REQUEST_OUT | TMCB_RESPONSE_IN | TMCB_ON_FAILURE | TMCB_DESTROY, dsr_watched,
			watched, dsr_watched_ends);
}

/* Here because the type is a macro. tm calls it right after it has taken over what glue_watch left with the message. */
int glue_watch_ready(void)
{
	return glue_tm.register_tmcb(NULL, NULL, TMCB_REQUEST_IN, dsr_watched_taken, NULL, NULL);
}

/* Here because the structs' layouts differ by version. The list has the last one first. */
int glue_watch_place(void **watched)
{
	struct cell *transaction = glue_tm.t_gett();
	struct tm_callback *callback;

	*watched = NULL;
	if (transaction == NULL || transaction == T_UNDEFINED)
		return -1;
	callback = (struct tm_callback *)transaction->tmcb_hl.first;
	while (callback != NULL && callback->callback != dsr_watched)
		callback = callback->next;
	if (callback != NULL)
		*watched = callback->param;
	return transaction->nr_of_outgoings;
}

/* Here because the structs' layouts differ by version. */
void glue_branch_state(struct cell *transaction, int number, struct glue_branch *branch)
{
	struct ua_client *client;

	memset(branch, 0, sizeof(*branch));
	branch->count = transaction->nr_of_outgoings;
	branch->number = -1;
	if (number < 0 || number >= branch->count)
		return;
	client = &transaction->uac[number];
	branch->number = number;
	branch->status = client->last_received;
	/* A copy that cannot be sent is told as a 503 of tm's own. */
	branch->unsent = client->icode == 908
			|| (client->reply == FAKED_REPLY && client->last_received == 503);
	branch->timed_out = (client->request.flags & F_RB_TIMEOUT) != 0;
}

/* A CANCEL that leaves is told as a request that leaves. */
void glue_branch_sent(struct cell *transaction, struct tmcb_params *params, struct glue_branch *branch)
{
	int of_cancel = params->t_rbuf == NULL || (params->flags & TMCB_LOCAL_F);

	glue_branch_state(transaction, of_cancel ? -1 : params->t_rbuf->branch, branch);
}

/* A reply to a CANCEL is told as one to the INVITE. */
void glue_branch_replied(struct cell *transaction, struct tmcb_params *params, struct glue_branch *branch)
{
	struct cseq_body *cseq = get_cseq(params->rpl);
	int of_cancel = cseq == NULL || cseq->method_id == METHOD_CANCEL;

	glue_branch_state(transaction, of_cancel ? -1 : glue_tm.t_gett_branch(), branch);
	branch->status = params->code;
}

/* The server's parser keeps the number in place of a pointer. */
long glue_retry_after(struct sip_msg *reply)
{
	struct hdr_field *header;

	if (parse_headers(reply, HDR_RETRY_AFTER_F, 0) < 0 || !(reply->parsed_flag & HDR_RETRY_AFTER_F))
		return -1;
	header = reply->headers;
	while (header != NULL && header->type != HDR_RETRY_AFTER_T)
		header = header->next;
	return header == NULL ? -1 : (long)(unsigned long)header->parsed;
}
