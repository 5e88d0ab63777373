//! The key that members share, and the code of a message under it.

use core::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Hexadecimal digits of a code: the first 128 bits of HMAC-SHA-256.
pub const CODE_DIGITS: usize = 32;

/// Bytes of a code.
const CODE_BYTES: usize = CODE_DIGITS / 2;

/// The key that the members of a cluster share.
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    /// Makes a key of any bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        // HMAC takes keys of any length; an empty one would protect nothing.
        let hmac = Hmac::new_from_slice(secret).ok()?;
        (!secret.is_empty()).then_some(Self(hmac))
    }

    /// Returns the code of a message.
    #[must_use]
    pub fn code(&self, text: &[u8]) -> String {
        let bytes = self.after(text).finalize().into_bytes();
        let digits = bytes.iter().take(CODE_BYTES);
        digits.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Tells whether this is the code of a message, in the same time wherever a wrong one differs.
    #[must_use]
    pub fn fits(&self, text: &[u8], code: &[u8]) -> bool {
        let Some(bytes) = bytes_of(code) else {
            return false;
        };
        self.after(text).verify_truncated_left(&bytes).is_ok()
    }

    fn after(&self, text: &[u8]) -> Hmac<Sha256> {
        let mut hmac = self.0.clone();
        hmac.update(text);
        hmac
    }
}

/// Reads a code; `None` if it has another length or is no number.
fn bytes_of(code: &[u8]) -> Option<[u8; CODE_BYTES]> {
    let code: &[u8; CODE_DIGITS] = code.try_into().ok()?;
    let mut bytes = [0; CODE_BYTES];
    for (byte, digits) in bytes.iter_mut().zip(code.chunks_exact(2)) {
        let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_4231() {
        // Test case 2, and test case 5, which is cut to 128 bits there as well.
        let key = HmacKey::new(b"Jefe").unwrap();
        let text = b"what do ya want for nothing?";
        assert_eq!(key.code(text), "5bdcc146bf60754e6a042426089575c7");
        let key = HmacKey::new(&[0x0c; 20]).unwrap();
        let text = b"Test With Truncation";
        assert_eq!(key.code(text), "a3b6167473100ee06e0c796c2955552b");
    }

    #[test]
    fn only_the_whole_code_of_this_text_under_this_key_fits() {
        let key = HmacKey::new(b"secret").unwrap();
        let code = key.code(b"text");
        assert!(key.fits(b"text", code.as_bytes()));
        assert!(key.fits(b"text", code.to_uppercase().as_bytes()));
        assert!(!key.fits(b"texT", code.as_bytes()));
        assert!(
            !HmacKey::new(b"other")
                .unwrap()
                .fits(b"text", code.as_bytes())
        );
        assert!(!key.fits(b"text", &code.as_bytes()[..30]));
        assert!(!key.fits(b"text", b""));
        assert!(!key.fits(b"text", &[b'g'; CODE_DIGITS]));
        for at in 0..CODE_DIGITS {
            let mut spoiled = code.clone().into_bytes();
            spoiled[at] = if spoiled[at] == b'0' { b'1' } else { b'0' };
            assert!(!key.fits(b"text", &spoiled));
        }
    }

    #[test]
    fn an_empty_secret_is_no_key_and_none_is_shown() {
        assert!(HmacKey::new(b"").is_none());
        assert_eq!(format!("{:?}", HmacKey::new(b"secret").unwrap()), "HmacKey");
    }
}
