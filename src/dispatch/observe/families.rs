//! The families of metrics, as data: [`FAMILIES`] is what the page of metrics and its documentation are made of.

/// The beginning of all names.
pub const PREFIX: &str = "kamailio_dispatcher_";

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It goes up, and begins at 0 with the server.
    #[allow(dead_code)]
    Counter,
}

/// A family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name, without [`PREFIX`].
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it says, in one line.
    pub help: &'static str,
}

/// Makes each family a constant with its place in the table.
macro_rules! families {
    ($($id:ident $name:literal $kind:ident $help:literal;)*) => {
        /// All families, in the order of the page.
        pub const FAMILIES: &[Family] = &[
            $(Family { name: $name, kind: Kind::$kind, help: $help },)*
        ];

        /// The place of a family in [`FAMILIES`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Id {
            $(
                #[doc = $help]
                $id,
            )*
        }
    };
}

families! {
    BuildInfo "build_info" Gauge "Always 1; the labels say what runs.";
    Sets "sets" Gauge "Sets in use.";
    ListDestinations "list_destinations" Gauge "Destinations in use.";
}

impl Id {
    /// Returns the family.
    #[must_use]
    pub fn family(self) -> &'static Family {
        const NONE: Family = Family {
            name: "",
            kind: Kind::Gauge,
            help: "",
        };
        FAMILIES.get(self as usize).unwrap_or(&NONE)
    }
}
