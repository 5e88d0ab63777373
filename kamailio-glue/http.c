/*
 * HTTP through the xhttp module.
 */
#include "compat.h"
#include "parser/msg_parser.h"
#include "dispatcher_glue.h"

/* xhttp's interface, whose header is not among those that the build needs: one function since 4.4,
   and room for more. */
struct glue_xhttp {
	int (*reply)(struct sip_msg *msg, int code, str *reason, str *type, str *body);
	void *spare[15];
};
static struct glue_xhttp glue_xhttp;

/* Here because the struct above is. */
int glue_http_find(void)
{
	int (*bind)(struct glue_xhttp *);

	if(glue_xhttp.reply != NULL)
		return 1;
	bind = (int (*)(struct glue_xhttp *))find_export("bind_xhttp", 0, 0);
	return bind != NULL && bind(&glue_xhttp) == 0 && glue_xhttp.reply != NULL;
}

/* Here because the struct above is. */
int glue_http_reply(struct sip_msg *msg, int code, str *reason, str *type)
{
	return glue_xhttp.reply != NULL ? glue_xhttp.reply(msg, code, reason, type, NULL) : -1;
}

/* Macro. */
int glue_is_http(struct sip_msg *msg)
{
	return IS_HTTP(msg) != 0;
}
