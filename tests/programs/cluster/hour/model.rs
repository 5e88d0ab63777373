//! Which states destinations may have, by what operators have set.

/// Destinations whose states are set.
pub const DESTS: usize = 40;

/// An act of an operator.
struct Act {
    node: usize,
    word: &'static str,
    /// True if its node has died since, maybe before it told anybody.
    may_be_lost: bool,
}

/// What was set of one destination.
struct Dest {
    /// What all nodes agreed on at the last quiet check.
    settled: &'static str,
    /// What was set since then, oldest first.
    acts: Vec<Act>,
}

/// What was set.
pub struct Model(Vec<Dest>);

impl Model {
    /// Nothing was set.
    pub fn new() -> Self {
        let dest = || Dest {
            settled: "a",
            acts: Vec::new(),
        };
        Self((0..DESTS).map(|_| dest()).collect())
    }

    /// A state was set, later than all others, and its node has stamped it.
    pub fn act(&mut self, dest: usize, node: usize, word: &'static str) {
        self.0[dest].acts.push(Act {
            node,
            word,
            may_be_lost: false,
        });
    }

    /// A node has died: nobody may know what was set there last.
    pub fn died(&mut self, node: usize) {
        let acts = self.0.iter_mut().flat_map(|dest| &mut dest.acts);
        for act in acts.filter(|act| act.node == node) {
            act.may_be_lost = true;
        }
    }

    /// The states that a destination may have once all nodes agree.
    pub fn possible(&self, dest: usize) -> Vec<&'static str> {
        let Dest { settled, acts } = &self.0[dest];
        let last_known = acts.iter().rposition(|act| !act.may_be_lost);
        let since = &acts[last_known.unwrap_or(0)..];
        let before = last_known.is_none().then_some(*settled);
        since.iter().map(|act| act.word).chain(before).collect()
    }

    /// All nodes agree on this state.
    pub fn settle(&mut self, dest: usize, word: &'static str) {
        self.0[dest] = Dest {
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
        let mut model = Model::new();
        assert_eq!(model.possible(0), ["a"]);
        model.act(0, 1, "d");
        model.act(0, 2, "drain");
        assert_eq!(model.possible(0), ["drain"]);
        model.died(2);
        assert_eq!(model.possible(0), ["d", "drain"]);
        model.died(1);
        assert_eq!(model.possible(0), ["d", "drain", "a"]);
        model.settle(0, "d");
        assert_eq!(model.possible(0), ["d"]);
    }
}
