//! Words and numbers for states: marks of scripts, states of commands, flags of lists and state files.

use dispatcher::dispatch::state::compat::Compat;
use dispatcher::dispatch::state::transition::{Mark, RpcStateError, State};

use super::number;
use crate::Target;

pub const TARGET: Target = Target {
    name: "states",
    run,
    seeds: &[
        b"a",
        b"ip",
        b"dtp",
        b"2",
        b"0",
        b"P",
        b"drain",
        b"DRAINp",
        b"rp",
        b"active",
        b"3.2",
        b"6.1",
        b"\x40\0\0\0",
        b"\0\0\x01\0",
        b"",
    ],
    words: &[
        b"a", b"i", b"d", b"t", b"p", b"r", b"drain", b"0", b"1", b"2", b"3",
    ],
};

const ALL: [Compat; 4] = [Compat::V3_2, Compat::V5_6, Compat::V6_0, Compat::V6_1];

fn run(text: &[u8]) {
    for compat in ALL {
        let mark = Mark::parse(text, compat);
        let letters = |byte: &u8| b"aidtpAIDTP".contains(byte);
        assert!(
            mark.is_some() || !text.iter().all(letters),
            "letters are always a mark"
        );
        assert_eq!(
            mark,
            Mark::parse(&text.to_ascii_uppercase(), compat),
            "in any case"
        );
    }
    match State::parse_rpc(text) {
        Ok(state) => {
            let known = State::INACTIVE
                .union(State::TRYING)
                .union(State::DISABLED)
                .union(State::PROBING)
                .union(State::DRAINING);
            assert_eq!(
                state.without(known),
                State::ACTIVE,
                "a command sets no other flag"
            );
            assert_eq!(State::parse_rpc(&text.to_ascii_lowercase()), Ok(state));
        }
        Err(error) => assert_eq!(error == RpcStateError::Empty, text.is_empty()),
    }
    if let Some(compat) = Compat::parse(text) {
        assert!(ALL.contains(&compat) && text.len() == 3);
    }
    let flags = u32::from_le_bytes(number(&mut &*text));
    for compat in ALL {
        let state = State::from_list_flags(flags, compat);
        // A state that was kept once does not change when it is kept again.
        assert_eq!(State::from_kept(state.bits(), compat), state);
        assert_eq!(State::from_list_flags(state.bits(), compat), state);
    }
}
