/*
 * The server as Rust sees it: bindgen's only input. Macros that are texts become constants here.
 */
#ifndef DISPATCHER_KAMAILIO_H
#define DISPATCHER_KAMAILIO_H

#include "compat.h"

#include "action.h"
#include "cfg/cfg.h"
#include "data_lump_rpl.h"
#include "dprint.h"
#include "dset.h"
#include "globals.h"
#include "ip_addr.h"
#include "lvalue.h"
#include "mod_fix.h"
#include "parser/digest/digest.h"
#include "parser/msg_parser.h"
#include "parser/parse_cseq.h"
#include "parser/parse_from.h"
#include "parser/parse_to.h"
#include "parser/parse_uri.h"
#include "pt.h"
#include "pvar.h"
#include "receive.h"
#include "resolve.h"
#include "route.h"
#include "rpc.h"
#include "socket_info.h"
#include "timer.h"
#include "timer_proc.h"
#include "usr_avp.h"
#include "ver.h"
#include "xavp.h"

#include "lib/srdb1/db.h"
#include "modules/tm/tm_load.h"

#include "dispatcher_glue.h"

/* Texts that the loader compares with its own ones, byte by byte. */
static const char *const KSR_FULL_VERSION = SER_FULL_VERSION;
static const char *const KSR_COMPILE_FLAGS = SER_COMPILE_FLAGS;
/* Version of the core's headers, such as "5.6.3". */
static const char *const KSR_VERSION = VERSION;
/* Directory of the config files, with a slash at the end. */
static const char *const KSR_CFG_DIR = CFG_DIR;

/* Version of those headers as a number, such as 5006003. */
static const unsigned int KSR_VERSION_NUMBER = VERSIONVAL;

/* Kinds of headers that parse_headers looks for; macros with code. */
static const hdr_flags_t KSR_HDR_CALLID_F = HDR_CALLID_F;
static const hdr_flags_t KSR_HDR_FROM_F = HDR_FROM_F;
static const hdr_flags_t KSR_HDR_TO_F = HDR_TO_F;
static const hdr_flags_t KSR_HDR_CSEQ_F = HDR_CSEQ_F;
static const hdr_flags_t KSR_HDR_AUTHORIZATION_F = HDR_AUTHORIZATION_F;
static const hdr_flags_t KSR_HDR_PROXYAUTH_F = HDR_PROXYAUTH_F;

#endif
