//! A call of an RPC command: its arguments, and its reply of structs, arrays and values.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;
use std::borrow::Cow;

use super::http_limit::{JsonLength, Place, text_length};
use crate::dispatch::list::words::{INVALID, integer};
use crate::kamailio::server::sys;
use crate::kamailio::server::text;

/// Longest text of a fault that ctl gives to its client (ctl/binrpc_run.c, FAULT_START_BUF).
const MAX_FAULT: usize = 250;

/// A call of a command: its arguments and its reply.
pub struct RpcCall {
    rpc: *mut sys::rpc_t,
    context: *mut c_void,
    /// An argument was asked for that is neither a text nor a number.
    unreadable: Cell<bool>,
    /// The reply so far.
    length: JsonLength,
}

/// A struct or array inside a reply.
#[derive(Clone, Copy)]
pub struct RpcNode<'c> {
    call: &'c RpcCall,
    handle: *mut c_void,
    /// The place of its members.
    place: Place,
}

/// A value for a struct's member.
pub enum RpcValue<'v> {
    /// A number.
    Int(c_int),
    /// A number of 32 bits without a sign; `kamcmd` shows large ones as negative.
    Unsigned(c_uint),
    /// A fraction.
    Double(f64),
    /// A text.
    Text(&'v [u8]),
    /// A missing text: `null` in JSON.
    Null,
}

impl RpcValue<'_> {
    /// Returns the length of the value in JSON. Bytes that are no UTF-8 become three each.
    fn json_length(&self) -> usize {
        match self {
            RpcValue::Int(number) => number.to_string().len(),
            RpcValue::Unsigned(number) => number.to_string().len(),
            RpcValue::Double(number) if number.fract() == 0.0 => format!("{number:.0}").len(),
            RpcValue::Double(number) => format!("{number:.6}").len(),
            RpcValue::Text(text) => text_length(String::from_utf8_lossy(text).as_bytes()),
            RpcValue::Null => "null".len(),
        }
    }
}

impl<'v, T: AsRef<[u8]> + ?Sized> From<&'v T> for RpcValue<'v> {
    fn from(text: &'v T) -> Self {
        RpcValue::Text(text.as_ref())
    }
}

impl<'v, T: Into<RpcValue<'v>>> From<Option<T>> for RpcValue<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(RpcValue::Null, T::into)
    }
}

impl From<f64> for RpcValue<'_> {
    fn from(fraction: f64) -> Self {
        RpcValue::Double(fraction)
    }
}

macro_rules! from_numbers {
    ($($number:ty)*) => {$(
        /// Makes a value of a number. Transports have 32 bits: a larger one becomes the largest.
        impl From<$number> for RpcValue<'_> {
            fn from(number: $number) -> Self {
                RpcValue::Int(number.try_into().unwrap_or(c_int::MAX))
            }
        }
    )*};
}

from_numbers!(i32 u8 u16 u32 u64 usize);

/// The reply could not be built: the server has no memory, or the transport no room.
#[derive(Debug)]
pub struct Full;

impl From<Full> for String {
    fn from(Full: Full) -> String {
        "Reply too large for this transport".into()
    }
}

fn format(text: &'static CStr) -> *mut c_char {
    text.as_ptr().cast_mut()
}

impl RpcCall {
    /// Wraps the call of an RPC command.
    ///
    /// # Safety
    /// Both are what the server called the command with, and are used only until it returns.
    pub unsafe fn new(rpc: *mut sys::rpc_t, context: *mut c_void) -> Self {
        RpcCall {
            rpc,
            context,
            unreadable: Cell::new(false),
            length: JsonLength::default(),
        }
    }

    fn api(&self) -> &sys::rpc_t {
        // SAFETY: by `new`'s contract.
        unsafe { &*self.rpc }
    }

    /// Returns a text as the transport can take it. JSON and XML are UTF-8, so there U+FFFD stands for other bytes.
    fn presentable<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        match core::str::from_utf8(text) {
            Err(_) if !self.takes_bytes() => String::from_utf8_lossy(text)
                .into_owned()
                .into_bytes()
                .into(),
            _ => text.into(),
        }
    }

    /// Returns true if the call came through the server's module ctl, whose texts are any bytes. A command is not told
    /// its transport, but each transport has functions of its own for it.
    fn takes_bytes(&self) -> bool {
        self.came_through(b"/ctl.so")
    }

    /// Refuses a reply that is too large for its transport, as far as that is known.
    ///
    /// # Errors
    /// The text of the fault.
    pub fn check_length(&self) -> Result<(), String> {
        // jsonrpc-s is the name of the module in 4.x.
        let is_json = self.came_through(b"/jsonrpcs.so") || self.came_through(b"/jsonrpc-s.so");
        self.length.check(is_json)
    }

    /// Returns true if the call came through the server's module in this file.
    fn came_through(&self, module: &[u8]) -> bool {
        let Some(add) = self.api().add else {
            return false;
        };
        let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
        // SAFETY: dladdr only compares the address with those of loaded objects, and fills the struct (dladdr(3)).
        let known = unsafe { libc::dladdr(add as *const c_void, found.as_mut_ptr()) } != 0;
        // SAFETY: a struct of pointers, for which zeroes are a value.
        let file = unsafe { found.assume_init() }.dli_fname;
        // SAFETY: null, or the name of a loaded object, which stays as long as the object is loaded.
        let file = unsafe { text::c_bytes(file) };
        known && file.is_some_and(|file| file.ends_with(module))
    }

    /// Returns the next argument as a text, also if it is a number; `None` if there is no argument, or it is of
    /// another kind.
    ///
    /// It is copied, because a transport may give the next one in the same buffer.
    pub fn text(&self) -> Option<Vec<u8>> {
        let mut value = text::EMPTY;
        let scan = self.api().scan?;
        // SAFETY: `S` writes one text, or with `*` nothing; `.` makes a text of a number.
        let read = unsafe { scan(self.context, format(c"*.S"), &raw mut value) };
        if read != 1 {
            let mut number: c_int = 0;
            // A transport that passes other kinds on reads them as numbers (modules/jsonrpcs).
            // SAFETY: `d` writes one int, or with `*` nothing.
            let other = unsafe { scan(self.context, format(c"*d"), &raw mut number) };
            self.unreadable.set(self.unreadable.get() || other == 1);
            return None;
        }
        // SAFETY: the text stays until the next argument is asked for.
        Some(unsafe { text::bytes(&value) }.to_vec())
    }

    /// Refuses the call if one of the arguments that were asked for is neither a text nor a number, such as a null.
    ///
    /// # Errors
    /// The text of the fault.
    pub fn all_readable(&self) -> Result<(), String> {
        if self.unreadable.get() {
            Err(INVALID.into())
        } else {
            Ok(())
        }
    }

    /// Returns the next argument as a number; `None` if there is no argument or it is not a number.
    pub fn number(&self) -> Option<i32> {
        integer(&self.text()?)
    }

    /// Returns all further arguments as texts.
    pub fn words(&self) -> Vec<Vec<u8>> {
        core::iter::from_fn(|| self.text()).collect()
    }

    /// Answers with a fault. A reason that is longer than transports take is cut. It becomes ASCII,
    /// because some transports cut it again at any byte.
    pub fn fault(&self, code: c_int, reason: &str) {
        let plain = |c: char| {
            if c.is_ascii() && !c.is_ascii_control() {
                c
            } else {
                '?'
            }
        };
        let mut reason: String = reason.chars().map(plain).collect();
        if reason.len() > MAX_FAULT {
            reason.truncate(MAX_FAULT - "...".len());
            reason.push_str("...");
        }
        let reason = text::as_str(reason.as_bytes());
        if let Some(fault) = self.api().fault {
            // SAFETY: the text is an argument of the format, with its length.
            unsafe { fault(self.context, code, format(c"%.*s"), reason.len, reason.s) };
        }
    }

    /// Answers with a line of text.
    pub fn say(&self, line: &str) {
        let line = text::as_str(line.as_bytes());
        if let Some(printf) = self.api().rpl_printf {
            // SAFETY: the text is an argument of the format, with its length.
            unsafe { printf(self.context, format(c"%.*s"), line.len, line.s) };
        }
    }

    /// Adds a struct to the reply.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add_struct(&self) -> Result<RpcNode<'_>, Full> {
        let mut handle = ptr::null_mut::<c_void>();
        let add = self.api().add.ok_or(Full)?;
        // SAFETY: `{` writes one handle, which lives as long as the call.
        let added = unsafe { add(self.context, format(c"{"), &raw mut handle) };
        if added < 0 || handle.is_null() {
            Err(Full)
        } else {
            Ok(RpcNode {
                call: self,
                handle,
                place: Place::TOP,
            })
        }
    }
}

impl<'c> RpcNode<'c> {
    /// Adds a member that is a value.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add<'v>(&self, name: &'static CStr, value: impl Into<RpcValue<'v>>) -> Result<(), Full> {
        let add = self.call.api().struct_add.ok_or(Full)?;
        let value = value.into();
        let length = &self.call.length;
        length.add_value(self.place, name, value.json_length());
        let added = match value {
            // SAFETY: `d` reads a name and an int.
            RpcValue::Int(number) => unsafe {
                add(self.handle, format(c"d"), name.as_ptr(), number)
            },
            // SAFETY: `u` reads a name and an unsigned int.
            RpcValue::Unsigned(number) => unsafe {
                add(self.handle, format(c"u"), name.as_ptr(), number)
            },
            // SAFETY: `f` reads a name and a double.
            RpcValue::Double(number) => unsafe {
                add(self.handle, format(c"f"), name.as_ptr(), number)
            },
            RpcValue::Text(value) => {
                let value = self.call.presentable(value);
                let mut value = text::as_str(&value);
                // SAFETY: `S` reads a name and a text, and copies it.
                unsafe { add(self.handle, format(c"S"), name.as_ptr(), &raw mut value) }
            }
            RpcValue::Null => {
                let mut value = text::EMPTY;
                // SAFETY: `S` reads a name and a text, and copies it.
                unsafe { add(self.handle, format(c"S"), name.as_ptr(), &raw mut value) }
            }
        };
        if added < 0 { Err(Full) } else { Ok(()) }
    }

    /// Adds microseconds as two members, seconds and the microseconds behind them. Both are fractions, as in the C
    /// module: a number of 32 bits ends in 2038.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add_time(&self, names: [&'static CStr; 2], us: u64) -> Result<(), Full> {
        let [seconds, rest] = names;
        self.add(seconds, Duration::from_micros(us).as_secs() as f64)?;
        self.add(rest, f64::from(Duration::from_micros(us).subsec_micros()))
    }

    /// Adds a member that is a struct.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add_struct(&self, name: &'static CStr) -> Result<RpcNode<'c>, Full> {
        self.add_node(c"{", name, self.place.in_struct())
    }

    /// Adds a member that is an array of structs.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add_array(&self, name: &'static CStr) -> Result<RpcNode<'c>, Full> {
        self.add_node(c"[", name, self.place.in_array())
    }

    /// Adds a text to an array.
    ///
    /// # Errors
    /// [`Full`].
    pub fn push(&self, value: &[u8]) -> Result<(), Full> {
        let value = self.call.presentable(value);
        self.call.length.add_item(self.place, &value);
        let mut value = text::as_str(&value);
        let add = self.call.api().array_add.ok_or(Full)?;
        // SAFETY: `S` reads a text, and copies it.
        let added = unsafe { add(self.handle, format(c"S"), &raw mut value) };
        if added < 0 { Err(Full) } else { Ok(()) }
    }

    fn add_node(
        &self,
        kind: &'static CStr,
        name: &'static CStr,
        place: Place,
    ) -> Result<RpcNode<'c>, Full> {
        self.call.length.add_node(self.place, name);
        let mut handle = ptr::null_mut::<c_void>();
        let add = self.call.api().struct_add.ok_or(Full)?;
        // SAFETY: reads a name and writes one handle, which lives as long as the call.
        let added = unsafe { add(self.handle, format(kind), name.as_ptr(), &raw mut handle) };
        if added < 0 || handle.is_null() {
            Err(Full)
        } else {
            Ok(RpcNode {
                call: self.call,
                handle,
                place,
            })
        }
    }
}
