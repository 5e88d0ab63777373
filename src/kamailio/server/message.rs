//! The SIP message that a script works on: its source, the keys to hash, and its destination.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_uint};
use core::ptr;

use super::guard::{ScriptRet, guard};
use super::log::{log_dbg, log_err, log_warn};
use super::net;
use super::sys;
use super::text;
use crate::dispatch::balance::cost::Key;
use crate::dispatch::hash::hash;
use crate::dispatch::list::destination::Proto;
use crate::dispatch::text::{trim, trim_end};
use crate::shm::dest::address::Source;

/// A branch without a preference of its own (core/qvalue.h).
const Q_UNSPECIFIED: sys::qvalue_t = -1;

/// A SIP message that one of our functions works on.
///
/// It stands for all that the call may change: who holds it mutably may run routes, write variables and
/// drop destination records, so nothing read before is borrowed then.
#[repr(transparent)]
pub struct Message(UnsafeCell<sys::sip_msg>);

/// The number of a message, and the process that received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageNumber(pub c_uint, pub c_int);

/// The message argument of a function that the server calls. Only the server makes one.
#[repr(transparent)]
pub struct MessageArg(*mut sys::sip_msg);

impl MessageArg {
    /// Returns the message; `None` for no message, and for a reply that tm made up, which is no address
    /// (core/parser/msg_parser.h, `FAKED_REPLY`).
    pub fn get(&mut self) -> Option<&mut Message> {
        const FAKED_REPLY: usize = usize::MAX;
        if self.0.is_null() || self.0.addr() == FAKED_REPLY {
            return None;
        }
        // SAFETY: the server gives its functions a live message, and waits until they return
        // (core/action.c, do_action); `self` is borrowed as long as the result.
        Some(unsafe { Message::at(self.0) })
    }

    /// Runs the body of a script function with the message. Without one, and for `None`, the function fails.
    #[inline(always)]
    pub fn run<R: Into<Option<ScriptRet>>>(
        mut self,
        body: impl FnOnce(&mut Message) -> R,
    ) -> ScriptRet {
        guard(move || {
            let result = self.get().and_then(|msg| body(msg).into());
            result.unwrap_or(ScriptRet::FAILED)
        })
    }
}

/// The reason of a change of a state, for `$dsv`.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'r> {
    /// The status of a reply, or one of the codes below.
    pub code: i32,
    /// The text beside it.
    pub text: &'r [u8],
    /// True if it was a reply from the network.
    pub from_reply: bool,
}

impl Reason<'static> {
    /// A script that works on a request. Neither this nor the next has a text, which is null for the script as in the
    /// C module.
    pub const REQUEST: Self = Reason::ours(820, b"");
    /// No message had to do with it.
    pub const NO_MESSAGE: Self = Reason::ours(800, b"");
    /// A ping could not be sent.
    pub const NOT_SENT: Self = Reason::ours(500, b"Sending keepalive failed");

    const fn ours(code: i32, text: &'static [u8]) -> Self {
        Reason {
            code,
            text,
            from_reply: false,
        }
    }
}

/// The part of a message that a selection changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The d-URI (outbound proxy).
    DstUri,
    /// Host and port of the Request-URI.
    Domain,
    /// Nothing: only the results are written.
    Nothing,
}

impl Message {
    /// Returns the message at an address.
    ///
    /// # Safety
    /// The message lives for `'m`, and nobody else in this process works on it meanwhile.
    pub unsafe fn at<'m>(msg: *mut sys::sip_msg) -> &'m mut Self {
        // SAFETY: a live message by this function's contract; `Message` is laid out as `sip_msg`.
        unsafe { &mut *msg.cast() }
    }

    /// Returns the server's own pointer.
    pub fn raw(&self) -> *mut sys::sip_msg {
        self.0.get()
    }

    /// Returns its number, by which modules know whether they work on the same message as before.
    pub fn number(&self) -> MessageNumber {
        MessageNumber(self.fields().id, self.fields().pid)
    }

    fn fields(&self) -> &sys::sip_msg {
        // SAFETY: alive by `at`'s contract. Only the server's parsers change it while it is shared; no
        // reference from here is used after one of them has run.
        unsafe { &*self.0.get() }
    }

    /// Returns true if a d-URI is set.
    pub fn has_dst_uri(&self) -> bool {
        let dst_uri = &self.fields().dst_uri;
        !dst_uri.s.is_null() && dst_uri.len > 0
    }

    /// Returns the d-URI; empty if none is set.
    pub fn dst_uri(&self) -> &[u8] {
        // SAFETY: the message's own text, which stays until somebody who has it mutably sets another one.
        unsafe { text::bytes(&self.fields().dst_uri) }
    }

    /// Returns the address, port and transport that it came from.
    pub fn source(&self) -> Option<Source> {
        let rcv = &self.fields().rcv;
        let addr = net::key(&rcv.src_ip)?;
        let proto = Proto(u8::try_from(rcv.proto).unwrap_or(0));
        Some(Source {
            addr,
            port: rcv.src_port,
            proto,
        })
    }

    /// Returns the server's own socket that it came to, as an opaque address.
    pub fn local_socket(&self) -> usize {
        self.fields().rcv.bind_address.addr()
    }

    /// Has the server parse as far as this header; false if it cannot.
    fn parse_header(&self, flag: sys::hdr_flags_t) -> bool {
        // The server would test this first, and most often nothing else.
        if self.fields().parsed_flag & flag == flag {
            return true;
        }
        self.parse_more(flag)
    }

    #[inline(never)]
    fn parse_more(&self, flag: sys::hdr_flags_t) -> bool {
        let msg = self.fields();
        let end = msg.buf.wrapping_add(usize::try_from(msg.len).unwrap_or(0));
        if msg.unparsed >= end {
            return true;
        }
        // SAFETY: alive by `at`'s contract; the server parses into it.
        unsafe { sys::parse_headers(self.raw(), flag, 0) == 0 }
    }

    /// Returns the method of a request, and 0 for a reply.
    fn method(&self) -> sys::request_method {
        let line = &self.fields().first_line;
        if u32::try_from(line.type_) != Ok(sys::SIP_REQUEST) {
            return 0;
        }
        // SAFETY: the type of the line says that this member of the union is set.
        let method = unsafe { line.u.request.method_value };
        sys::request_method::try_from(method).unwrap_or(0)
    }

    /// Returns the method and the URI of a request as they are written; empty for a reply.
    pub fn method_and_uri(&self) -> (&[u8], &[u8]) {
        let line = &self.fields().first_line;
        if u32::try_from(line.type_) != Ok(sys::SIP_REQUEST) {
            return (&[], &[]);
        }
        // SAFETY: the type of the line says that this member of the union is set.
        let request = unsafe { &line.u.request };
        // SAFETY: the texts lie in the message, which `self` borrows.
        let [method, uri] =
            [&request.method, &request.uri].map(|part| unsafe { text::bytes(part) });
        (method, uri)
    }

    /// Returns the value of the first header with this name, in any case, without white space at its ends.
    pub fn header(&self, name: &[u8]) -> Option<&[u8]> {
        // All headers (parser/hf.h, HDR_EOH_F).
        if !self.parse_header(sys::hdr_flags_t::MAX) {
            return None;
        }
        let mut next = self.fields().headers;
        // SAFETY: null, or a parsed header, which lies in the message.
        while let Some(header) = unsafe { next.as_ref() } {
            // SAFETY: the header's texts lie in the message, which `self` borrows.
            let [is, body] = [&header.name, &header.body].map(|part| unsafe { text::bytes(part) });
            if is.eq_ignore_ascii_case(name) {
                return Some(trim(body));
            }
            next = header.next;
        }
        None
    }

    /// Has the reply that `send` makes to this message carry headers and a body. The server does not copy the body,
    /// which may be long, so it is taken off the message afterwards. Returns false if there is no memory, or if `send`
    /// does so.
    pub fn with_reply_lumps(&self, head: &[u8], body: &[u8], send: impl FnOnce() -> bool) -> bool {
        let add = |bytes: &[u8], flags: u32| {
            let text = text::as_str(bytes);
            let flags = c_int::try_from(flags).unwrap_or(0);
            // SAFETY: a live message, and a text that is copied, or taken off below (core/data_lump_rpl.c).
            let place = unsafe { sys::add_lump_rpl2(self.raw(), text.s, text.len, flags) };
            // SAFETY: null, or the place where the lump is linked.
            let lump = unsafe { place.as_ref() }.copied();
            if lump.is_none() {
                log_err!("no private memory for a reply");
            }
            lump
        };
        if add(head, sys::LUMP_RPL_HDR).is_none() {
            return false;
        }
        // The server takes no empty lump.
        if body.is_empty() {
            return send();
        }
        let kept = sys::LUMP_RPL_BODY | sys::LUMP_RPL_NODUP | sys::LUMP_RPL_NOFREE;
        let Some(ours) = add(body, kept) else {
            return false;
        };
        let sent = send();
        // SAFETY: the lump was added above, and only the message's end frees those of a message.
        unsafe { sys::unlink_lump_rpl(self.raw(), ours) };
        // SAFETY: no longer linked, so it is ours; the text stays.
        unsafe { sys::free_lump_rpl(ours) };
        sent
    }

    /// Returns the status and the reason phrase of a reply; `None` for a request.
    fn reply(&self) -> Option<(u32, &[u8])> {
        let line = &self.fields().first_line;
        if u32::try_from(line.type_) != Ok(sys::SIP_REPLY) {
            return None;
        }
        // SAFETY: the type of the line says that this member of the union is set.
        let reply = unsafe { line.u.reply };
        // SAFETY: the phrase lies in the message, which `self` borrows.
        Some((reply.statuscode, unsafe { text::bytes(&reply.reason) }))
    }

    /// Returns what an event says about a mark by a script that works on this message.
    pub fn reason(&self) -> Reason<'_> {
        let Some((status, text)) = self.reply() else {
            return Reason::REQUEST;
        };
        Reason {
            code: i32::try_from(status).unwrap_or(0),
            text,
            from_reply: true,
        }
    }

    /// Returns true for an INVITE.
    pub fn is_invite(&self) -> bool {
        self.method() == sys::METHOD_INVITE
    }

    /// Returns true for a CANCEL.
    pub fn is_cancel(&self) -> bool {
        self.method() == sys::METHOD_CANCEL
    }

    /// Returns true for a BYE.
    pub fn is_bye(&self) -> bool {
        self.method() == sys::METHOD_BYE
    }

    /// Returns true for an INVITE or a CANCEL, and for a reply to one.
    pub fn is_of_invite(&self) -> bool {
        let method = match self.reply() {
            Some(_) => self.reply_method().unwrap_or_default(),
            None => self.method(),
        };
        matches!(method, sys::METHOD_INVITE | sys::METHOD_CANCEL)
    }

    /// Returns true for a request that begins a call or a subscription unless it is in one.
    pub fn begins_dialog(&self) -> bool {
        let begin = [sys::METHOD_INVITE, sys::METHOD_SUBSCRIBE, sys::METHOD_REFER];
        begin.contains(&self.method())
    }

    /// Returns true for an in-dialog request: its To has a tag, or it is an ACK or a CANCEL.
    pub fn is_in_dialog(&self) -> bool {
        matches!(self.method(), sys::METHOD_ACK | sys::METHOD_CANCEL) || self.has_to_tag()
    }

    /// Returns true for an INVITE that begins a call.
    pub fn begins_call(&self) -> bool {
        self.is_invite() && !self.has_to_tag()
    }

    /// Returns true if its To has a tag.
    pub fn has_to_tag(&self) -> bool {
        !self.tag_in_to().is_empty()
    }

    /// Returns the tag in To; empty if there is none.
    pub fn tag_in_to(&self) -> &[u8] {
        if !self.parse_header(sys::KSR_HDR_TO_F) {
            return &[];
        }
        // The server parses a To when it finds one (parser/msg_parser.c).
        self.tag_in(self.fields().to)
    }

    /// Returns the tag in From; empty if there is none.
    pub fn tag_in_from(&self) -> &[u8] {
        if !self.parse_header(sys::KSR_HDR_FROM_F) {
            return &[];
        }
        // SAFETY: alive by `at`'s contract; the server parses into it, where it has not done so yet.
        if unsafe { sys::parse_from_header(self.raw()) } < 0 {
            return &[];
        }
        self.tag_in(self.fields().from)
    }

    /// Returns the tag in a From or To of the message that was parsed.
    fn tag_in(&self, header: *mut sys::hdr_field) -> &[u8] {
        // SAFETY: null, or a parsed header, which lies in the message.
        let Some(header) = (unsafe { header.as_ref() }) else {
            return &[];
        };
        // SAFETY: null, or this struct: that of a From or To that was parsed (parser/parse_to.h).
        let body = unsafe { header.parsed.cast::<sys::to_body>().as_ref() };
        // SAFETY: the tag lies in the message, which `self` borrows.
        body.map_or(&[], |body| unsafe { text::bytes(&body.tag_value) })
    }

    /// Returns true for a 2xx reply to an INVITE; `None` after a log line if it cannot be parsed.
    pub fn is_answer(&self) -> Option<bool> {
        let Some((status, _)) = self.reply() else {
            return Some(false);
        };
        let invite = self.reply_method()? == sys::METHOD_INVITE;
        Some(invite && (200..300).contains(&status))
    }

    /// Returns the method of the request that a reply answers; `None` after a log line if it cannot be parsed.
    fn reply_method(&self) -> Option<sys::request_method> {
        if !self.parse_header(sys::KSR_HDR_CSEQ_F) || self.fields().cseq.is_null() {
            log_err!("no CSeq in a reply");
            return None;
        }
        // SAFETY: not null, and a parsed header, which lies in the message.
        let parsed = unsafe { &*self.fields().cseq }
            .parsed
            .cast::<sys::cseq_body>();
        // SAFETY: null, or this struct: the server parses a CSeq when it finds one (parser/msg_parser.c).
        Some(unsafe { parsed.as_ref() }?.method_id)
    }

    /// Returns the Call-ID; `None` after a log line if there is none.
    #[inline(always)]
    pub fn call_id(&self) -> Option<&[u8]> {
        self.find_call_id().or_else(no_call_id)
    }

    /// Returns the Call-ID, and logs nothing if there is none: for callers that hold a pin.
    #[inline(always)]
    pub fn find_call_id(&self) -> Option<&[u8]> {
        if !self.parse_header(sys::KSR_HDR_CALLID_F) || self.fields().callid.is_null() {
            return None;
        }
        // SAFETY: not null, and a parsed header, which lies in the message.
        let header = unsafe { &*self.fields().callid };
        // SAFETY: the header's text lies in the message, which `self` borrows.
        let body = unsafe { text::bytes(&header.body) };
        // The parser has skipped the white space before it (parser/msg_parser.c).
        Some(trim_end(body))
    }

    /// Hashes the Call-ID; `None` after a log line if there is none.
    #[inline(always)]
    pub fn hash_call_id(&self) -> Option<u32> {
        Some(hash(self.call_id()?, None))
    }

    /// Hashes the URI in From; `None` after a log line if there is none.
    #[inline(never)]
    pub fn hash_from(&self, user_only: bool) -> Option<u32> {
        hash_uri(self.uri_in_from()?, user_only)
    }

    /// Hashes the URI in To; `None` after a log line if there is none.
    #[inline(never)]
    pub fn hash_to(&self, user_only: bool) -> Option<u32> {
        hash_uri(self.uri_in_to()?, user_only)
    }

    /// Hashes the current Request-URI; `None` after a log line if it cannot be parsed.
    #[inline(never)]
    pub fn hash_request_uri(&self, user_only: bool) -> Option<u32> {
        hash_uri(self.uri_of_request()?, user_only)
    }

    /// Hashes the user name of the credentials, see [`Message::credentials_user`].
    #[inline(never)]
    pub fn hash_auth_user(&self) -> Option<u32> {
        Some(hash(self.credentials_user()?, None))
    }

    /// Returns the key of the URI in From; `None` after a log line if there is none.
    pub fn key_of_from(&self, user_only: bool) -> Option<Key> {
        key_of_uri(self.uri_in_from()?, user_only)
    }

    /// Returns the key of the URI in To; `None` after a log line if there is none.
    pub fn key_of_to(&self, user_only: bool) -> Option<Key> {
        key_of_uri(self.uri_in_to()?, user_only)
    }

    /// Returns the key of the current Request-URI; `None` after a log line if it cannot be parsed.
    pub fn key_of_request_uri(&self, user_only: bool) -> Option<Key> {
        key_of_uri(self.uri_of_request()?, user_only)
    }

    /// Returns the URI in From; `None` after a log line if there is none.
    #[inline(always)]
    fn uri_in_from(&self) -> Option<&sys::sip_uri> {
        // SAFETY: alive by `at`'s contract; the server parses into it.
        let uri = unsafe { sys::parse_from_uri(self.raw()) };
        // SAFETY: null, or a parsed URI, which lies in the message.
        let uri = unsafe { uri.as_ref() };
        if uri.is_none() {
            log_err!("no From URI to hash");
        }
        uri
    }

    /// Returns the URI in To; `None` after a log line if there is none.
    #[inline(always)]
    fn uri_in_to(&self) -> Option<&sys::sip_uri> {
        let parsed = self.parse_header(sys::KSR_HDR_TO_F) && !self.fields().to.is_null();
        let uri = if parsed {
            // SAFETY: alive by `at`'s contract; the server parses into it.
            unsafe { sys::parse_to_uri(self.raw()) }
        } else {
            core::ptr::null_mut()
        };
        // SAFETY: null, or a parsed URI, which lies in the message.
        let uri = unsafe { uri.as_ref() };
        if uri.is_none() {
            log_err!("no To URI to hash");
        }
        uri
    }

    /// Returns the current Request-URI; `None` after a log line if it cannot be parsed.
    #[inline(always)]
    fn uri_of_request(&self) -> Option<&sys::sip_uri> {
        // SAFETY: alive by `at`'s contract; the server parses into it, where it has not done so yet.
        let parses = || unsafe { sys::parse_sip_msg_uri(self.raw()) } >= 0;
        if self.fields().parsed_uri_ok == 0 && !parses() {
            log_err!("the Request-URI cannot be parsed");
            return None;
        }
        Some(&self.fields().parsed_uri)
    }

    /// Returns the user name of the credentials without the blanks at its ends; `None` if there are no credentials or
    /// they name no user. Those for a proxy hide the others, even if they name no user.
    #[inline(always)]
    pub fn credentials_user(&self) -> Option<&[u8]> {
        let user = self
            .auth_user(sys::KSR_HDR_PROXYAUTH_F, |msg| msg.proxy_auth)
            .or_else(|| self.auth_user(sys::KSR_HDR_AUTHORIZATION_F, |msg| msg.authorization))?;
        (!user.is_empty()).then(|| trim(user))
    }

    /// Returns the user part of the user name in a header with credentials, empty without one; `None` if there is no
    /// such header or it cannot be parsed.
    fn auth_user(
        &self,
        flag: sys::hdr_flags_t,
        header: fn(&sys::sip_msg) -> *mut sys::hdr_field,
    ) -> Option<&[u8]> {
        if !self.parse_header(flag) {
            return None;
        }
        let header = header(self.fields());
        // SAFETY: null, or a header that lies in the message.
        if unsafe { header.as_ref() }?.parsed.is_null() {
            // SAFETY: the header lies in the message, and the server parses into it.
            if unsafe { sys::parse_credentials(header) } != 0 {
                log_dbg!("credentials that cannot be parsed");
                return None;
            }
        }
        // SAFETY: not null, as seen above.
        let parsed = unsafe { (*header).parsed }.cast::<sys::auth_body>();
        // SAFETY: parse_credentials leaves this struct there (parser/digest/digest.c), or null.
        let body = unsafe { parsed.as_ref() }?;
        // SAFETY: the parts of parsed credentials lie in the message, which `self` borrows.
        Some(unsafe { text::bytes(&body.digest.username.user) })
    }

    /// Sets the destination of the message, as d-URI or in the Request-URI; false if the server refuses.
    #[inline(always)]
    pub fn send_to(&self, target: Target, uri: &[u8]) -> bool {
        match target {
            Target::DstUri => self.set_dst_uri(uri),
            Target::Domain => self.set_host_and_all_after(strip_scheme(uri)),
            Target::Nothing => true,
        }
    }

    #[inline(always)]
    fn set_dst_uri(&self, uri: &[u8]) -> bool {
        let uri = text::as_str(uri);
        // SAFETY: alive by `at`'s contract; the server copies the URI (core/parser/msg_parser.c, set_dst_uri).
        let set = unsafe { sys::set_dst_uri(self.raw(), &raw const uri) } == 0;
        // SAFETY: sets an integer of this process, the core's note that the R-URI is new.
        unsafe { sys::glue_ruri_mark_new() };
        set
    }

    /// Adds a branch to `uri`, from this local socket of the server if it is not 0; false if the server takes no
    /// more. [`Target::Nothing`] is as [`Target::DstUri`].
    #[inline(always)]
    pub fn add_branch(&self, target: Target, uri: &[u8], socket: usize) -> bool {
        match target {
            Target::Domain => self.add_branch_of_domain(uri, socket),
            // Without a URI of its own a branch has the Request-URI.
            Target::DstUri | Target::Nothing => {
                let mut next_hop = text::as_str(uri);
                self.append_branch(ptr::null_mut(), &mut next_hop, socket)
            }
        }
    }

    fn add_branch_of_domain(&self, uri: &[u8], socket: usize) -> bool {
        let Some(changed) = self.with_host(strip_scheme(uri)) else {
            return false;
        };
        let (mut branch, mut next_hop) = (text::as_str(&changed), text::EMPTY);
        self.append_branch(&raw mut branch, &mut next_hop, socket)
    }

    /// `branch` is null or a URI.
    fn append_branch(
        &self,
        branch: *mut sys::str_,
        next_hop: &mut sys::str_,
        socket: usize,
    ) -> bool {
        // SAFETY: a live message; the server copies the texts. The socket is an address of its own
        // list, or null (core/dset.c).
        let added = unsafe {
            sys::append_branch(
                self.raw(),
                branch,
                next_hop,
                ptr::null_mut(),
                Q_UNSPECIFIED,
                0,
                socket as *mut sys::socket_info,
                ptr::null_mut(),
                0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        added >= 0
    }

    /// Replaces all of the Request-URI behind the user part.
    fn set_host_and_all_after(&self, host: &[u8]) -> bool {
        let Some(changed) = self.with_host(host) else {
            return false;
        };
        let mut text = text::as_str(&changed);
        // SAFETY: alive by `at`'s contract; the server copies the URI (core/action.c, rewrite_uri).
        unsafe { sys::rewrite_uri(self.raw(), &raw mut text) > 0 }
    }

    /// Returns the Request-URI with all behind the user part replaced; `None` if it cannot be parsed, or if
    /// the result would be too long.
    ///
    /// The server's own action for this writes one byte too far when the result has exactly `MAX_URI_SIZE`
    /// bytes (core/action.c, SET_HOSTALL_T), and the user part comes from outside.
    fn with_host(&self, host: &[u8]) -> Option<Vec<u8>> {
        // SAFETY: alive by `at`'s contract; the server parses into it.
        if unsafe { sys::parse_sip_msg_uri(self.raw()) } < 0 {
            return None;
        }
        let old = &self.fields().parsed_uri;
        let parts = [&old.user, &old.passwd, &old.params];
        // SAFETY: the parts of the parsed URI lie in the message, which nothing changes in this function.
        let [user, password, params] = parts.map(|part| unsafe { text::bytes(part) });
        // A SIP URI with user=phone counts as a telephone number for the server; the parameters of a number are
        // a part of it.
        let phone = old.flags & sys::URI_SIP_USER_PHONE != 0;
        let number = matches!(old.type_, sys::TEL_URI_T | sys::TELS_URI_T);
        let scheme: &[u8] = match old.type_ {
            sys::TEL_URI_T if !phone => b"tel:",
            sys::TELS_URI_T if !phone => b"tels:",
            sys::SIPS_URI_T | sys::TELS_URI_T => b"sips:",
            _ => b"sip:",
        };
        let most = sys::MAX_URI_SIZE as usize;
        let mut uri = Vec::with_capacity(most);
        let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| uri.extend_from_slice(part));
        add(&[scheme, user]);
        if !user.is_empty() && !password.is_empty() {
            add(&[b":", password]);
        }
        if number && !params.is_empty() {
            add(&[b";", params]);
        }
        if !user.is_empty() {
            add(&[b"@"]);
        }
        add(&[host]);
        (uri.len() < most).then_some(uri)
    }

    /// Sets the local socket of the server that the message is sent from.
    pub fn send_from(&self, socket: usize) {
        // SAFETY: a live message, and an address of the server's own list of sockets, which stays as it is after
        // the start (core/socket_info.c).
        unsafe { sys::glue_set_force_socket(self.raw(), socket as *mut sys::socket_info) };
    }
}

#[cold]
fn no_call_id<'m>() -> Option<&'m [u8]> {
    log_err!("no Call-ID");
    None
}

/// Hashes the parts of a URI, see [`parts`].
#[inline(always)]
fn hash_uri(uri: &sys::sip_uri, user_only: bool) -> Option<u32> {
    let (user, host) = parts(uri, user_only)?;
    Some(hash(user, host))
}

/// Returns the key of the parts of a URI, see [`parts`].
#[inline(never)]
fn key_of_uri(uri: &sys::sip_uri, user_only: bool) -> Option<Key> {
    let (user, host) = parts(uri, user_only)?;
    Some(Key::of_parts(user, host))
}

/// Returns the user part of a URI, and unless `user_only` its host and port. The port counts only if it is not the
/// usual one of the scheme (doc/reference/functions.md).
#[inline(always)]
fn parts(uri: &sys::sip_uri, user_only: bool) -> Option<(&[u8], Option<&[u8]>)> {
    // SAFETY: the parts of a parsed URI lie in the message, which nothing changes in this function.
    let user = unsafe { text::bytes(&uri.user) };
    if user.is_empty() {
        log_warn!("the URI to hash has no user part");
    }
    if user_only {
        return Some((user, None));
    }
    if !uri.port.s.is_null() {
        return Some((user, Some(host_and_port(uri)?)));
    }
    // SAFETY: the parts of a parsed URI lie in the message, which nothing changes in this function.
    Some((user, Some(unsafe { text::bytes(&uri.host) })))
}

/// Returns the host of a URI with a colon behind it, with that colon and the port unless it is the usual one.
#[inline(never)]
fn host_and_port(uri: &sys::sip_uri) -> Option<&[u8]> {
    // SAFETY: the parts of a parsed URI lie in the message, which nothing changes in this function.
    let host = unsafe { text::bytes(&uri.host) };
    let usual = if uri.type_ == sys::SIPS_URI_T {
        5061
    } else {
        5060
    };
    if uri.port_no == usual {
        return Some(host);
    }
    // Without a host the two are not in one text.
    let start = host.first().map(ptr::from_ref)?;
    let end = uri.port.s.addr() + usize::try_from(uri.port.len).ok()?;
    let len = end.checked_sub(start as usize)?;
    let both = sys::str_ {
        s: uri.host.s,
        len: c_int::try_from(len).ok()?,
    };
    // SAFETY: host, colon and port, which may be empty, follow each other in the same text, which lies in the message.
    Some(unsafe { text::bytes(&both) })
}

/// Returns a URI without `sip:` or `sips:`.
fn strip_scheme(uri: &[u8]) -> &[u8] {
    let rest = match uri.split_first_chunk::<3>() {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"sip") => rest,
        _ => return uri,
    };
    match rest {
        [b':', rest @ ..] | [_, b':', rest @ ..] => rest,
        _ => uri,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_none() {
        assert!(MessageArg(ptr::null_mut()).get().is_none());
        let faked_reply = ptr::without_provenance_mut(usize::MAX);
        assert!(MessageArg(faked_reply).get().is_none());
        let body = |_: &mut Message| ScriptRet::OK;
        assert_eq!(MessageArg(ptr::null_mut()).run(body), ScriptRet::FAILED);
    }

    #[test]
    fn the_scheme_goes_in_any_case() {
        assert_eq!(strip_scheme(b"sip:a.test"), b"a.test");
        assert_eq!(strip_scheme(b"SIPs:a.test"), b"a.test");
        assert_eq!(strip_scheme(b"sipx.test"), b"sipx.test");
        assert_eq!(strip_scheme(b"si"), b"si");
    }
}
