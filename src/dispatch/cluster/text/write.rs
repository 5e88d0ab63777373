//! Writing messages.

use core::fmt::{self, Write as _};

use super::hmac::{CODE_DIGITS, HmacKey};
use super::message::{Content, Data, Hello, Message, Reloaded, Told};
use crate::dispatch::cluster::state::ends::{CallEnd, Fate};
use crate::dispatch::cluster::state::key::Key;
use crate::dispatch::cluster::state::view::View;

/// The most bytes around the lines behind the first one: that one, with names and numbers of full length, and the code.
pub const MOST_AROUND: usize = 540;

/// The most bytes of the line of a register.
pub const REGISTER_BYTES: usize = "A     \n".len() + 3 * 16 + 2 * 8;

/// The most bytes of the line of a view.
pub const VIEW_BYTES: usize = "B    \n".len() + 16 + 3 * 8;

/// The most bytes of the line of a count of calls.
pub const CALLS_BYTES: usize = "L  \n".len() + 16 + 8;

/// Returns the most bytes of the line of the end of a call.
#[must_use]
pub fn end_bytes(end: &CallEnd) -> usize {
    "E o \n".len() + end.words().len()
}

/// Returns the text of a message, with its code if there is a key.
#[must_use]
pub fn write(message: &Message<'_>, key: Option<&HmacKey>) -> Vec<u8> {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_lines(&mut text, message);
    if let Some(key) = key {
        let code = key.code(text.as_bytes());
        debug_assert_eq!(code.len(), CODE_DIGITS);
        let _ = writeln!(text, "Z {code}");
    }
    text.into_bytes()
}

/// Returns the most bytes of the line of a member.
#[must_use]
pub const fn line_bytes(told: &Told<'_>) -> usize {
    let numbers = 2 * 16;
    "M     1\n".len() + told.name.len() + told.uri.len() + numbers
}

fn write_lines(text: &mut String, message: &Message<'_>) -> fmt::Result {
    let Message {
        cluster,
        node,
        incarnation,
        number,
        content,
    } = message;
    let kind = match content {
        Content::Hello(_) => 'H',
        Content::Data(_) => 'D',
        Content::Reload { .. } => 'R',
        Content::Reloaded(_) => 'S',
        Content::Leave => 'V',
        Content::Unknown => '?',
    };
    write!(
        text,
        "DSC 1.0 c={cluster} n={node} i={incarnation:x} s={number:x} k={kind}"
    )?;
    match content {
        Content::Hello(hello) => write_hello(text, hello),
        Content::Data(data) => write_data(text, data),
        Content::Reload { to } => writeln!(text, " o={to:x}"),
        Content::Reloaded(reloaded) => write_reloaded(text, reloaded),
        Content::Leave | Content::Unknown => text.write_char('\n'),
    }
}

fn write_hello(text: &mut String, hello: &Hello<'_>) -> fmt::Result {
    let Hello {
        uri,
        ready,
        started,
        hello_ms,
        dead_ms,
        wall_ms,
        digest,
        pings,
        members,
    } = hello;
    write!(
        text,
        " u={uri} r={} b={started:x} p={hello_ms:x} t={dead_ms:x} w={wall_ms:x}",
        u8::from(*ready)
    )?;
    if let Some(digest) = digest {
        write!(text, " d={digest:x}")?;
    }
    if let Some(pings) = pings {
        if pings.interval_ms > 0 {
            write!(text, " y={:x}", pings.true_ms)?;
        }
        write!(text, " g={:x}", pings.interval_ms)?;
    }
    text.write_char('\n')?;
    for told in members {
        let Told {
            name,
            uri,
            incarnation,
            heard_ms,
            taken,
        } = told;
        let taken = u8::from(*taken);
        writeln!(text, "M {name} {uri} {incarnation:x} {heard_ms:x} {taken}")?;
    }
    Ok(())
}

fn write_data(text: &mut String, data: &Data) -> fmt::Result {
    write!(text, " o={:x} e={}", data.to, u8::from(data.end))?;
    text.write_str(if data.begins { " f=1\n" } else { "\n" })?;
    for (key, register) in &data.registers {
        let (stamp, node) = (register.stamp.0, register.node.0);
        let (bits, base) = (register.bits, register.base);
        writeln!(text, "A {:x} {stamp:x} {node:x} {bits:x} {base:x}", key.0)?;
    }
    for (Key(key), view) in &data.views {
        match view {
            Some(View {
                failures,
                bits,
                phase_ms,
            }) => writeln!(text, "B {key:x} {failures:x} {bits:x} {phase_ms:x}")?,
            None => writeln!(text, "B {key:x} -")?,
        }
    }
    for (Key(key), calls) in &data.calls {
        match calls {
            Some(calls) => writeln!(text, "L {key:x} {calls:x}")?,
            None => writeln!(text, "L {key:x} -")?,
        }
    }
    for end in &data.ends {
        let fate = match end.fate {
            Fate::Over => 'o',
            Fate::Cancelled => 'c',
            Fate::Answered => 'a',
        };
        writeln!(text, "E {fate} {}", end.words())?;
    }
    Ok(())
}

fn write_reloaded(text: &mut String, reloaded: &Reloaded<'_>) -> fmt::Result {
    write!(text, " o={:x} q={:x}", reloaded.to, reloaded.asked)?;
    match reloaded.dests {
        Some(dests) => writeln!(text, " h={dests:x}"),
        None => writeln!(text, "\nT {}", reloaded.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::cluster::state::clock::Stamp;
    use crate::dispatch::cluster::state::key::NodeHash;
    use crate::dispatch::cluster::state::pings;
    use crate::dispatch::cluster::state::register::Register;
    use crate::dispatch::cluster::text::message::{
        MOST_NAME, MOST_REGISTERS, MOST_URI, MOST_WRITTEN,
    };

    #[test]
    fn texts_are_those_of_the_documentation() {
        let message = |content| Message {
            cluster: "default",
            node: "lb1",
            incarnation: 0x192_f3a4_b5c6,
            number: 0x1f4,
            content,
        };
        let register = Register {
            stamp: Stamp(0x192_f3a4_b5c6_0001),
            node: NodeHash(0x9f2e_6a7b_8c0d_1e2f),
            bits: 4,
            base: 0,
        };
        let data = Content::Data(Data {
            to: 0x192_f3a4_0001,
            end: true,
            begins: false,
            registers: vec![(Key(0x83c1_d2e4_f5a6_0718), register)],
            views: vec![
                (
                    Key(0xa),
                    Some(View {
                        failures: 2,
                        bits: 9,
                        phase_ms: 0x1f4,
                    }),
                ),
                (Key(0xb), None),
            ],
            calls: vec![(Key(0xa), Some(0x11)), (Key(0xb), None)],
            ends: CallEnd::of(Fate::Over, b"id@host", b"tag", b"")
                .into_iter()
                .collect(),
        });
        let hello = Content::Hello(Hello {
            uri: "sip:192.0.2.1:5060",
            ready: true,
            started: 0x192_f3a4_b5c6,
            hello_ms: 1_000,
            dead_ms: 5_000,
            wall_ms: 0x192_f3a4_ffff,
            digest: Some(0xabc),
            pings: Some(pings::Told {
                true_ms: 0x77,
                interval_ms: 0x2710,
            }),
            members: vec![Told {
                name: "lb2",
                uri: "sip:192.0.2.2:5060",
                incarnation: 7,
                heard_ms: 16,
                taken: true,
            }],
        });
        let reloaded = |dests, reason| {
            Content::Reloaded(Reloaded {
                to: 7,
                asked: 10,
                dests,
                reason,
            })
        };
        let cases = [
            (
                data,
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=D o=192f3a40001 e=1\n\
                A 83c1d2e4f5a60718 192f3a4b5c60001 9f2e6a7b8c0d1e2f 4 0\n\
                B a 2 9 1f4\nB b -\nL a 11\nL b -\nE o id@host tag /\n",
            ),
            (
                hello,
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=H u=sip:192.0.2.1:5060 r=1 b=192f3a4b5c6 p=3e8 t=1388 \
                w=192f3a4ffff d=abc y=77 g=2710\nM lb2 sip:192.0.2.2:5060 7 10 1\n",
            ),
            (
                Content::Leave,
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=V\n",
            ),
            (
                Content::Reload { to: 7 },
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=R o=7\n",
            ),
            (
                reloaded(Some(16), ""),
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=S o=7 q=a h=10\n",
            ),
            (
                reloaded(None, "line 3: no URI"),
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=S o=7 q=a\nT line 3: no URI\n",
            ),
        ];
        for (content, expected) in cases {
            let text = write(&message(content), None);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    #[test]
    fn no_message_of_full_length_is_larger_than_it_may_be() {
        let (name, uri) = ("n".repeat(MOST_NAME), "u".repeat(MOST_URI));
        let key = HmacKey::new(b"secret");
        let message = |content| Message {
            cluster: &name,
            node: &name,
            incarnation: u64::MAX,
            number: u64::MAX,
            content,
        };
        let register = Register {
            stamp: Stamp(u64::MAX),
            node: NodeHash(u64::MAX),
            bits: u32::MAX,
            base: u32::MAX,
        };
        let data = Content::Data(Data {
            to: u64::MAX,
            end: true,
            registers: vec![(Key(u64::MAX), register); MOST_REGISTERS],
            ..Data::default()
        });
        let length = write(&message(data), key.as_ref()).len();
        assert!(length <= MOST_WRITTEN, "{length}");
        let view = View {
            failures: u32::MAX,
            bits: u32::MAX,
            phase_ms: u32::MAX,
        };
        let with = |registers, views, calls| {
            let data = Data {
                to: u64::MAX,
                end: true,
                begins: true,
                registers: vec![(Key(u64::MAX), register); registers],
                views: vec![(Key(u64::MAX), Some(view)); views],
                calls: vec![(Key(u64::MAX), Some(u32::MAX)); calls],
                ends: Vec::new(),
            };
            write(&message(Content::Data(data)), key.as_ref()).len()
        };
        let around = with(0, 0, 0);
        assert!(around <= MOST_AROUND, "{around}");
        let lines = [with(1, 0, 0), with(0, 1, 0), with(0, 0, 1)].map(|bytes| bytes - around);
        assert_eq!(lines, [REGISTER_BYTES, VIEW_BYTES, CALLS_BYTES]);
        for tag in ["", "tag"] {
            let end = CallEnd::of(Fate::Answered, b"id", b"from", tag.as_bytes()).unwrap();
            let bytes = end_bytes(&end);
            let data = Data {
                to: u64::MAX,
                end: true,
                begins: true,
                ends: vec![end],
                ..Data::default()
            };
            let length = write(&message(Content::Data(data)), key.as_ref()).len();
            assert_eq!(length - around, bytes);
        }

        let told = Told {
            name: &name,
            uri: &uri,
            incarnation: u64::MAX,
            heard_ms: u64::MAX,
            taken: true,
        };
        let hello = |members| {
            Content::Hello(Hello {
                uri: &uri,
                ready: true,
                started: u64::MAX,
                hello_ms: u64::MAX,
                dead_ms: u64::MAX,
                wall_ms: u64::MAX,
                digest: Some(u64::MAX),
                pings: Some(pings::Told {
                    true_ms: u64::MAX,
                    interval_ms: u64::MAX,
                }),
                members,
            })
        };
        let around = write(&message(hello(vec![])), key.as_ref()).len();
        assert!(around <= MOST_AROUND, "{around}");
        let with_one = write(&message(hello(vec![told])), key.as_ref()).len();
        assert!(with_one - around <= line_bytes(&told));
    }
}
