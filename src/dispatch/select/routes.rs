//! The rules of `ds_select_routes`: sets and their algorithms, in the order of preference.

use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::character::complete::{char, digit1};
use nom::combinator::{eof, map_opt, opt};
use nom::{Finish, IResult, Parser};

use crate::dispatch::list::destination::SetId;
use crate::dispatch::text;

/// A set, and the number of the algorithm that selects from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRule {
    /// The set.
    pub set: SetId,
    /// The algorithm's number.
    pub algorithm: i32,
}

/// The error of a text that is not rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRules {
    /// Offset in bytes of the first byte that fits nowhere.
    pub at: usize,
}

/// Reads `set=algorithm;set=algorithm…`, without blanks. The last `;` may be left out. A last set without an algorithm
/// has algorithm 0, as has a set with an empty one.
///
/// # Errors
/// [`BadRules`], also for a text without a rule.
pub fn parse(text: &[u8]) -> Result<Vec<RouteRule>, BadRules> {
    let mut rules = Vec::new();
    let mut rest = text;
    while rules.is_empty() || !rest.is_empty() {
        let (after, rule) = rule(rest).finish().map_err(|error| BadRules {
            at: text.len() - error.input.len(),
        })?;
        rules.push(rule);
        rest = after;
    }
    Ok(rules)
}

/// Reads a rule with the `;` or the end behind it.
fn rule(input: &[u8]) -> IResult<&[u8], RouteRule> {
    let (rest, set) = number(input)?;
    let without_algorithm = eof.map(|_| None);
    let with_algorithm =
        (char('='), opt(number), alt((eof, tag(";")))).map(|(_, number, _)| number);
    let (rest, algorithm) = alt((without_algorithm, with_algorithm)).parse(rest)?;
    let algorithm = algorithm.unwrap_or(0);
    Ok((rest, RouteRule { set, algorithm }))
}

fn number(input: &[u8]) -> IResult<&[u8], i32> {
    map_opt(digit1, text::number).parse(input)
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
