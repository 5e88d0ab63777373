//! Fingerprints of Call-IDs and tags, by a key that is drawn at the start.
//!
//! A caller chooses these texts. Without the key nobody can choose texts whose fingerprints collide, so the slots and
//! chains of the call table may go by fingerprints.

use siphasher::{sip, sip128};

/// The key of all fingerprints of a server.
#[derive(Clone, Copy)]
pub struct FingerprintKey(pub u64, pub u64);

/// The fingerprint of a Call-ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallIdPrint {
    /// Chooses the slot of the call table.
    pub(super) slot: usize,
    /// Chooses the chain of the slot, with the caller's tag.
    pub(super) chain: usize,
}

/// The fingerprint of a tag. A missing tag has that of the empty text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagPrint(u64);

/// What a call is found by: its Call-ID, and the tag of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallKey {
    pub(super) id: CallIdPrint,
    pub(super) caller: TagPrint,
}

/// The call that a message belongs to.
#[derive(Clone, Copy, Debug)]
pub struct CallName {
    /// The Call-ID.
    pub id: CallIdPrint,
    /// The tag in From.
    pub from: TagPrint,
    /// The tag in To, or that in From again where the caller's cannot be in To.
    pub to: TagPrint,
}

impl CallKey {
    /// Returns the number that chooses the chain. One Call-ID has many chains, as many callers may use it.
    pub(super) fn chain(self) -> usize {
        // All bits fit: other machines than those with 64 bits are refused at build time.
        self.id.chain ^ usize::try_from(self.caller.0).unwrap_or_default()
    }
}

impl CallName {
    /// Returns the key of the call if this message begins it.
    pub(super) fn new_key(&self) -> CallKey {
        let (id, caller) = (self.id, self.from);
        CallKey { id, caller }
    }

    /// Returns the other key that the message's call may have: that of its To.
    pub(super) fn other_key(&self) -> Option<CallKey> {
        let (id, caller) = (self.id, self.to);
        (self.to != self.from).then_some(CallKey { id, caller })
    }
}

impl FingerprintKey {
    /// Returns the fingerprint of a Call-ID.
    pub fn call_id(self, text: &[u8]) -> CallIdPrint {
        let hash = sip128::SipHasher13::new_with_keys(self.0, self.1).hash(text);
        // All bits fit: other machines than those with 64 bits are refused at build time.
        let word = |half: u64| usize::try_from(half).unwrap_or_default();
        CallIdPrint {
            slot: word(hash.h1),
            chain: word(hash.h2),
        }
    }

    /// Returns the fingerprint of a tag.
    pub fn tag(self, text: &[u8]) -> TagPrint {
        TagPrint(sip::SipHasher13::new_with_keys(self.0, self.1).hash(text))
    }

    /// Returns the name of the call with this Call-ID that one of these tags has made. `to` is `None` in a request
    /// that only the caller sends.
    pub fn call(self, call_id: &[u8], from: &[u8], to: Option<&[u8]>) -> CallName {
        let from = self.tag(from);
        CallName {
            id: self.call_id(call_id),
            from,
            to: to.map_or(from, |to| self.tag(to)),
        }
    }
}
