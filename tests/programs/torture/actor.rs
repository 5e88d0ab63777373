//! Whoever does something again and again: an operation on the server, or a fault.

use rand::rngs::StdRng;

use super::overload::Reports;
use super::scene::Scene;
use super::{callers, machine, operators, processes};

/// One actor. It has a thread of its own in each round, and a source of random numbers that only the seed decides.
///
/// Whoever adds one: book what was done with `scene.ledger.did`, a fault with `scene.ledger.fault`, and what should not
/// have been with `scene.wrong`; give it a place in [`cast`]. What must hold later belongs into the model, or into the
/// actor itself and its `check`.
pub trait Actor: Send {
    /// Does one thing, and has ended it when it returns: a fault is undone, a command is answered.
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng);

    /// Says at a quiet point what is wrong: no actor acts, no process is stopped.
    fn check(&mut self, _scene: &Scene<'_>) {}

    /// Ends what it still has under way at the server, before the memory is compared.
    fn leave(&mut self, _scene: &Scene<'_>) {}
}

/// All actors of one server's life.
pub fn cast() -> Vec<Box<dyn Actor>> {
    let mut cast: Vec<Box<dyn Actor>> = Vec::new();
    cast.extend(callers::cast());
    cast.extend(operators::cast());
    cast.push(Box::new(Reports::default()));
    cast.extend(processes::cast());
    cast.extend(machine::cast());
    cast
}
