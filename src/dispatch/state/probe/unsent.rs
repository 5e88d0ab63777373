//! Why pings of a destination cannot be sent.

/// Why the pings of a destination do not leave the server, with its number in the record of the destination.
///
/// The state of the destination does not depend on it: each such ping is a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The name that they go to leads nowhere.
    NoAddress = 1,
    /// The outbound proxy of the destination, or of all, is no SIP URI.
    BadProxy = 2,
    /// The URI that they go to has no host.
    NoHost = 3,
    /// The server has no socket for the transport and the kind of address.
    NoSocket = 4,
    /// tm could not make the request, for another reason.
    Refused = 5,
    /// tm made the request, but the server could not send it.
    Kept = 6,
    /// A route of the config drops them.
    Dropped = 7,
}

impl Unsent {
    const ALL: [Unsent; 7] = [
        Unsent::NoAddress,
        Unsent::BadProxy,
        Unsent::NoHost,
        Unsent::NoSocket,
        Unsent::Refused,
        Unsent::Kept,
        Unsent::Dropped,
    ];

    /// Returns the number of the reason, never 0.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the reason with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.number() == number)
    }

    /// Returns the reason in words, as the log and `dispatcher.ping_status` have it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Unsent::NoAddress => "the name does not resolve",
            Unsent::BadProxy => "the outbound proxy is not a SIP URI",
            Unsent::NoHost => "the URI has no host",
            Unsent::NoSocket => "no local socket for the transport and the kind of address",
            Unsent::Refused => "tm cannot make the request (see its line in the log)",
            Unsent::Kept => "the server cannot send it (see its line in the log)",
            Unsent::Dropped => "event_route[tm:local-request] drops it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_a_number_and_words_of_its_own() {
        for why in Unsent::ALL {
            assert_eq!(Unsent::from_number(why.number()), Some(why));
        }
        let words: BTreeSet<&str> = Unsent::ALL.map(Unsent::words).into();
        assert_eq!(words.len(), Unsent::ALL.len());
        assert_eq!([0, 8, 255].map(Unsent::from_number), [None; 3]);
    }

    #[test]
    fn each_reason_is_documented() {
        let guide = include_str!("../../../../doc/guide/troubleshoot.md");
        let messages = include_str!("../../../../doc/reference/log-messages.md");
        for why in Unsent::ALL {
            // What a route drops has no result.
            let text = if why == Unsent::Dropped {
                messages
            } else {
                guide
            };
            let words = why.words().replace(" drops it", "");
            assert!(text.contains(&words), "{words}");
        }
    }
}
