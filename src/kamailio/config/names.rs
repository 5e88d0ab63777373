//! The names that the operator gives to sets (parameter `set_name`), for whoever reads what the module says.

use core::ffi::c_void;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::value::Texts;
use crate::dispatch::list::destination::SetId;
use crate::dispatch::text::{Whole, number};
use crate::kamailio::server::guard::InitRet;
use crate::kamailio::server::log::log_err;

/// The values of the parameter, in the order of the config.
static WRITTEN: Texts = Texts::new();

/// The names, since `mod_init`.
static NAMES: OnceLock<HashMap<SetId, String>> = OnceLock::new();

/// The most bytes of a name.
const MAX_NAME: usize = 100;

/// Returns the name of a set; `None` if the operator gives it none.
pub fn name(set: SetId) -> Option<&'static str> {
    NAMES.get()?.get(&set).map(String::as_str)
}

/// Reads the parameter, in `mod_init`. Returns `None` after the message about a bad value.
pub fn read() -> Option<()> {
    let mut names = HashMap::new();
    for value in WRITTEN.all() {
        let named = parse(&value).filter(|(set, _)| !names.contains_key(set));
        let Some((set, name)) = named else {
            let value = Whole(&value);
            log_err!(
                "parameter set_name: found \"{value}\", expected SET=NAME, as 200=Carrier 1, and one name for a set"
            );
            return None;
        };
        names.insert(set, name);
    }
    NAMES.set(names).ok()
}

/// Reads one value of the parameter.
fn parse(value: &[u8]) -> Option<(SetId, String)> {
    let (set, name) = core::str::from_utf8(value).ok()?.split_once('=')?;
    let set = number(set.trim().as_bytes())?;
    let name = name.trim();
    let is_fit = (1..=MAX_NAME).contains(&name.len()) && !name.contains(char::is_control);
    is_fit.then(|| (set, name.to_owned()))
}

/// Keeps a value of the parameter. The server calls it for each, while it reads the config.
#[unsafe(no_mangle)]
pub extern "C" fn dsr_set_name(_kind: core::ffi::c_uint, value: *mut c_void) -> InitRet {
    WRITTEN.keep(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_its_set() {
        let read = |value: &str| parse(value.as_bytes());
        assert_eq!(read("200=Carrier 1"), Some((200, "Carrier 1".into())));
        assert_eq!(read(" -1 = a=b "), Some((-1, "a=b".into())));
        assert!(read(&format!("1={}", "x".repeat(MAX_NAME))).is_some());
        for bad in [
            "",
            "1",
            "1=",
            "=x",
            "x=y",
            "1= \t",
            "1=a\nb",
            "1.5=x",
            "4294967296=x",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(&format!("1={}", "x".repeat(MAX_NAME + 1))), None);
        assert_eq!(parse(b"1=\xff"), None);
    }
}
