//! The seam: every function that the server calls, and every call into the server.
//!
//! | module | what crosses there |
//! | --- | --- |
//! | [`exports`] | the five symbols that the loader looks up |
//! | [`init`] | start, fork, stop |
//! | [`params`], [`ping_params`] | the parameters of the config |
//! | [`source`], [`db`] | where the list is: a file, or a table of a database |
//! | [`load`], [`resolve`] | the list, resolved and published |
//! | [`states`] | what operators have set, kept over restarts |
//! | [`throttle`] | how often the lists may change |
//! | [`script`], [`kemi`] | the script functions, for routes and for KEMI |
//! | [`selection`], [`on_demand`], [`call_load`], [`drain`], [`membership`] | what they do |
//! | [`feed`], [`events`], [`dsv`] | what changed a state, event routes, `$dsv` |
//! | [`own_msg`], [`stage`], [`tm_state`] | a message of our own, and what a route on it must not disturb |
//! | [`rpc`], [`rpc_list`], [`rpc_calls`], [`rpc_ping`] | the RPC commands |
//! | `mi` | the MI commands, where the server has MI |
//! | [`msg`], [`args`], [`pvar`], [`results`], [`reply`] | messages, arguments, variables, XAVPs and AVPs, RPC replies |
//! | [`prober`], [`ping`], [`names`] | the processes that ping and resolve names, and what a ping does |
//! | [`live`] | what can be changed while the server runs |
//! | [`net`], [`random`], [`clock`] | addresses and sockets, random numbers, time |
//! | [`module`] | what each process inherits |
//! | [`guard`] | no panic leaves Rust |
//! | [`log`], [`text`] | the server's log and its strings |
//! | [`mem`], [`lock`] | its shared memory and its lock between processes |
//! | [`compat`] | what differs between its versions |
//! | [`sys`] | its declarations, generated |

pub mod api;
mod args;
pub mod call_load;
pub mod clock;
mod compat;
pub mod db;
pub mod db_write;
pub mod dns;
mod drain;
pub mod dsg;
mod dsv;
pub mod events;
pub mod exports;
pub mod feed;
pub mod guard;
pub mod init;
pub mod kemi;
pub mod live;
pub mod load;
pub mod lock;
pub mod log;
pub mod mem;
pub mod membership;
#[cfg(server_has = "mi")]
pub mod mi;
pub mod module;
pub mod msg;
pub mod names;
pub mod net;
mod on_demand;
pub mod overload;
pub mod own_msg;
pub mod own_pv;
#[cfg(feature = "panic-probe")]
pub mod panic_probe;
pub mod parallel;
pub mod params;
pub mod ping;
pub mod ping_params;
pub mod plain;
pub mod prober;
pub mod processes;
pub mod pvar;
pub mod random;
pub mod reply;
pub mod resolve;
pub mod results;
pub mod rpc;
pub mod rpc_calls;
pub mod rpc_list;
pub mod rpc_ping;
pub mod script;
pub mod select_routes;
mod selection;
pub mod source;
pub mod stage;
pub mod states;
pub mod sys;
pub mod text;
pub mod throttle;
pub mod tm_state;
