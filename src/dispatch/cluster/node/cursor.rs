//! How far a peer has come with the registers of this node.

/// How far a peer has come with the registers of this node, by the order of their changes here.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The peer has what it is to have up to this change.
    pub acked: u64,
    /// True while all registers are sent. Once the peer has acknowledged the last one of them, only those are sent that were decided here: what others decide they send themselves.
    pub all: bool,
    /// The message that is under way.
    pub flight: Option<Flight>,
}

/// A message with registers that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Its number.
    pub number: u64,
    /// Where the peer is once it has taken the message.
    pub up_to: u64,
    /// True if it has the last one of all registers.
    pub end: bool,
    /// When it was sent.
    pub sent_ms: u64,
}

impl Cursor {
    /// Returns the cursor of a peer that is to get all registers, or only those that were decided here.
    #[must_use]
    pub const fn at_start(all: bool) -> Self {
        Self {
            acked: 0,
            all,
            flight: None,
        }
    }

    /// Takes notice that the peer has everything up to `last`.
    pub fn skip_to(&mut self, last: u64) {
        self.acked = last;
        self.all = false;
    }

    /// Takes notice that a message has arrived. Returns false if it is not the one that is under way.
    pub fn arrived(&mut self, number: u64) -> bool {
        let Some(flight) = self.flight.take_if(|flight| flight.number == number) else {
            return false;
        };
        self.acked = self.acked.max(flight.up_to);
        self.all &= !flight.end;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_message_under_way_moves_the_cursor() {
        let mut cursor = Cursor::at_start(true);
        let flight = |number, up_to, end| Flight {
            number,
            up_to,
            end,
            sent_ms: 0,
        };
        cursor.flight = Some(flight(1, 5, false));
        assert!(!cursor.arrived(7));
        assert!(cursor.arrived(1));
        assert!(!cursor.arrived(1));
        assert_eq!((cursor.acked, cursor.all), (5, true));
        cursor.flight = Some(flight(2, 9, true));
        assert!(cursor.arrived(2));
        assert_eq!((cursor.acked, cursor.all), (9, false));
    }

    #[test]
    fn a_message_that_arrives_after_the_peer_was_known_to_have_all_moves_nothing_back() {
        let mut cursor = Cursor::at_start(true);
        cursor.flight = Some(Flight {
            number: 1,
            up_to: 5,
            end: false,
            sent_ms: 0,
        });
        cursor.skip_to(9);
        assert!(cursor.arrived(1));
        assert_eq!((cursor.acked, cursor.all), (9, false));
    }
}
