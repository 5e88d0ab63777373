//! Which states destinations may have, by what operators have set.

/// Destinations whose states are set.
pub const DESTS: usize = 40;

/// Destinations at the end of the list that some lists do not have.
pub const LATE: usize = 10;

/// An act of an operator.
struct Act {
    node: usize,
    word: &'static str,
    /// True if its node has died since, maybe before it told anybody.
    may_be_lost: bool,
}

/// The acts on one destination.
struct Dest {
    /// The state on which all nodes agreed at the last quiet check.
    settled: &'static str,
    /// The acts since then, oldest first.
    acts: Vec<Act>,
}

/// What was set.
pub struct Model {
    dests: Vec<Dest>,
    /// The nodes that have died since the last quiet check while their lists were without the late destinations. Their
    /// state files do not have those either.
    forgetful: Vec<bool>,
}

impl Model {
    /// Nothing was set on so many nodes.
    pub fn new(nodes: usize) -> Self {
        let dest = || Dest {
            settled: "a",
            acts: Vec::new(),
        };
        Self {
            dests: (0..DESTS).map(|_| dest()).collect(),
            forgetful: vec![false; nodes],
        }
    }

    /// A state was set, later than all others, and its node has stamped it.
    pub fn act(&mut self, dest: usize, node: usize, word: &'static str) {
        self.dests[dest].acts.push(Act {
            node,
            word,
            may_be_lost: false,
        });
    }

    /// A node has died, with all destinations in its list or without the late ones: nobody may know what was set there last.
    pub fn died(&mut self, node: usize, was_whole: bool) {
        self.forgetful[node] |= !was_whole;
        let acts = self.dests.iter_mut().flat_map(|dest| &mut dest.acts);
        for act in acts.filter(|act| act.node == node) {
            act.may_be_lost = true;
        }
    }

    /// The states that a destination may have once all nodes agree.
    pub fn possible(&self, dest: usize) -> Vec<&'static str> {
        let Dest { settled, acts } = &self.dests[dest];
        let last_known = acts.iter().rposition(|act| !act.may_be_lost);
        let since = &acts[last_known.unwrap_or(0)..];
        let before = last_known.is_none().then_some(*settled);
        let is_late = dest >= DESTS - LATE;
        let forgotten = (is_late && self.forgetful.iter().all(|one| *one)).then_some("a");
        since
            .iter()
            .map(|act| act.word)
            .chain(before)
            .chain(forgotten)
            .collect()
    }

    /// All nodes have all destinations in their lists.
    pub fn all_know(&mut self) {
        self.forgetful.fill(false);
    }

    /// All nodes agree on this state.
    pub fn settle(&mut self, dest: usize, word: &'static str) {
        self.dests[dest] = Dest {
            settled: word,
            acts: Vec::new(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_may_be_lost_only_with_its_node() {
        let mut model = Model::new(3);
        assert_eq!(model.possible(0), ["a"]);
        model.act(0, 1, "d");
        model.act(0, 2, "drain");
        assert_eq!(model.possible(0), ["drain"]);
        model.died(2, true);
        assert_eq!(model.possible(0), ["d", "drain"]);
        model.died(1, true);
        assert_eq!(model.possible(0), ["d", "drain", "a"]);
        model.settle(0, "d");
        assert_eq!(model.possible(0), ["d"]);
    }
    #[test]
    fn late_destinations_are_forgotten_only_where_no_node_knows_them() {
        let mut model = Model::new(2);
        let late = DESTS - 1;
        model.settle(0, "d");
        model.settle(late, "d");
        model.died(0, false);
        model.died(1, true);
        assert_eq!(model.possible(late), ["d"]);
        model.died(1, false);
        assert_eq!(
            (model.possible(late), model.possible(0)),
            (vec!["d", "a"], vec!["d"])
        );
        model.all_know();
        assert_eq!(model.possible(late), ["d"]);
    }
}
