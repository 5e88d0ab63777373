//! The Rust picture of the server's structs and functions, by bindgen.

use super::Result;
use super::glue::{Glue, Sizes};
use bindgen::callbacks::{IntKind, ParseCallbacks};
use std::fmt::Write;
use std::panic;
use std::process::Command;

/// Functions of the server that the seam may use.
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
    "parse_from_uri",
    "parse_to_uri",
    "parse_sip_msg_uri",
    "parse_uri",
    "parse_credentials",
    "parse_phostport",
    // Replies to messages.
    "add_lump_rpl2",
    "unlink_lump_rpl",
    "free_lump_rpl",
    // Where a message goes.
    "set_dst_uri",
    "rewrite_uri",
    "append_branch",
    "clear_branches",
    "get_sip_branch",
    "[gs]et_branch_iterator",
    "[gs]et_ruri_q",
    "[gs]etbflagsval",
    "grep_sock_info",
    // Variables.
    "add_avp",
    "parse_avp_spec",
    "destroy_avps",
    "destroy_avp_list",
    "pv_.*",
    "xavp_.*",
    "set_avp_list",
    // Parameters of script functions.
    "fixup_.*",
    "fix_param.*",
    "get_.*_fparam",
    // Processes, time, memory.
    "register_timer",
    "sr_wtimer_.*",
    "get_max_procs",
    "my_pid",
    "fork_basic_utimer",
    "register_basic_timers",
    // Routes of the config.
    "ksr_msg_env_reset",
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
];

/// Types, beside those that the functions need.
const TYPES: &[&str] = &[
    "glue_.*",
    "mi_.*",
    "rpc_.*",
    "pv_.*",
    "sip_.*",
    "dispatcher_api",
    "str_?",
    "sr_xavp.*",
    "sr_xval.*",
    "sr_xtype.*",
    "int_str",
    "socket_info.*",
    "ip_addr.*",
    "hostent",
    "hdr_.*",
    "cseq_body",
    "request_method",
    "to_body.*",
    "auth_body.*",
    "fparam.*",
    "gen_lock_t",
    "branch.*",
    "tmcb_params",
    "sr_wtimer.*",
    "db1?_.*",
];

/// Constants and variables.
const VARIABLES: &[&str] = &[
    "glue_.*",
    "GLUE_.*",
    "MI_.*",
    "KSR_.*",
    "L_[A-Z0-9]+",
    "FPARAM_.*",
    "PROC_.*",
    "AVP_.*",
    "PV_.*",
    "PVT_.*",
    "SR_X.*",
    "PROTO_.*",
    ".*_URI_T",
    "URI_.*",
    "METHOD_.*",
    "SIP_.*",
    "DB1?_.*",
    ".*_ROUTE",
    "MAX_URI_SIZE",
    "EQ_T",
    "MODULE_INTERFACE_VER",
    "process_no",
    "route_type",
    "ruri_is_new",
    "nr_branches",
    "default_global_(address|port)",
    "BUF_SIZE",
    "version_table",
    "ksr_.*",
    "MAX_.*",
    "LUMP_RPL_.*",
    "TMCB_(REQUEST_SENT|REQUEST_OUT|RESPONSE_IN|ON_FAILURE|DESTROY)",
    "E_NO_SOCKET",
];

/// Writes `kamailio.rs` for `src/kamailio/server/sys.rs`.
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

/// Macros that the server compares with `int`: levels, ranks, kinds. bindgen would make
/// those that are not negative unsigned.
#[derive(Debug)]
struct SignedMacros;

impl ParseCallbacks for SignedMacros {
    fn int_macro(&self, name: &str, _value: i64) -> Option<IntKind> {
        let signed = ["L_", "PROC_", "PV_", "GLUE_"];
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
