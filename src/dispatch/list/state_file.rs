//! The text of the file that keeps over restarts what operators have set.
//!
//! It has a line for each destination whose administrative state is not the one that its list asks for.

use std::io::Write;

use super::destination::SetId;
use super::file::is_blank;
use crate::dispatch::text::number;

/// The first lines of each file.
const HEAD: &[u8] = b"# States that operators have set. Written by Kamailio's dispatcher module, read at \
its start.\n# set, flags in the list, flags instead, URI, and its number where the set repeats it\n";

/// The state of one destination that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptState {
    /// The set.
    pub set: SetId,
    /// The state flags that the list asked for when the file was written.
    pub listed: u32,
    /// The state flags that the destination is to have instead.
    pub flags: u32,
    /// The URI.
    pub uri: Vec<u8>,
    /// The number among the destinations of the set that have this URI, in the order of the list, from 1.
    pub number: usize,
}

/// Returns the text of a file.
#[must_use]
pub fn write(kept: &[KeptState]) -> Vec<u8> {
    let mut text = HEAD.to_vec();
    for one in kept {
        // Writing to a Vec cannot fail.
        let _ = write!(text, "{} {} {} ", one.set, one.listed, one.flags);
        text.extend_from_slice(&one.uri);
        if one.number > 1 {
            let _ = write!(text, " {}", one.number);
        }
        text.push(b'\n');
    }
    text
}

/// Reads a file; returns also the numbers of the lines that cannot be read, from 1.
#[must_use]
pub fn read(text: &[u8]) -> (Vec<KeptState>, Vec<usize>) {
    let (mut kept, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let words = line.split(|&byte| is_blank(byte));
        let mut words = words.filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none_or(|word| word.starts_with(b"#")) {
            continue;
        }
        match read_words(words) {
            Some(one) => kept.push(one),
            None => bad.push(number),
        }
    }
    (kept, bad)
}

fn read_words<'t>(mut words: impl Iterator<Item = &'t [u8]>) -> Option<KeptState> {
    let kept = KeptState {
        set: number(words.next()?)?,
        listed: number(words.next()?)?,
        flags: number(words.next()?)?,
        uri: words.next()?.to_vec(),
        number: match words.next() {
            Some(word) => number(word).filter(|&number| number > 0)?,
            None => 1,
        },
    };
    words.next().is_none().then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(set: SetId, flags: u32, uri: &[u8], number: usize) -> KeptState {
        KeptState {
            set,
            listed: 8,
            flags,
            uri: uri.to_vec(),
            number,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let all = [
            kept(1, 12, b"sip:192.0.2.1:5060;transport=tcp", 1),
            kept(-2, 72, b"sip:\xffname", 3),
            // A form feed is no blank in a list.
            kept(3, 4, b"sip:\x0cname\x0c", 1),
        ];
        assert_eq!(read(&write(&all)), (all.to_vec(), vec![]));
        assert_eq!(read(&write(&[])), (vec![], vec![]));
    }

    #[test]
    fn a_line_that_cannot_be_read_spares_the_others() {
        let text = b"1 0 4 sip:a\nx 0 4 sip:b\n1 0 sip:c\n1 0 4 sip:d 2 5\n1 0 4\n \n\
            1 0 4 sip:f 0\n1  0\t64 sip:e 2 \r";
        let (kept, bad) = read(text);
        let uris: Vec<&[u8]> = kept.iter().map(|one| one.uri.as_slice()).collect();
        assert_eq!(
            (uris, bad),
            (vec![&b"sip:a"[..], b"sip:e"], vec![2, 3, 4, 5, 7])
        );
    }
}
