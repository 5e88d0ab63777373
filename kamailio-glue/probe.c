/*
 * Never linked into the module: build.rs compiles this file alone and compares what it says with
 * the installed server's modules. The sizes of the variables are the sizes of the structs.
 */
#include "compat.h"
#include "modules/tm/tm_load.h"

MODULE_VERSION

glue_exports_t probe_glue_exports_t;
struct tm_binds probe_tm_binds;
struct sip_msg probe_sip_msg;
glue_command_t probe_glue_command_t;
