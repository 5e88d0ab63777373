//! How far a peer has come with the registers and the figures of this node.

/// How far a peer has come with what this node has to tell, by the order of changes here.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The peer has the registers that it is to have up to this change.
    pub acked: u64,
    /// True while all registers are sent. Once the peer has acknowledged the last one of them, only those are sent that were decided here: what others decide they send themselves.
    pub all: bool,
    /// The peer has this node's figures up to these changes.
    pub figures: Reached,
    /// True once the peer has had the message with which these began: it has none that were there before.
    pub begun: bool,
    /// The message that is under way.
    pub flight: Option<Flight>,
}

/// How far a peer has come with each kind of figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The views of destinations that are pinged here.
    pub views: u64,
    /// The calls that are counted here.
    pub calls: u64,
    /// The ends of calls that are not known here.
    pub ends: u64,
}

/// A message with registers or figures that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Its number.
    pub number: u64,
    /// Its registers, if it has any, or says that there are no more.
    pub registers: Option<Batch>,
    /// How far the peer has come with figures once it has taken the message.
    pub figures: Reached,
    /// True if figures begin with it.
    pub begins: bool,
    /// When it was sent.
    pub sent_ms: u64,
}

/// The registers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where the peer is once it has taken them.
    pub up_to: u64,
    /// True if the last one of all registers is among them.
    pub end: bool,
}

impl Cursor {
    /// Returns the cursor of a peer that is to get all registers, or only those that were decided here.
    #[must_use]
    pub const fn at_start(all: bool) -> Self {
        Self {
            acked: 0,
            all,
            figures: Reached {
                views: 0,
                calls: 0,
                ends: 0,
            },
            begun: false,
            flight: None,
        }
    }

    /// Has all registers sent, and forgets those that are under way.
    pub fn send_all(&mut self) {
        (self.acked, self.all) = (0, true);
    }

    /// Has all figures sent: the peer knows nothing of this life of the node.
    pub fn send_figures(&mut self) {
        (self.figures, self.begun, self.flight) = (Reached::default(), false, None);
    }

    /// Tells whether a message with registers is under way.
    #[must_use]
    pub fn sends_registers(&self) -> bool {
        self.flight.is_some_and(|flight| flight.registers.is_some())
    }

    /// Takes notice that the peer has all registers up to `last`.
    pub fn skip_to(&mut self, last: u64) {
        self.acked = last;
        self.all = false;
    }

    /// Takes notice that a message has arrived. Returns false if it is not the one that is under way.
    pub fn arrived(&mut self, number: u64) -> bool {
        let Some(flight) = self.flight.take_if(|flight| flight.number == number) else {
            return false;
        };
        if let Some(Batch { up_to, end }) = flight.registers {
            self.acked = self.acked.max(up_to);
            self.all &= !end;
        }
        self.figures = flight.figures;
        self.begun |= flight.begins;
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
            registers: Some(Batch { up_to, end }),
            figures: Reached::default(),
            begins: false,
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
            registers: Some(Batch {
                up_to: 5,
                end: false,
            }),
            figures: Reached::default(),
            begins: false,
            sent_ms: 0,
        });
        cursor.skip_to(9);
        assert!(cursor.arrived(1));
        assert_eq!((cursor.acked, cursor.all), (9, false));
    }

    #[test]
    fn figures_move_no_registers() {
        let mut cursor = Cursor::at_start(true);
        let figures = Reached {
            views: 3,
            calls: 4,
            ends: 5,
        };
        cursor.flight = Some(Flight {
            number: 1,
            registers: None,
            figures,
            begins: true,
            sent_ms: 0,
        });
        assert!(!cursor.sends_registers());
        assert!(cursor.arrived(1));
        assert_eq!((cursor.acked, cursor.all), (0, true));
        assert_eq!((cursor.figures, cursor.begun), (figures, true));
        cursor.send_figures();
        assert_eq!((cursor.figures, cursor.begun), (Reached::default(), false));
    }
}
