//! Writing messages.

use core::fmt::{self, Write as _};

use super::hmac::{CODE_DIGITS, HmacKey};
use super::message::{Content, Data, Hello, Message, Told};

/// The most bytes around the lines of a hello's members: the first line, with names and numbers of full length, and the
/// code.
pub const MOST_AROUND: usize = 540;

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
    "M     \n".len() + told.name.len() + told.uri.len() + numbers
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
        Content::Leave | Content::Unknown => text.write_char('\n'),
    }
}

fn write_hello(text: &mut String, hello: &Hello<'_>) -> fmt::Result {
    let Hello {
        uri,
        ready,
        hello_ms,
        dead_ms,
        wall_ms,
        digest,
        members,
    } = hello;
    write!(
        text,
        " u={uri} r={} p={hello_ms:x} t={dead_ms:x} w={wall_ms:x}",
        u8::from(*ready)
    )?;
    if let Some(digest) = digest {
        write!(text, " d={digest:x}")?;
    }
    text.write_char('\n')?;
    for told in members {
        let Told {
            name,
            uri,
            incarnation,
            heard_ms,
        } = told;
        writeln!(text, "M {name} {uri} {incarnation:x} {heard_ms:x}")?;
    }
    Ok(())
}

fn write_data(text: &mut String, data: &Data) -> fmt::Result {
    writeln!(text, " o={:x} e={}", data.to, u8::from(data.end))?;
    for (key, register) in &data.registers {
        let (stamp, node) = (register.stamp.0, register.node.0);
        let (bits, base) = (register.bits, register.base);
        writeln!(text, "A {:x} {stamp:x} {node:x} {bits:x} {base:x}", key.0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::cluster::state::clock::Stamp;
    use crate::dispatch::cluster::state::key::{Key, NodeHash};
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
            registers: vec![(Key(0x83c1_d2e4_f5a6_0718), register)],
        });
        let hello = Content::Hello(Hello {
            uri: "sip:192.0.2.1:5060",
            ready: true,
            hello_ms: 1_000,
            dead_ms: 5_000,
            wall_ms: 0x192_f3a4_ffff,
            digest: Some(0xabc),
            members: vec![Told {
                name: "lb2",
                uri: "sip:192.0.2.2:5060",
                incarnation: 7,
                heard_ms: 16,
            }],
        });
        let cases = [
            (
                data,
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=D o=192f3a40001 e=1\n\
                A 83c1d2e4f5a60718 192f3a4b5c60001 9f2e6a7b8c0d1e2f 4 0\n",
            ),
            (
                hello,
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=H u=sip:192.0.2.1:5060 r=1 p=3e8 t=1388 \
                w=192f3a4ffff d=abc\nM lb2 sip:192.0.2.2:5060 7 10\n",
            ),
            (
                Content::Leave,
                "DSC 1.0 c=default n=lb1 i=192f3a4b5c6 s=1f4 k=V\n",
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
        });
        let length = write(&message(data), key.as_ref()).len();
        assert!(length <= MOST_WRITTEN, "{length}");

        let told = Told {
            name: &name,
            uri: &uri,
            incarnation: u64::MAX,
            heard_ms: u64::MAX,
        };
        let hello = |members| {
            Content::Hello(Hello {
                uri: &uri,
                ready: true,
                hello_ms: u64::MAX,
                dead_ms: u64::MAX,
                wall_ms: u64::MAX,
                digest: Some(u64::MAX),
                members,
            })
        };
        let around = write(&message(hello(vec![])), key.as_ref()).len();
        assert!(around <= MOST_AROUND, "{around}");
        let with_one = write(&message(hello(vec![told])), key.as_ref()).len();
        assert!(with_one - around <= line_bytes(&told));
    }
}
