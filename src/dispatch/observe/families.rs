//! The families of metrics, as data: the page of metrics is made of [`FAMILIES`], and its documentation is held against
//! it (tests/documents.rs).

/// The beginning of all names.
pub const PREFIX: &str = "kamailio_dispatcher_";

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It goes up, and begins at 0 with the server.
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
    ($($id:ident $kind:ident $name:literal $help:literal;)*) => {
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
    BuildInfo Gauge "build_info" "Always 1; the labels say what runs.";
    Sets Gauge "sets" "Sets in use.";
    ListDestinations Gauge "list_destinations" "Destinations in use.";
    ListRejected Gauge "list_rejected" "Destinations that were left out of the list in use.";
    Loads Counter "loads_total" "Loads and reloads of the list, by result.";
    LastLoadSuccess Gauge "last_load_success" "1 if the last load took the list, 0 if it was refused.";
    LastLoadTime Gauge "last_load_success_timestamp_seconds" "When a list was last taken.";
    Edits Counter "edits_total" "Changes of one destination by command, by kind.";
    PingsEnabled Gauge "pings_enabled" "1 while pings are sent.";
    CallsExpired Counter "calls_expired_total" "Counted calls that were ended because their time was over.";
    Refusals Counter "refusals_total" "Times that a destination has refused a request, by limit: maxload, bounded_load, cps.";
    EventsDropped Counter "events_dropped_total" "Events that no route was told of, with counters.";
    StatesSaved Gauge "states_saved" "1 while what operators have set is kept for a restart, 0 while that fails.";
    ClusterReady Gauge "cluster_ready" "1 once this server has what the other servers of its cluster have.";
    ClusterNodes Gauge "cluster_nodes" "Servers of the cluster that are alive, with this one.";
    ClusterMessages Counter "cluster_messages_total" "Messages to other servers of the cluster and from them, with counters.";
    ClusterRefused Counter "cluster_refused_total" "Messages and states that were refused, here or by other servers, with counters.";
    ClusterEnds Counter "cluster_call_ends_total" "Ends of calls not counted here, by whether other servers were told, with counters.";
    ClusterWatched Gauge "cluster_watched" "Destinations that this server pings itself, and does not rely on another one.";
    ClusterPingsSpared Counter "cluster_pings_spared_total" "Pings not sent, because another server of the cluster has sent one, with counters.";
    DestinationsOmitted Gauge "destinations_omitted" "Destinations without metrics of their own, by metrics_destinations.";
    SetInfo Gauge "set_info" "Always 1; the name of a set, by set_name.";
    SetDestinations Gauge "set_destinations" "Destinations of a set, by state.";
    SetSelections Counter "set_selections_total" "Selections that found a destination, first or by failover, with counters 2.";
    SetSelectionsFailed Counter "set_selections_failed_total" "Selections that found no destination, with counters 2.";
    SetFailovers Counter "set_failovers_total" "Destinations that were left for the next one, with counters 2.";
    SetCalls Gauge "set_calls" "Calls that are counted at the destinations of a set.";
    DestinationUp Gauge "destination_up" "1 if new calls may come to the destination, else 0.";
    DestinationState Gauge "destination_state" "1 for the state that the destination is in, else 0.";
    DestinationInfo Gauge "destination_info" "Always 1; the labels are of the list: priority, and what metrics_attrs names.";
    DestinationChanged Gauge "destination_state_change_timestamp_seconds" "When the state was last set.";
    DestinationCalls Gauge "destination_calls" "Calls that are counted at the destination.";
    DestinationCallsElsewhere Gauge "destination_calls_elsewhere" "Calls that other servers of the cluster count at the destination.";
    DestinationPingedHere Gauge "destination_pinged_here" "1 if this server of the cluster pings the destination itself, 0 if it relies on another one.";
    DestinationFoundElsewhere Gauge "destination_found_elsewhere" "Other servers of the cluster that ping the destination, by what they find.";
    DestinationCallsLimit Gauge "destination_calls_limit" "The most calls that the destination takes, by maxload.";
    DestinationSelections Counter "destination_selections_total" "How often it was chosen, first or by failover, with counters 2.";
    DestinationFailovers Counter "destination_failovers_total" "How often it was left for the next one, with counters 2.";
    Pings Counter "destination_pings_total" "Pings that have ended.";
    PingsFailed Counter "destination_pings_failed_total" "Pings with a bad result, or that could not be sent.";
    Answered Counter "destination_requests_answered_total" "Requests that the destination has answered, with ds_passive.";
    Failed Counter "destination_requests_failed_total" "Requests that count as failures of the destination, with ds_passive.";
    Ejections Counter "destination_ejections_total" "How often it was ejected by its traffic, with ds_passive.";
    RoundTrip Gauge "destination_ping_round_trip_seconds" "Time from the last ping to its reply.";
    Latency Gauge "destination_ping_latency_seconds" "Estimate of the time to a reply, over the last pings.";
    Overload Gauge "destination_overload_ratio" "Share of calls to pass over that the destination has reported, while the report holds.";
    ScrapeDuration Gauge "scrape_duration_seconds" "Time that this page took to make.";
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

/// Some of the families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families(u64);

impl Families {
    /// All of them.
    pub const ALL: Families = Families(u64::MAX);
    /// None of them.
    pub const NONE: Families = Families(0);

    /// Returns the family with this name, with or without [`PREFIX`]; `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Families> {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let at = FAMILIES.iter().position(|family| family.name == name)?;
        Some(Families(1 << at))
    }

    /// Returns true if the family is one of them.
    #[must_use]
    pub const fn has(self, id: Id) -> bool {
        self.0 & (1 << id as u64) != 0
    }

    /// Returns how many of them are about single destinations.
    #[must_use]
    pub fn of_destinations(self) -> usize {
        let about = |(at, family): &(usize, &Family)| {
            family.name.starts_with("destination_") && self.0 & (1 << at) != 0
        };
        FAMILIES.iter().enumerate().filter(about).count()
    }

    /// Returns those of both.
    #[must_use]
    pub const fn with(self, other: Families) -> Families {
        Families(self.0 | other.0)
    }

    /// Returns these without those of `other`.
    #[must_use]
    pub const fn without(self, other: Families) -> Families {
        Families(self.0 & !other.0)
    }
}

// Each family has a bit.
const _: () = assert!(FAMILIES.len() <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        for family in FAMILIES {
            let name = family.name;
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(is_plain), "{name}");
            assert_eq!(
                name.ends_with("_total"),
                family.kind == Kind::Counter,
                "{name}"
            );
            assert!(family.help.ends_with('.') && !family.help.contains('\n'));
        }
        let up = Families::named("destination_up").unwrap();
        assert_eq!(
            Families::named("kamailio_dispatcher_destination_up"),
            Some(up)
        );
        assert!(up.has(Id::DestinationUp) && !up.has(Id::Sets));
        assert!(!Families::ALL.without(up).has(Id::DestinationUp));
        assert!(Families::NONE.with(up).has(Id::DestinationUp));
        assert_eq!(Families::named("up"), None);
    }
}
