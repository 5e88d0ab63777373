/*
 * Never linked into the module: build.rs compiles this file alone and compares what it says with
 * the installed server's modules. The sizes of the variables are the sizes of the structs.
 */
#include "compat.h"
#include "kemi.h"
#include "modules/tm/tm_load.h"

MODULE_VERSION

struct module_exports probe_module_exports;
struct tm_binds probe_tm_binds;
struct sip_msg probe_sip_msg;
struct cmd_export probe_cmd_export;
struct sr_kemi probe_sr_kemi;
