//! Words for arguments, those that commands and functions take and those that they refuse.

use super::chance::Chance;

/// Texts that some function or command understands, and texts that are nearly so. The canaries' set is not among them.
const WORDS: [&[u8]; 88] = [
    b"",
    b" ",
    b"1",
    b"2",
    b"3",
    b"4",
    b"-1",
    b"+1",
    b"01",
    b"0x1",
    b"1.5",
    b"1e3",
    b"99999999999999999999",
    b"2147483647",
    b"2147483648",
    b"-2147483648",
    b"4294967295",
    b"9223372036854775807",
    b"all",
    b"ALL",
    b"short",
    b"full",
    b"i",
    b"ip",
    b"a",
    b"ap",
    b"t",
    b"tp",
    b"d",
    b"drain",
    b"draining",
    b"r",
    b"rp",
    b"pppp",
    b"set=1",
    b"set=",
    b"set=x",
    b"duid=a",
    b"duid=",
    b"callid=",
    b"callid=garbage",
    b"flags",
    b"priority",
    b"attrs",
    b"empty",
    b"sip:127.0.0.1:5070",
    b"127.0.0.1:5070",
    b"sip:",
    b"sips:",
    b"sip:[::1]:5070;transport=tcp",
    b"sip:[::1",
    b"sip:u:p@h.test:5060;a=b;c?d=e&f=g",
    b"tel:+49-30-123456",
    b"urn:service:sos",
    b"sip:127.0.0.1:99999",
    b"sip:127.0.0.1:0",
    b"sip:127.0.0.1:-1",
    b"sip:%00@h.test",
    b"SIP:127.0.0.1:5070",
    b"duid=a;weight=50;rweight=10;maxload=3",
    b"duid=a;duid=a;duid",
    b"weight=;rweight=;cc=;maxload=",
    b"weight=4294967296;maxload=-2147483649",
    b"socket=udp:127.0.0.1:5060",
    b"socket=udp:[::1",
    b"sockname=nobody",
    b"obproxy=sip:",
    b"latency=-5;cc=2;ocmin=-1;ocmax=101",
    b";;;;===;=;",
    b"a=\"",
    b"a=\"\\",
    b"1=4;2=13",
    b"1=10;2=4;3=12;4=64",
    b"=;=;=",
    b"1=",
    b"1=999999999999",
    b"1=4;;2=5;",
    b"%s%n%s%n%n%n",
    b"%1000000000d",
    b"\x00",
    b"1\x001",
    b"\r\n",
    b"\xff\xfe\xfd",
    b"\xc3\x28",
    b"\xe2\x82",
    b"$var(a)$(ru)${",
    b"../../../../etc/passwd",
    b"'; DROP TABLE dispatcher; --",
];

/// Returns a word of at most `most` bytes: a known one, several of them, a number or any bytes, sometimes with a byte
/// changed.
pub fn word(chance: &mut Chance, most: usize) -> Vec<u8> {
    let mut word = match chance.below(8) {
        0..=3 => chance.pick(&WORDS).to_vec(),
        4 => chance.number().to_string().into_bytes(),
        5 => {
            let pieces = 1 + chance.below(5);
            let pieces: Vec<&[u8]> = (0..pieces).map(|_| *chance.pick(&WORDS)).collect();
            pieces.concat()
        }
        6 => {
            let length = chance.length(most);
            chance.bytes(length)
        }
        _ => {
            let piece = chance.pick(&WORDS).to_vec();
            let length = chance.length(most);
            piece.iter().copied().cycle().take(length).collect()
        }
    };
    if !word.is_empty() && chance.once_in(4) {
        let at = chance.below(word.len());
        word[at] = chance.byte();
    }
    word.truncate(most);
    word
}

/// Returns a word without line ends and NUL bytes, which fits into a line of a message.
pub fn line(chance: &mut Chance, most: usize) -> Vec<u8> {
    let mut word = word(chance, most);
    word.retain(|byte| !b"\r\n\0".contains(byte));
    word
}

/// Returns a word as valid UTF-8.
pub fn text(chance: &mut Chance, most: usize) -> String {
    String::from_utf8_lossy(&word(chance, most)).into_owned()
}
