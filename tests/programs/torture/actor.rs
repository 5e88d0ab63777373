//! The actors, each of which repeats one kind of operation on the server, or one kind of fault.

use rand::rngs::StdRng;

use super::overload::Reports;
use super::scene::Scene;
use super::{callers, machine, operators, processes};

/// One actor. It has a thread of its own in each round, and a source of random numbers that only the seed decides.
///
/// To add an actor, give it a place in [`cast`]. It books operations with `scene.ledger.did`, faults with
/// `scene.ledger.fault` and their effects with `hit`, and violations with `scene.wrong`. State that must hold later
/// belongs to the model, or to the actor itself and its `check`.
pub trait Actor: Send {
    /// Does one thing and ends it before it returns: a fault is undone, a command is answered.
    fn act(&mut self, scene: &Scene<'_>, random: &mut StdRng);

    /// Checks what must hold at a quiet point, when no actor acts and no process is stopped.
    fn check(&mut self, _scene: &Scene<'_>) {}

    /// Ends everything that the actor still has under way, before the memory is compared.
    fn leave(&mut self, _scene: &Scene<'_>) {}
}

/// Returns all actors of one server's life.
pub fn cast() -> Vec<Box<dyn Actor>> {
    let mut cast: Vec<Box<dyn Actor>> = Vec::new();
    cast.extend(callers::cast());
    cast.extend(operators::cast());
    cast.push(Box::new(Reports::default()));
    cast.extend(processes::cast());
    cast.extend(machine::cast());
    cast
}
