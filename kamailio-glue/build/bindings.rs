//! The Rust picture of the server's structs and functions, by bindgen.

use super::Result;
use super::glue::{Glue, Sizes};
use bindgen::callbacks::{IntKind, ParseCallbacks};
use std::fmt::Write;
use std::panic;
use std::process::Command;

/// What the seam may use of the server: functions.
const FUNCTIONS: &[&str] = &[
    // Our own glue and entry points.
    "glue_.*",
    "dsr_.*",
    // Messages.
    "parse_msg",
    "free_sip_msg",
    "inc_msg_no",
    "parse_headers",
    "parse_from_header",
    "parse_to_header",
    "parse_from_uri",
    "parse_to_uri",
    "parse_sip_msg_uri",
    "parse_orig_ruri",
    "parse_uri",
    "parse_credentials",
    "find_credentials",
    "get_authorized_cred",
    "parse_params2?",
    "free_params",
    "parse_phostport",
    "parse_protohostport",
    "get_hdr_field",
    "msg_get_src_addr",
    // Where a message goes.
    "set_dst_uri",
    "reset_dst_uri",
    "rewrite_uri",
    "append_branch",
    "clear_branches",
    "get_sip_branch",
    "[gs]et_branch_iterator",
    "[gs]et_ruri_q",
    "[gs]etbflagsval",
    "grep_sock_info",
    "ksr_get_socket_by_name",
    "lookup_local_socket",
    "get_send_socket2",
    "do_action",
    // Variables.
    "add_avp",
    "parse_avp_spec",
    "search_.*avp",
    "destroy_avp",
    "destroy_avps",
    "destroy_avp_list",
    "xav[ui]_set_list",
    "delete_avp",
    "get_avp_val",
    "get_avp_name",
    "pv_.*",
    "xavp_.*",
    "set_avp_list",
    "get_avp_list",
    // Parameters of script functions.
    "fixup_.*",
    "fix_param.*",
    "get_.*_fparam",
    "get_is_fparam",
    "get_type",
    // Processes, time, memory.
    "register_timer",
    "register_procs",
    "register_child",
    "sr_wtimer_.*",
    "get_max_procs",
    "my_pid",
    "fork_process",
    "get_ticks",
    "get_ticks_raw",
    "shm_initialized",
    "cfg_declare",
    "cfg_register_child",
    "cfg_child_init",
    "fork_basic_utimer",
    "register_basic_timers",
    // Routes of the config.
    "route_lookup",
    "route_get",
    "run_top_route",
    "sr_kemi_.*",
    "ksr_msg_env_reset",
    // Addresses and names.
    "str2ip",
    "str2ip6",
    "str2ipbuf",
    "str2ip6buf",
    "str2ipx",
    "ip_addr2.*",
    "hostent2.*",
    "init_su",
    "mk_net.*",
    "get_proto_name",
    "get_valid_proto_name",
    "ip_addr_mk_any",
    // Databases.
    "db_bind_mod",
    "db_fetch_query",
    "db_fetch_next",
    // The management interface of 4.x.
    "init_mi_tree",
    "free_mi_tree",
    "add_mi_node_(child|sibling)",
    "add_mi_attr",
    // The rest.
    "sruid_.*",
    "find_export",
    "find_mod_export",
    "find_module_by_name",
    "module_loaded",
    "get_debug_level",
    "rpc_register_array",
    "register_script_cb",
    "sr_event_register_cb",
];

/// Types, beside those that the functions need.
const TYPES: &[&str] = &[
    "glue_.*",
    "mi_.*",
    "module_exports",
    "cmd_export.*",
    "param_export.*",
    "rpc_.*",
    "sr_kemi.*",
    "pv_.*",
    "sip_.*",
    "struct_.*",
    "dispatcher_api",
    "str_?",
    "_str",
    "tm_.*",
    "sr_xavp.*",
    "sr_xval.*",
    "sr_xtype.*",
    "int_str",
    "avp_.*",
    "usr_avp.*",
    "dest_info.*",
    "socket_info.*",
    "receive_info.*",
    "ip_addr.*",
    "sockaddr_union",
    "hostent",
    "hdr_.*",
    "cseq_body",
    "request_method",
    "to_body.*",
    "from_body.*",
    "auth_body.*",
    "dig_cred.*",
    "username.*",
    "run_act_ctx.*",
    "fparam.*",
    "gen_lock_t",
    "cfg_.*",
    "uac_req.*",
    "branch.*",
    "route_list.*",
    "param_t",
    "param_hooks_t",
    "tmcb_params",
    "net",
    "ticks_t",
    "load_tm_f",
    "sr_wtimer.*",
    "timer_function",
    "db1?_.*",
];

/// Constants and variables.
const VARIABLES: &[&str] = &[
    "glue_.*",
    "GLUE_.*",
    "MI_.*",
    "KSR_.*",
    "L_[A-Z0-9]+",
    "PARAM_.*",
    "FPARAM_.*",
    "PROC_.*",
    "HDR_.*",
    "AVP_.*",
    "PV_.*",
    "PVT_.*",
    "SR_X.*",
    "SR_KEMI.*",
    "RPC_.*",
    "RET_.*",
    "PROTO_.*",
    ".*_URI_T",
    "URI_.*",
    "METHOD_.*",
    "SIP_.*",
    "DS_.*",
    "DB1?_.*",
    ".*_ROUTE",
    "ANY_ROUTE",
    "MAX_URI_SIZE",
    "MAX_BRANCHES",
    "EQ_T",
    "COLONEQ_T",
    "AF_INET6?",
    "NO_SCRIPT",
    "VAR_PARAM_NO",
    "E_.*",
    "TMCB_.*",
    "FAKED_REPLY",
    "KAM_RAND_MAX",
    "MODULE_INTERFACE_VER",
    "process_no",
    "route_type",
    "ruri_is_new",
    "nr_branches",
    "default_global_(address|port)",
    "BUF_SIZE",
    "event_rt",
    "main_rt",
    "failure_rt",
    "default_core_cfg",
    "bind_address",
    "dont_fork",
    "core_cfg",
    "log_stderr",
    "debug",
    "server_id",
    "version_table",
    "auto_aliases",
    "_shm_root",
    "_pkg_root",
    "ksr_.*",
    "_sr_xavp_.*",
    "SIPS?_PORT",
    "FL_.*",
    "NR_.*",
    "DEFAULT_DLFLAGS",
    "SND_F_.*",
    "MAX_.*",
];

/// Writes `kamailio.rs` for `src/kamailio/sys.rs`.
pub fn write(glue: &Glue, sizes: &Sizes) -> Result<()> {
    let mut builder = bindgen::Builder::default()
        .header(glue.root.join("include/kamailio.h").to_string_lossy())
        .clang_args(glue.options())
        .clang_args(system_includes()?)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
        .parse_callbacks(Box::new(SignedMacros))
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(true)
        .generate_comments(false)
        .generate_cstr(true)
        .layout_tests(true)
        .use_core()
        .raw_line(size_checks(sizes));
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in VARIABLES {
        builder = builder.allowlist_var(name);
    }
    // bindgen panics where it finds no libclang.
    let made = panic::catch_unwind(panic::AssertUnwindSafe(|| builder.generate()))
        .map_err(|_| "libclang not found: run `make setup`, or set LIBCLANG_PATH".to_owned())?;
    let bindings = made.map_err(|e| format!("bindgen cannot read the server's headers: {e}"))?;
    let path = glue.out.join("kamailio.rs");
    bindings
        .write_to_file(&path)
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Macros that the server compares with `int`: levels, ranks, return codes. bindgen would make
/// those that are not negative unsigned.
#[derive(Debug)]
struct SignedMacros;

impl ParseCallbacks for SignedMacros {
    fn int_macro(&self, name: &str, _value: i64) -> Option<IntKind> {
        let signed = [
            "L_",
            "PROC_",
            "E_",
            "PV_",
            "SR_KEMI",
            "KAM_RAND_MAX",
            "GLUE_",
        ];
        signed
            .iter()
            .any(|p| name.starts_with(p))
            .then_some(IntKind::Int)
    }
}

/// Where the C compiler looks for system headers. libclang alone has no `stddef.h`.
fn system_includes() -> Result<Vec<String>> {
    let compiler = cc::Build::new()
        .try_get_compiler()
        .map_err(|e| e.to_string())?;
    let output = Command::new(compiler.path())
        .args(["-E", "-v", "-x", "c", "/dev/null"])
        .output()
        .map_err(|e| format!("cannot run the C compiler: {e}; run `make setup`"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let mut arguments = vec!["-nostdinc".to_owned()];
    arguments.extend(
        text.lines()
            .skip_while(|line| !line.starts_with("#include <"))
            .skip(1)
            .take_while(|line| line.starts_with(' '))
            .map(|line| format!("-isystem{}", line.trim())),
    );
    Ok(arguments)
}

/// Rust code that stops the build where libclang and the C compiler disagree about a struct.
fn size_checks(sizes: &Sizes) -> String {
    sizes
        .0
        .iter()
        .fold(String::new(), |mut code, (name, size)| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                code,
                "const _: () = assert!(::core::mem::size_of::<{name}>() == {size});"
            );
            code
        })
}
