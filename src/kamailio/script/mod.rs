//! Entry points for scripts.
//!
//! | module | contents |
//! | --- | --- |
//! | [`functions`] | The functions of the config language. |
//! | [`fixups`] | Their arguments, when the config is read. |
//! | [`kemi`] | The functions of KEMI. |
//! | [`dsg`] | The pseudo-variable `$dsg`. |
//! | [`dsv`] | The pseudo-variable `$dsv`. |
//! | [`c_api`] | The interface for other modules in C. |

pub mod c_api;
pub mod dsg;
pub mod dsv;
pub mod fixups;
pub mod functions;
pub mod kemi;
