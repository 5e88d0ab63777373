//! The text format of Prometheus, version 0.0.4.

use core::fmt::{Display, Write};

use super::families::{Id, Kind, PREFIX};

/// The content type of the format; Prometheus 3 takes no page without it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Makes a page in memory that `reserve` asks for.
    ///
    /// # Errors
    /// Those of `reserve`.
    pub fn with_room<E>(reserve: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Self, E> {
        let mut text = Vec::new();
        reserve(&mut text)?;
        text.clear();
        Ok(Page(String::from_utf8(text).unwrap_or_default()))
    }

    /// Adds a family with its samples, each as labels and value. A family without samples is left out.
    pub fn add<L: AsRef<str>, V: Display>(
        &mut self,
        id: Id,
        samples: impl Iterator<Item = (L, V)>,
    ) {
        let family = id.family();
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return;
        }
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let (name, help) = (family.name, family.help);
        // Writing to memory does not fail.
        let _ = write!(
            self.0,
            "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n"
        );
        for (labels, value) in samples {
            let labels = labels.as_ref();
            let _ = if labels.is_empty() {
                writeln!(self.0, "{PREFIX}{name} {value}")
            } else {
                writeln!(self.0, "{PREFIX}{name}{{{labels}}} {value}")
            };
        }
    }

    /// Returns the page.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Adds a label to those of a sample: `name="value"`, with escapes, and U+FFFD for what is no UTF-8.
pub fn add_label(labels: &mut String, name: &str, value: &[u8]) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => labels.push_str("\\\""),
                '\\' => labels.push_str("\\\\"),
                '\n' => labels.push_str("\\n"),
                other => labels.push(other),
            }
        }
        if !chunk.invalid().is_empty() {
            labels.push(char::REPLACEMENT_CHARACTER);
        }
    }
    labels.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_and_type_and_then_its_samples() {
        let mut page = Page::default();
        let mut labels = String::new();
        add_label(&mut labels, "version", b"0.1");
        add_label(&mut labels, "server", b"a\"\\\n\xff\xfe\xc3\xa9");
        page.add(Id::BuildInfo, [(labels.as_str(), 1)].into_iter());
        page.add(Id::Sets, std::iter::empty::<(&str, u32)>());
        page.add(Id::ListDestinations, [("", 0.5)].into_iter());
        assert_eq!(
            page.text(),
            "# HELP kamailio_dispatcher_build_info Always 1; the labels say what runs.\n\
             # TYPE kamailio_dispatcher_build_info gauge\n\
             kamailio_dispatcher_build_info{version=\"0.1\",server=\"a\\\"\\\\\\n\u{fffd}\u{fffd}\u{e9}\"} 1\n\
             # HELP kamailio_dispatcher_list_destinations Destinations in use.\n\
             # TYPE kamailio_dispatcher_list_destinations gauge\n\
             kamailio_dispatcher_list_destinations 0.5\n"
        );
    }
}
