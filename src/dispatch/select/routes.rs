//! The rules of `ds_select_routes`: sets and their algorithms, in the order of preference.

#![forbid(unsafe_code)]

use crate::dispatch::list::destination::SetId;

/// A set, and the number of the algorithm that chooses from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The set.
    pub set: SetId,
    /// Its algorithm.
    pub algorithm: i32,
}

/// What is wrong with a text of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRules {
    /// Offset in bytes of the first that fits nowhere.
    pub at: usize,
}

/// Reads `set=algorithm;set=algorithm…`, without blanks. The last `;` may be there or not; a last
/// set without an algorithm has algorithm 0.
///
/// # Errors
/// [`BadRules`], also for a text without a rule.
///
/// Source: `features.md` 3.9; observed from the C module 5.6.3.
pub fn parse(text: &[u8]) -> Result<Vec<Rule>, BadRules> {
    let mut rules = Vec::new();
    let mut at = 0;
    while rules.is_empty() || at < text.len() {
        let set = number(text, &mut at).ok_or(BadRules { at })?;
        let mut algorithm = 0;
        if text.get(at) == Some(&b'=') {
            at += 1;
            if at < text.len() && text.get(at) != Some(&b';') {
                algorithm = number(text, &mut at).ok_or(BadRules { at })?;
            }
        } else if at < text.len() {
            return Err(BadRules { at });
        }
        match text.get(at) {
            None => {}
            Some(b';') => at += 1,
            Some(_) => return Err(BadRules { at }),
        }
        rules.push(Rule { set, algorithm });
    }
    Ok(rules)
}

/// The digits from `at` on, which moves behind them; `None` where there are none, or too many.
fn number(text: &[u8], at: &mut usize) -> Option<i32> {
    let rest = text.get(*at..)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = core::str::from_utf8(rest.get(..digits)?)
        .ok()?
        .parse()
        .ok()?;
    *at += digits;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<Vec<(i32, i32)>, usize> {
        parse(text.as_bytes())
            .map(|rules| rules.iter().map(|r| (r.set, r.algorithm)).collect())
            .map_err(|bad| bad.at)
    }

    #[test]
    fn rules_are_read() {
        assert_eq!(rules("1=8;2=4"), Ok(vec![(1, 8), (2, 4)]));
        assert_eq!(rules("1"), Ok(vec![(1, 0)]));
        assert_eq!(rules("1=8;"), Ok(vec![(1, 8)]));
        assert_eq!(rules("1="), Ok(vec![(1, 0)]));
        assert_eq!(rules("1=8;2"), Ok(vec![(1, 8), (2, 0)]));
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            (" 1=8", 0),
            ("=8", 0),
            ("-1=8", 0),
            ("1;2", 1),
            ("1=8,2=8", 3),
            ("1==8", 2),
            ("1=8=2", 3),
            ("1=8;;2=8", 4),
            ("1=8; 2=8", 4),
            ("1=8;x", 4),
            ("99999999999=1", 0),
        ] {
            assert_eq!(rules(text), Err(at), "{text:?}");
        }
    }
}
