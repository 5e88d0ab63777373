//! A database's URL: `driver://user:password@host:port/name`.

use std::borrow::Cow;

/// Returns the name of the driver, which ends at the first `:`.
#[must_use]
pub fn driver(url: &[u8]) -> &[u8] {
    url.split(|byte| *byte == b':').next().unwrap_or_default()
}

/// Returns the URL without its password, for messages.
///
/// The password begins at the first `:` behind the scheme and ends at the last `@`, as a password may contain an `@`.
#[must_use]
pub fn without_password(url: &[u8]) -> Cow<'_, [u8]> {
    let Some(slashes) = url.windows(3).position(|three| three == b"://") else {
        return Cow::Borrowed(url);
    };
    let (scheme, rest) = url.split_at(slashes.saturating_add(3));
    let Some(at) = rest.iter().rposition(|byte| *byte == b'@') else {
        return Cow::Borrowed(url);
    };
    let (login, place) = rest.split_at(at);
    match login.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let user = login.get(..colon).unwrap_or_default();
            Cow::Owned([scheme, user, place].concat())
        }
        None => Cow::Borrowed(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_the_scheme() {
        assert_eq!(driver(b"mysql://u:p@h/d"), b"mysql");
        assert_eq!(driver(b"text:///etc/x"), b"text");
        assert_eq!(driver(b"nothing"), b"nothing");
    }

    #[test]
    fn no_password_is_shown() {
        let cases = [
            ("mysql://u:p@h/d", "mysql://u@h/d"),
            ("mysql://u:p@ss:w/rd@h:33/d", "mysql://u@h:33/d"),
            ("mysql://u@h:33/d", "mysql://u@h:33/d"),
            ("postgres://h:54/d", "postgres://h:54/d"),
            ("mysql://:p@h/d", "mysql://@h/d"),
            ("sqlite:///a:b/c.db", "sqlite:///a:b/c.db"),
            ("text", "text"),
        ];
        for (url, shown) in cases {
            assert_eq!(without_password(url.as_bytes()), shown.as_bytes(), "{url}");
        }
    }
}
