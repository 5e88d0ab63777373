//! What happens to servers.

use dispatcher::dispatch::cluster::node::action::Command;
use dispatcher::dispatch::cluster::state::key::Key;
use dispatcher::dispatch::cluster::state::rules::Rules;

use crate::judge::Act;
use crate::plan::{Incident, Memory, address};
use crate::server::Registers;
use crate::world::{Event, World};

impl<R: Rules> World<R> {
    pub(crate) fn incident(&mut self, incident: Incident) {
        self.say(|| format!("{incident:x?}"));
        let servers = self.servers.len();
        match incident {
            Incident::Act(server, key, bits) => self.set(server, key, bits),
            Incident::Tie(key) => {
                for server in 0..servers {
                    let before = self.figures.acts;
                    self.set(server, key, [0, 4, 64][server % 3]);
                    self.figures.ties += self.figures.acts - before;
                }
            }
            Incident::Burst(server, bits) => {
                let keys: Vec<_> = self.servers[server].list.keys().copied().collect();
                for key in keys {
                    self.set(server, key, bits);
                }
            }
            Incident::Cut(from, to) => {
                self.figures.cuts += 1;
                self.network.cut.insert((from, to));
            }
            Incident::Split(mask) => {
                self.figures.splits += 1;
                let group = |server: usize| mask >> (server % 128) & 1;
                for from in 0..servers {
                    let others = (0..servers).filter(|&to| group(from) != group(to));
                    self.network.cut.extend(others.map(|to| (from, to)));
                }
            }
            Incident::Heal => self.network.cut.clear(),
            Incident::Kill(server) => {
                self.figures.crashes += u64::from(self.servers[server].node.is_some());
                self.servers[server].kill();
            }
            Incident::Start(server, memory) => self.start(server, memory),
            Incident::Stop {
                server,
                ms,
                only_process,
            } => {
                self.figures.stops += 1;
                // Messages that wait for it are taken in order, so no stop ends before the last one would.
                let until_ms = &mut self.servers[server].stopped_until_ms;
                *until_ms = (self.time_ms + ms).max(*until_ms);
                self.servers[server].only_process = only_process;
            }
            Incident::Save(server) => {
                if self.servers[server].node.is_some() {
                    self.servers[server].kept = self.servers[server].registers();
                }
            }
            Incident::Reload(server, key, flags) => self.reload(server, key, flags),
            Incident::Rollout(key, flags) => {
                for server in 0..servers {
                    self.reload(server, key, flags);
                }
            }
            Incident::Calls(server, key, calls) => {
                (0..calls).for_each(|_| self.call_begins(server, key));
            }
            Incident::Ends(server, calls) => (0..calls).for_each(|_| self.call_ends(server)),
            Incident::Leave(server) => {
                self.figures.leaves += 1;
                self.command(server, Command::Leave);
            }
            Incident::Sync(server) => self.command(server, Command::Sync),
            Incident::StopPings(server, ms) => {
                self.servers[server].pinger.stuck_until_ms = self.time_ms + ms;
            }
            Incident::Gateway(..) | Incident::Reach(..) | Incident::Isolate(..) => {
                self.gateway_incident(&incident);
            }
            Incident::Forget(server, other) => {
                let name = self.servers[other].settings.node.clone();
                self.servers[server]
                    .taken
                    .retain(|(sender, _, _), _| *sender != name);
                self.command(server, Command::Forget(&name));
            }
        }
    }

    fn gateway_incident(&mut self, incident: &Incident) {
        let Some(gateways) = &mut self.gateways else {
            return;
        };
        match *incident {
            Incident::Gateway(key, true) => _ = gateways.dead.remove(&key),
            Incident::Gateway(key, false) => _ = gateways.dead.insert(key),
            Incident::Reach(server, key, true) => _ = gateways.cut.remove(&(server, key)),
            Incident::Reach(server, key, false) => _ = gateways.cut.insert((server, key)),
            Incident::Isolate(server, reaches) => {
                gateways.cut.retain(|(from, _)| *from != server);
                let keys = self.servers[server].list.keys().filter(|_| !reaches);
                gateways.cut.extend(keys.map(|&key| (server, key)));
            }
            _ => {}
        }
    }

    pub(crate) fn set(&mut self, server: usize, key: Key, bits: u32) {
        if self.stopped_for(server).is_some() {
            return;
        }
        if let Some(register) = self.servers[server].act(self.time_ms, key, bits) {
            let life = self.servers[server].life;
            self.figures.acts += 1;
            self.acts.push(Act {
                server,
                life,
                key,
                register,
            });
        }
    }

    pub(crate) fn start(&mut self, server: usize, memory: Memory) {
        if self.servers[server].node.is_some() {
            return;
        }
        let one = &mut self.servers[server];
        if memory.moved {
            one.moves += 1;
            one.address = address(server, one.moves).into();
            one.settings.uri = format!("sip:{}", one.address);
        }
        one.skew_ms = memory.skew_ms.unwrap_or(one.skew_ms);
        let kept: Registers = if memory.kept {
            one.kept.clone()
        } else {
            Registers::new()
        };
        one.start(self.time_ms, kept);
        let life = one.life;
        self.inboxes[server] = 0;
        self.begin_to_join(server);
        self.after(0, Event::Tick { server, life });
    }

    pub(crate) fn reload(&mut self, server: usize, key: Key, flags: Option<u32>) {
        self.figures.reloads += 1;
        let mut list = self.servers[server].list.clone();
        match flags {
            Some(flags) => list.insert(key, flags),
            None => list.remove(&key),
        };
        self.servers[server].reload(list);
    }

    pub(crate) fn command(&mut self, server: usize, command: Command<'_>) {
        let mut actions = Vec::new();
        if let Some(node) = &mut self.servers[server].node {
            node.command(command, &mut actions);
        }
        self.act(server, actions);
    }
}
