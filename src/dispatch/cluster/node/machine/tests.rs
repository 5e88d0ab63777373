//! Tests of some nodes whose messages arrive at once. The simulator tries everything else.

use super::*;
use crate::dispatch::cluster::node::action::Answer;
use crate::dispatch::cluster::node::peer::{Member, Shown};
use crate::dispatch::cluster::state::clock::Stamp;
use crate::dispatch::cluster::state::ends::{CallEnd, Fate, MOST_WAITING};
use crate::dispatch::cluster::state::registers::MOST_ORPHANS;
use crate::dispatch::cluster::text::hmac::HmacKey;
use crate::dispatch::cluster::text::read::check;

const NOON_MS: u64 = 1_800_000_000_000;
const HOUR_MS: i64 = 60 * 60 * 1_000;
const KEY: Key = Key(7);

fn uri(number: usize) -> String {
    format!("sip:192.0.2.{number}:5060")
}

fn settings(number: usize, peers: &[usize]) -> Settings {
    Settings {
        cluster: "default".to_owned(),
        node: format!("lb{number}"),
        uri: uri(number),
        peers: peers.iter().map(|&number| uri(number)).collect(),
        hello_ms: 1_000,
        dead_ms: 5_000,
        join_wait_ms: 3_000,
        key: None,
        dead_hold_ms: 10_000,
        share_states: true,
    }
}

/// Nodes, the first of which has the number 1. Messages arrive at once, and so do answers.
struct Net {
    time_ms: u64,
    nodes: Vec<Cluster>,
    /// How far each node's clock is off.
    skews_ms: Vec<i64>,
    /// Messages from the first to the second of a pair are lost.
    cut: Vec<(usize, usize)>,
    /// Actions that are no messages, with the number of their node.
    said: Vec<(usize, Action)>,
    /// Nodes that do not run.
    down: Vec<usize>,
}

impl Net {
    fn of(skews_ms: &[i64]) -> Self {
        let mut net = Self {
            time_ms: 0,
            nodes: Vec::new(),
            skews_ms: skews_ms.to_vec(),
            cut: Vec::new(),
            said: Vec::new(),
            down: Vec::new(),
        };
        for number in 1..=skews_ms.len() {
            let now = net.now(number);
            let settings = settings(number, &[1, 2]);
            net.nodes
                .push(Cluster::new(settings, now.wall_ms, now, [KEY], []));
        }
        net
    }

    fn now(&self, number: usize) -> Now {
        Now {
            wall_ms: (NOON_MS + self.time_ms).saturating_add_signed(self.skews_ms[number - 1]),
            steady_ms: self.time_ms,
        }
    }

    fn node(&mut self, number: usize) -> &mut Cluster {
        &mut self.nodes[number - 1]
    }

    fn run(&mut self, ms: u64) {
        let end = self.time_ms + ms;
        while self.time_ms < end {
            self.time_ms += 20;
            for number in 1..=self.nodes.len() {
                if !self.down.contains(&number) {
                    let (now, mut actions) = (self.now(number), Vec::new());
                    self.node(number).tick(now, &mut actions);
                    self.act(number, actions);
                }
            }
        }
    }

    fn act(&mut self, from: usize, actions: Vec<Action>) {
        for action in actions {
            let Action::Send {
                peer,
                uri: to,
                number,
                body,
            } = &action
            else {
                self.said.push((from, action));
                continue;
            };
            let to = (1..=self.nodes.len()).find(|&number| uri(number) == *to);
            let to = to.filter(|to| !self.cut.contains(&(from, *to)) && !self.down.contains(to));
            if let Some(to) = to {
                self.deliver(from, to, body);
                let mut actions = Vec::new();
                self.node(from).answered(*peer, *number, 200, &mut actions);
                self.act(from, actions);
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, body: &[u8]) {
        let message = check(body, "default", None).unwrap();
        let (now, mut actions) = (self.now(to), Vec::new());
        let source = format!("192.0.2.{from}");
        let node = self.node(to);
        node.receive(now, source.as_bytes(), &message, &mut actions);
        self.act(to, actions);
    }

    fn act_at(&mut self, number: usize, bits: u32) -> Register {
        let now = self.now(number);
        self.node(number).local_act(now, KEY, bits, 0)
    }

    /// Returns the flags of the register on each node.
    fn bits(&self) -> Vec<Option<u32>> {
        let registers = self.nodes.iter().map(|node| node.register(KEY));
        registers.map(|one| Some(one?.bits)).collect()
    }

    /// Returns who was seen to come and go by a node, as `+lb1` and `-lb1`.
    fn seen_by(&self, number: usize) -> Vec<String> {
        let of_it = self.said.iter().filter(|(by, _)| *by == number);
        let seen = of_it.filter_map(|(_, action)| match action {
            Action::NodeUp { name, .. } => Some(format!("+{name}")),
            Action::NodeDown { name, .. } => Some(format!("-{name}")),
            _ => None,
        });
        seen.collect()
    }

    fn notes_of(&self, number: usize) -> Vec<Note> {
        let of_it = self.said.iter().filter(|(by, _)| *by == number);
        let notes = of_it.filter_map(|(_, action)| match action {
            Action::Log(note) => Some(note.clone()),
            _ => None,
        });
        notes.collect()
    }
}

#[test]
fn nodes_that_know_one_of_them_find_all_and_are_ready() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(1_000);
    for number in 1..=3 {
        let mut seen = net.seen_by(number);
        seen.sort();
        let others = (1..=3).filter(|other| *other != number);
        assert_eq!(
            seen,
            others
                .map(|other| format!("+lb{other}"))
                .collect::<Vec<_>>()
        );
    }
    // Nobody was ready, so they wait; one that comes later does not.
    net.run(2_500);
    assert!(net.nodes.iter().all(Cluster::is_ready));
    let now = Now {
        wall_ms: NOON_MS,
        steady_ms: net.time_ms,
    };
    net.skews_ms.push(0);
    net.nodes
        .push(Cluster::new(settings(4, &[3]), NOON_MS, now, [], []));
    net.run(500);
    assert!(net.node(4).is_ready());
    assert_eq!(net.notes_of(4), [Note::Ready(Ready::Synced)]);
    assert_eq!(net.notes_of(1), [Note::Ready(Ready::Alone)]);
    assert_eq!(net.node(1).members().count(), 4);
}

#[test]
fn an_act_is_everywhere_within_two_ticks_and_the_later_one_counts() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(4_000);
    for (number, bits) in [(1, 4), (2, 0), (3, 8), (1, 0)] {
        net.act_at(number, bits);
        net.run(40);
        assert_eq!(net.bits(), [Some(bits); 3]);
    }
    // Three at the same time: the same one everywhere.
    let acts = [1, 2, 3].map(|number| net.act_at(number, 4));
    net.run(40);
    assert_eq!(net.node(2).register(KEY), acts.into_iter().max());
    assert!(
        net.nodes
            .iter()
            .all(|node| node.register(KEY) == acts.into_iter().max())
    );
}

#[test]
fn an_act_after_seeing_a_state_is_later_whatever_the_clocks_are() {
    let three_hours = 3 * HOUR_MS;
    for skews in [
        [three_hours, 0],
        [0, -three_hours],
        [-three_hours, three_hours],
    ] {
        let mut net = Net::of(&skews);
        net.run(4_000);
        for turn in 0..200 {
            let (first, second) = if turn % 2 == 0 { (1, 2) } else { (2, 1) };
            net.act_at(first, 4);
            net.run(40);
            assert_eq!(net.bits(), [Some(4); 2]);
            net.act_at(second, 0);
            net.run(40);
            assert_eq!(net.bits(), [Some(0); 2]);
        }
    }
}

#[test]
fn an_act_from_the_day_after_tomorrow_is_refused_and_said() {
    let mut net = Net::of(&[48 * HOUR_MS, 0]);
    net.run(4_000);
    let act = net.act_at(1, 4);
    net.run(5_000);
    assert_eq!(net.bits(), [Some(4), None]);
    let (node, stamp) = ("lb1".to_owned(), act.stamp);
    assert!(net.notes_of(2).contains(&Note::StampAhead { node, stamp }));
    // The clock of the other one is not poisoned, and its acts are only too old for the first one.
    let act = net.act_at(2, 8);
    assert!(act.stamp < Stamp::at(NOON_MS + 3_600_000));
    net.run(100);
    assert_eq!(net.bits(), [Some(4), Some(8)]);
}

#[test]
fn acts_count_again_when_a_clock_is_right_again() {
    let ahead = 48 * HOUR_MS;
    for ahead in [[ahead, 0, 0], [ahead, ahead, 0], [ahead, ahead, ahead]] {
        let mut net = Net::of(&ahead);
        net.run(4_000);
        net.act_at(1, 4);
        net.run(2_000);
        net.skews_ms = vec![0; 3];
        net.run(2_000);
        net.act_at(1, 8);
        net.run(2_000);
        assert_eq!(net.bits(), [Some(8); 3]);
        let act = net.act_at(2, 0);
        assert!(act.stamp < Stamp::at(NOON_MS + 3_600_000));
        net.run(2_000);
        assert_eq!(net.bits(), [Some(0); 3]);
        assert_eq!(net.node(1).members().filter(|one| one.same).count(), 3);
    }
}

#[test]
fn acts_count_when_a_clock_is_set_back_by_days() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    net.act_at(2, 4);
    net.run(100);
    net.skews_ms[0] = -48 * HOUR_MS;
    net.run(2_000);
    net.act_at(1, 8);
    net.run(100);
    assert_eq!(net.bits(), [Some(8); 2]);
}

#[test]
fn what_members_have_not_acknowledged_is_counted_up_to_a_limit() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    net.cut = vec![(1, 2), (2, 1)];
    let keys = (0..20_000).map(Key);
    net.node(1).set_list(keys.clone(), &mut Vec::new());
    let now = net.now(1);
    for key in keys {
        net.node(1).local_act(now, key, 4, 0);
    }
    let behind = |net: &mut Net| {
        let mut members = net.node(1).members();
        members.nth(1).map(|member| (member.state, member.behind))
    };
    assert_eq!(behind(&mut net), Some((Shown::Ready, 10_000)));
    net.run(10_000);
    assert_eq!(behind(&mut net), Some((Shown::Dead, 0)));
}

#[test]
fn a_forged_life_does_not_keep_a_node_out() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    let most = 1_u64 << 48;
    let forged = format!(
        "DSC 1.0 c=default n=lb1 i={most:x} s=1 k=H u={} r=1 p=3e8 t=1388 w=0 d=0\n",
        uri(1)
    );
    net.deliver(1, 2, forged.as_bytes());
    net.run(2_000);
    net.act_at(1, 4);
    net.run(2_000);
    assert_eq!(net.bits(), [Some(4); 2]);
    let ready = |member: &Member<'_>| member.state == Shown::Ready;
    assert_eq!(net.node(2).members().filter(ready).count(), 2);
}

#[test]
fn a_name_that_only_a_message_has_is_asked_only_under_a_key() {
    let hello = b"DSC 1.0 c=default n=lb9 i=1 s=1 k=H u=sip:slow.test r=0 p=3e8 t=1388 w=0\n\
        M lb8 sip:slower.test 1 0\n";
    for key in [None, HmacKey::new(b"secret")] {
        let mut net = Net::of(&[0, 0]);
        let expected = if key.is_some() { 2 } else { 0 };
        net.node(1).settings.key = key;
        net.deliver(2, 1, hello);
        let names = |member: &Member<'_>| member.uri.contains("slow");
        assert_eq!(net.node(1).members().filter(names).count(), expected);
        let (uri, notes) = ("sip:slow.test".to_owned(), net.notes_of(1));
        let is_told = notes.contains(&Note::NotAsked { uri });
        assert_eq!(is_told, expected == 0, "{notes:?}");
    }
    // One that the config names is heard.
    let mut net = Net::of(&[0, 0]);
    net.node(1).peers.at("sip:slow.test", true, 0);
    net.deliver(2, 1, hello);
    assert_eq!(net.node(1).alive(), 2);
}

#[test]
fn a_node_is_dead_when_nobody_hears_it_and_not_before() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(4_000);
    // Only the first node does not hear the third one.
    net.cut = vec![(3, 1)];
    net.run(30_000);
    assert_eq!(net.seen_by(1), ["+lb2", "+lb3"]);
    let suspect = |member: &Member<'_>| member.state == Shown::Suspect;
    assert_eq!(net.node(1).members().filter(suspect).count(), 1);
    net.cut = vec![(3, 1), (3, 2)];
    // It was last heard up to one period before, and the word of the second node is up to another one old.
    net.run(3_900);
    assert_eq!(net.seen_by(1), ["+lb2", "+lb3"]);
    net.run(2_200);
    assert_eq!(net.seen_by(1), ["+lb2", "+lb3", "-lb3"]);
    net.cut = vec![];
    net.run(1_100);
    assert_eq!(net.seen_by(1), ["+lb2", "+lb3", "-lb3", "+lb3"]);
}

#[test]
fn what_one_half_decided_is_in_the_other_one_within_a_period_after_a_split() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(4_000);
    net.cut = vec![(1, 2), (2, 1), (1, 3), (3, 1)];
    net.run(60_000);
    assert_eq!(net.seen_by(1), ["+lb2", "+lb3", "-lb2", "-lb3"]);
    net.act_at(1, 4);
    net.run(20);
    net.act_at(3, 8);
    net.run(1_000);
    assert_eq!(net.bits(), [Some(4), Some(8), Some(8)]);
    net.cut = vec![];
    net.run(1_100);
    assert_eq!(net.bits(), [Some(8); 3]);
}

#[test]
fn what_a_node_cannot_send_itself_comes_from_another_one() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(4_000);
    net.cut = vec![(1, 2), (2, 1)];
    net.act_at(1, 4);
    net.run(4_000);
    assert_eq!(net.bits(), [Some(4); 3]);
}

#[test]
fn a_node_that_was_stopped_takes_nobody_for_dead() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    net.down = vec![1];
    net.run(30_000);
    assert_eq!(net.seen_by(2), ["+lb1", "-lb1"]);
    net.down = vec![];
    net.run(2_000);
    assert_eq!(net.seen_by(1), ["+lb2"]);
    assert_eq!(net.seen_by(2), ["+lb1", "-lb1", "+lb1"]);
}

#[test]
fn a_node_that_starts_again_is_known_at_once_also_with_a_clock_set_back() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    let act = net.act_at(1, 4);
    net.run(100);
    for wall_ms in [NOON_MS + 4_200, NOON_MS - 3_600_000] {
        let now = Now {
            wall_ms,
            steady_ms: net.time_ms,
        };
        net.nodes[0] = Cluster::new(settings(1, &[2]), wall_ms, now, [KEY], []);
        net.run(1_000);
        assert_eq!(net.bits(), [Some(4); 2]);
        assert_eq!(net.node(1).register(KEY), Some(act));
        assert!(net.node(1).is_ready());
    }
    assert!(net.node(1).incarnation() > NOON_MS + 4_200);
    // Nobody has missed it, and that is said at most once a minute.
    assert_eq!(net.seen_by(2), ["+lb1"]);
    let restarted = Note::Restarted("lb1".to_owned());
    assert_eq!(net.notes_of(2), [Note::Ready(Ready::Alone), restarted]);
}

#[test]
fn two_nodes_that_know_a_higher_life_of_each_other_listen_to_each_other_again() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    // Late messages of lives that are over, whose clocks were ahead.
    for (from, to) in [(1, 2), (2, 1)] {
        let life = net.node(from).incarnation + 1_000_000;
        let first = format!("DSC 1.0 c=default n=lb{from} i={life:x} s=1 k=H");
        let text = format!("{first} u={} r=1 p=3e8 t=1388 w=0 d=0\n", uri(from));
        net.deliver(from, to, text.as_bytes());
    }
    net.run(3_000);
    net.act_at(1, 4);
    net.run(1_000);
    assert_eq!(net.bits(), [Some(4); 2]);
    assert_eq!(net.seen_by(1), ["+lb2"]);
}

#[test]
fn the_younger_one_of_two_with_a_name_shares_nothing_while_both_are_there() {
    let mut net = Net::of(&[0, 0, 0]);
    net.node(3).settings.node = "lb1".to_owned();
    net.node(3).incarnation += 1;
    net.run(5_000);
    let twice = |number, stopped| Note::NameTwice {
        uri: uri(number),
        stopped,
    };
    assert!(net.notes_of(3).contains(&twice(1, true)));
    assert!(net.notes_of(1).contains(&twice(3, false)));
    net.act_at(3, 8);
    net.run(1_000);
    assert_eq!(net.bits(), [None, None, Some(8)]);
    net.act_at(1, 4);
    net.run(1_000);
    assert_eq!(net.bits(), [Some(4), Some(4), Some(8)]);
    // Then the elder one goes.
    net.down = vec![1];
    net.run(10_000);
    assert_eq!(net.bits()[1..], [Some(4); 2]);
    net.act_at(3, 0);
    net.run(100);
    assert_eq!(net.bits()[1..], [Some(0); 2]);
}

#[test]
fn who_leaves_is_gone_at_once_and_comes_back_by_sync() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(4_000);
    let mut actions = Vec::new();
    assert!(net.node(3).command(Command::Leave, &mut actions));
    net.act(3, actions);
    assert_eq!(net.seen_by(1), ["+lb2", "+lb3", "-lb3"]);
    net.run(20_000);
    assert_eq!(net.seen_by(1), ["+lb2", "+lb3", "-lb3"]);
    let left = |member: &Member<'_>| member.state == Shown::Left;
    assert_eq!(net.node(1).members().filter(left).count(), 1);
    assert_eq!([1, 2, 3].map(|number| net.node(number).alive()), [2, 2, 1]);
    net.act_at(1, 4);
    net.run(100);
    assert_eq!(net.bits(), [Some(4), Some(4), None]);
    assert!(net.node(3).command(Command::Sync, &mut Vec::new()));
    net.run(1_000);
    assert_eq!(net.bits(), [Some(4); 3]);
    assert_eq!(net.seen_by(1), ["+lb2", "+lb3", "-lb3", "+lb3"]);
}

#[test]
fn only_who_is_known_can_be_forgotten_and_a_member_comes_back() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(4_000);
    let mut actions = Vec::new();
    assert!(!net.node(1).command(Command::Forget("lb4"), &mut actions));
    assert!(net.node(1).command(Command::Forget("lb3"), &mut actions));
    let (name, uri) = ("lb3".to_owned(), uri(3));
    assert_eq!(actions, [Action::NodeDown { name, uri }, Action::Believed]);
    assert_eq!(net.node(1).members().count(), 2);
    net.run(1_100);
    assert_eq!(net.node(1).members().count(), 3);
}

#[test]
fn registers_are_taken_only_from_the_address_of_the_hellos() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    let (life, to) = (net.node(1).incarnation, net.node(2).incarnation);
    let forged =
        format!("DSC 1.0 c=default n=lb1 i={life:x} s=ffff k=D o={to:x} e=1\nA 7 1 1 4 0\n");
    net.deliver(9, 2, forged.as_bytes());
    assert_eq!(net.bits()[1], None);
    let (node, source) = ("lb1".to_owned(), b"192.0.2.9".to_vec());
    assert!(
        net.notes_of(2)
            .contains(&Note::WrongSource { node, source })
    );
    net.deliver(1, 2, forged.as_bytes());
    assert_eq!(net.bits()[1], Some(4));
    // Of another life, or of nobody who is known, or for another life.
    let spoiled = [
        (format!("i={life:x} "), "i=1 "),
        ("n=lb1".to_owned(), "n=lb9"),
        (format!("o={to:x} "), "o=1 "),
    ];
    for (right, wrong) in spoiled {
        let text = forged
            .replace("s=ffff", "s=fffff")
            .replace(&right, wrong)
            .replace(" 4 0", " 8 0");
        net.deliver(1, 2, text.as_bytes());
        assert_eq!(net.bits()[1], Some(4));
    }
}

#[test]
fn a_late_message_is_not_taken() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    let (life, to) = (net.node(1).incarnation, net.node(2).incarnation);
    let text = |number: u64, stamp: u64, bits: u32| {
        let first = format!("DSC 1.0 c=default n=lb1 i={life:x} s={number:x} k=D o={to:x} e=0\n");
        first + &format!("A 7 {stamp:x} 1 {bits:x} 0\n")
    };
    for (number, stamp, bits, expected) in [
        (900, 5, 4, 4),
        (899, 6, 8, 4),
        (900, 6, 8, 4),
        (901, 6, 8, 8),
    ] {
        net.deliver(1, 2, text(number, stamp, bits).as_bytes());
        assert_eq!(net.bits()[1], Some(expected));
    }
}

#[test]
fn a_server_without_the_module_is_asked_seldom() {
    let mut alone = Cluster::new(settings(1, &[1, 2]), 1, Now::default(), [], []);
    let mut sent_ms = Vec::new();
    for time_ms in (0..100_000).step_by(20) {
        let now = Now {
            wall_ms: NOON_MS,
            steady_ms: time_ms,
        };
        let mut actions = Vec::new();
        alone.tick(now, &mut actions);
        for action in actions {
            if let Action::Send { peer, number, .. } = action {
                sent_ms.push(time_ms);
                alone.answered(peer, number, 404, &mut Vec::new());
            }
        }
    }
    assert_eq!(sent_ms, [0, 30_000, 60_000, 90_000]);
    assert!(alone.is_ready());
}

#[test]
fn without_peers_the_bus_is_asked_often_until_somebody_answers_and_seldom_later() {
    let mut net = Net::of(&[0, 0]);
    for number in 1..=2 {
        net.node(number).settings.peers = vec![];
        net.node(number).peers = Peers::default();
    }
    net.run(12_000);
    let hellos: Vec<Vec<u8>> = net
        .said
        .iter()
        .filter_map(|(by, action)| match action {
            Action::Broadcast { body } if *by == 1 => Some(body.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(hellos.len(), 3);
    net.deliver(1, 2, &hellos[2]);
    net.run(12_000);
    assert_eq!(net.seen_by(1), ["+lb2"]);
    let broadcasts = |(_, action): &&(usize, Action)| matches!(action, Action::Broadcast { .. });
    assert_eq!(net.said.iter().filter(broadcasts).count(), 6);
}

#[test]
fn there_are_never_more_nodes_than_there_may_be() {
    let mut net = Net::of(&[0, 0]);
    net.run(4_000);
    for number in 0..1_000 {
        let text = format!(
            "DSC 1.0 c=default n=x{number} i=1 s=1 k=H u=sip:[::{number}] r=0 p=3e8 t=1388 w=0\n\
            M y{number} sip:[1::{number}] 1 0\n"
        );
        net.deliver(9, 1, text.as_bytes());
        assert!(
            net.node(1).members().count() <= crate::dispatch::cluster::node::settings::MOST_NODES
        );
    }
    assert!(net.notes_of(1).contains(&Note::TooManyNodes));
    let notes = net.notes_of(1).len();
    assert!(notes < 5, "{notes}");
    // They are silent, and the real one is not.
    net.run(10_000);
    let alive = |member: &Member<'_>| member.state == Shown::Ready;
    assert_eq!(net.node(1).members().filter(alive).count(), 2);
}

const VIEW: View = View {
    failures: 2,
    bits: 9,
    phase_ms: 300,
};

impl Net {
    /// Returns the figures of a node that another one has: its view of the destination, and the calls that it counts.
    fn figures(&self, by: usize, of: usize) -> (Option<View>, Option<u32>) {
        let node = &self.nodes[by - 1];
        let peer = node.peers.named(&format!("lb{of}"));
        let life = peer.and_then(|id| node.peers.get(id)?.life.as_ref());
        let figures = life.map(|life| (life.views.get(&KEY), life.calls.get(&KEY)));
        let (view, calls) = figures.unwrap_or_default();
        (view.copied(), calls.copied())
    }
}

#[test]
fn figures_are_everywhere_within_two_ticks_also_where_no_states_are_shared() {
    for shares_states in [true, false] {
        let mut net = Net::of(&[0, 0, 0]);
        for node in &mut net.nodes {
            node.settings.share_states = shares_states;
        }
        net.node(1).set_view(KEY, Some(VIEW));
        net.run(5_000);
        for other in [2, 3] {
            assert_eq!(net.figures(other, 1), (Some(VIEW), None));
        }
        let good = View::default();
        net.node(1).set_view(KEY, Some(good));
        net.node(1).set_calls(KEY, 5);
        net.node(2).set_calls(KEY, 7);
        net.run(40);
        assert_eq!(net.figures(3, 1), (Some(good), Some(5)));
        assert_eq!(net.figures(3, 2), (None, Some(7)));
        assert!(
            net.said
                .iter()
                .any(|(by, action)| { (*by, action) == (3, &Action::Viewed { key: KEY }) })
        );
        net.node(1).set_view(KEY, None);
        net.node(1).set_calls(KEY, 0);
        net.run(40);
        assert_eq!(net.figures(2, 1), (None, None));
        assert_eq!(
            net.node(1).views.changed_after(0, 9).0,
            [],
            "all have heard of it"
        );
        assert_eq!(net.node(1).calls.changed_after(0, 9).0, []);
    }
}

#[test]
fn figures_end_with_a_life_and_come_again_with_the_next_one() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(5_000);
    net.node(1).set_view(KEY, Some(VIEW));
    net.run(40);
    // The receiver starts again, and then the sender.
    for number in [2, 1] {
        net.down = vec![number];
        net.run(2_000);
        net.down.clear();
        let now = net.now(number);
        let peers = settings(number, &[1, 2]);
        *net.node(number) = Cluster::new(peers, now.wall_ms, now, [KEY], []);
        net.run(2_000);
        let expected = (number == 2).then_some(VIEW);
        assert_eq!(net.figures(2, 1), (expected, None), "lb{number}");
        assert_eq!(net.figures(3, 1), (expected, None), "lb{number}");
    }
}

#[test]
fn who_has_forgotten_a_node_gets_its_figures_again() {
    let mut net = Net::of(&[0, 0, 0]);
    net.node(1).set_view(KEY, Some(VIEW));
    net.run(5_000);
    assert!(net.node(2).command(Command::Forget("lb1"), &mut Vec::new()));
    assert_eq!(net.figures(2, 1), (None, None));
    net.run(3_000);
    assert_eq!(net.figures(2, 1), (Some(VIEW), None));
    // A life without a restart, after which the others know nothing.
    net.node(1).command(Command::Sync, &mut Vec::new());
    net.run(3_000);
    assert_eq!(net.figures(3, 1), (Some(VIEW), None));
}

#[test]
fn figures_without_end_keep_no_node_from_comparing_registers() {
    let mut net = Net::of(&[0, 0]);
    net.run(5_000);
    // A register that the other one has lost, whatever the reason.
    let register = net.act_at(1, 4);
    net.run(40);
    net.node(2)
        .registers
        .retain(|stamp| stamp != register.stamp);
    for calls in 1..100 {
        net.node(1).set_calls(KEY, calls);
        net.node(2).set_calls(KEY, calls);
        net.run(100);
    }
    assert_eq!(net.bits(), [Some(4), Some(4)]);
}

#[test]
fn many_figures_are_sent_in_messages_of_their_size() {
    let mut net = Net::of(&[0, 0]);
    net.run(5_000);
    for key in 0..1_000 {
        net.node(1).set_view(Key(u64::MAX - key), Some(VIEW));
        net.node(1).set_calls(Key(u64::MAX - key), 7);
    }
    let before = net.node(1).counts();
    net.run(40);
    let after = net.node(1).counts();
    let messages = after.sent - before.sent;
    assert!((6..20).contains(&messages), "{messages}");
    let id = net.node(2).peers.named("lb1").unwrap();
    let life = net.node(2).peers.get(id).unwrap().life.as_ref().unwrap();
    assert_eq!((life.views.len(), life.calls.len()), (1_000, 1_000));
}

/// Two nodes that are ready and know each other.
fn two_ready() -> Net {
    let mut net = Net::of(&[0, 0]);
    net.run(8_000);
    net.said.clear();
    net
}

/// Has a node ask for a reload.
fn ask(net: &mut Net, number: usize, ticket: u64) {
    let mut actions = Vec::new();
    net.node(number)
        .command(Command::Reload(ticket), &mut actions);
    net.act(number, actions);
}

/// An answer to an operator: the ticket, how many follow, the node, and its answer.
fn told(net: &mut Net) -> Vec<(u64, u32, String, Answer)> {
    let said = mem::take(&mut net.said).into_iter();
    let told = said.filter_map(|(_, action)| match action {
        Action::Told(told) => Some((told.ticket, told.left, told.name, told.answer)),
        _ => None,
    });
    told.collect()
}

#[test]
fn each_node_tells_what_came_of_a_reload() {
    let mut net = two_ready();
    for (ticket, outcome) in [(7, Ok(12)), (8, Err("line 3: no URI".to_owned()))] {
        ask(&mut net, 1, ticket);
        let asked = net.said.iter().find_map(|(number, action)| match action {
            Action::Reload { request, name } => Some((*number, *request, name.clone())),
            _ => None,
        });
        let (number, request, name) = asked.unwrap();
        assert_eq!((number, name.as_str()), (2, "lb1"));
        let begin = [
            (ticket, 2, "lb2".to_owned(), Answer::Asked),
            (ticket, 1, "lb1".to_owned(), Answer::Asked),
        ];
        assert_eq!(told(&mut net), begin);
        let mut actions = Vec::new();
        net.node(2).reloaded(request, &outcome, &mut actions);
        net.act(2, actions);
        let end = [(ticket, 0, "lb2".to_owned(), Answer::Ended(outcome))];
        assert_eq!(told(&mut net), end);
    }
}

#[test]
fn a_request_is_taken_once_by_the_life_that_it_is_for() {
    let mut net = two_ready();
    let mut actions = Vec::new();
    net.node(1).command(Command::Reload(1), &mut actions);
    let body = actions.iter().find_map(|action| match action {
        Action::Send { body, .. } => Some(body.clone()),
        _ => None,
    });
    let body = body.unwrap();
    let requests = |net: &mut Net| {
        let said = mem::take(&mut net.said);
        let is_request = |(_, action): &(usize, Action)| matches!(action, Action::Reload { .. });
        said.iter().filter(|said| is_request(said)).count()
    };
    net.deliver(1, 2, &body);
    assert_eq!(requests(&mut net), 1);
    net.deliver(1, 2, &body);
    assert_eq!(requests(&mut net), 0);
    // Another life of the receiver that knows the sender.
    let now = net.now(2);
    *net.node(2) = Cluster::new(settings(2, &[1, 2]), now.wall_ms + 1, now, [KEY], []);
    net.run(3_000);
    net.said.clear();
    net.deliver(1, 2, &body);
    assert_eq!(requests(&mut net), 0);
}

#[test]
fn whoever_cannot_be_asked_or_does_not_take_it_is_named_with_the_reason() {
    let mut net = two_ready();
    let mut actions = Vec::new();
    net.node(1).command(Command::Reload(1), &mut actions);
    let sent = actions.iter().find_map(|action| match action {
        Action::Send { peer, number, .. } => Some((*peer, *number)),
        _ => None,
    });
    let (peer, number) = sent.unwrap();
    let mut actions = Vec::new();
    net.node(1).answered(peer, number, 408, &mut actions);
    net.act(1, actions);
    let end = [(1, 0, "lb2".to_owned(), Answer::NotTaken(408))];
    assert_eq!(told(&mut net), end);
    net.down.push(2);
    net.run(7_000);
    net.said.clear();
    ask(&mut net, 1, 2);
    let all = [
        (2, 1, "lb2".to_owned(), Answer::NotAsked("dead".into())),
        (2, 0, "lb1".to_owned(), Answer::Asked),
    ];
    assert_eq!(told(&mut net), all);
}

/// Starts a node again, without anything of its last life.
fn restart(net: &mut Net, number: usize) {
    let now = net.now(number);
    let again = Cluster::new(settings(number, &[1, 2]), now.wall_ms, now, [KEY], []);
    *net.node(number) = again;
    net.down.retain(|down| *down != number);
}

fn elsewhere(net: &Net) -> Vec<u32> {
    net.nodes
        .iter()
        .map(|node| node.calls_elsewhere(KEY))
        .collect()
}

#[test]
fn each_node_hears_how_many_calls_the_others_count() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(2_000);
    for (number, calls) in [(1, 5), (2, 7), (3, 11)] {
        net.node(number).set_calls(KEY, calls);
    }
    net.run(100);
    assert_eq!(elsewhere(&net), [18, 16, 12]);
    net.node(2).set_calls(KEY, 0);
    net.run(100);
    assert_eq!(elsewhere(&net), [11, 16, 5]);
    // A list without the destination takes its calls back.
    net.node(3).keep_calls(|_| false);
    net.run(100);
    assert_eq!(elsewhere(&net), [0, 5, 5]);
}

#[test]
fn calls_of_a_dead_node_become_fewer_evenly() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(2_000);
    net.node(3).set_calls(KEY, 50);
    net.run(100);
    net.down.push(3);
    net.run(5_000);
    assert_eq!(net.seen_by(1).last().map(String::as_str), Some("-lb3"));
    let died_ms = net.time_ms;
    let mut last = 50;
    for _ in 0..95 {
        net.run(100);
        let left = net.node(1).calls_elsewhere(KEY);
        let right = 50.0 * (1.0 - (net.time_ms - died_ms) as f64 / 10_000.0);
        assert!(
            (f64::from(left) - right).abs() <= 2.0 && left <= last,
            "{left}, not {right}"
        );
        last = left;
    }
    let said = net.said.len();
    net.run(1_000);
    assert_eq!(elsewhere(&net)[..2], [0, 0]);
    let steps = |net: &Net, from: usize| {
        let said = net.said[from..].iter();
        said.filter(|(by, one)| *by == 1 && *one == Action::CountedAll)
            .count()
    };
    assert!(steps(&net, said) > 0, "somebody is told of the last step");
    let said = net.said.len();
    net.run(1_000);
    assert_eq!(steps(&net, said), 0, "nothing becomes fewer any more");
}

#[test]
fn calls_of_a_node_that_was_only_cut_off_count_again() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(2_000);
    net.node(3).set_calls(KEY, 50);
    net.run(100);
    // The first hears of it by the second.
    net.cut = vec![(1, 3), (3, 1)];
    net.run(20_000);
    assert_eq!(net.node(1).calls_elsewhere(KEY), 50);
    net.cut = vec![(1, 3), (3, 1), (2, 3), (3, 2)];
    net.run(10_000);
    assert!(net.node(1).calls_elsewhere(KEY) < 40);
    net.node(3).set_calls(KEY, 60);
    net.cut.clear();
    net.run(2_000);
    assert_eq!(elsewhere(&net), [60, 60, 0]);
}

#[test]
fn a_restart_counts_nothing_twice() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(2_000);
    net.node(3).set_calls(KEY, 50);
    net.run(100);
    restart(&mut net, 3);
    net.run(1_000);
    net.node(3).set_calls(KEY, 5);
    net.run(100);
    let one = net.node(1).calls_elsewhere(KEY);
    assert!(
        (45..=55).contains(&one),
        "the old ones are about to end: {one}"
    );
    // It starts once more: calls that have ended by then stay ended.
    net.run(5_000);
    restart(&mut net, 3);
    net.run(1_000);
    let one = net.node(1).calls_elsewhere(KEY);
    assert!((15..=27).contains(&one), "{one}");
    net.run(10_000);
    assert_eq!(elsewhere(&net), [0, 0, 0]);
}

#[test]
fn a_node_that_is_to_exchange_all_goes_on_to_count_its_calls() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(2_000);
    net.node(3).set_calls(KEY, 50);
    net.run(100);
    let mut actions = Vec::new();
    assert!(net.node(3).command(Command::Sync, &mut actions));
    net.act(3, actions);
    for _ in 0..100 {
        net.run(20);
        assert_eq!(elsewhere(&net), [50, 50, 0]);
    }
    // An operator says that calls of a node that is gone are over.
    net.down.push(3);
    net.run(6_000);
    assert!(net.node(1).calls_elsewhere(KEY) > 40);
    assert!(net.node(1).command(Command::Forget("lb3"), &mut Vec::new()));
    assert_eq!(net.node(1).calls_elsewhere(KEY), 0);
}

fn ended(net: &Net, number: usize) -> Vec<CallEnd> {
    let said = net.said.iter().filter(|(by, _)| *by == number);
    let ended = said.filter_map(|(_, action)| match action {
        Action::CallEnded(end) => Some(end.clone()),
        _ => None,
    });
    ended.collect()
}

#[test]
fn ends_of_unknown_calls_come_to_all_others() {
    let mut net = Net::of(&[0, 0, 0]);
    let end = |number: usize, fate| {
        let call_id = format!("call{number}");
        CallEnd::of(fate, call_id.as_bytes(), b"from", b"").unwrap()
    };
    net.node(1).tell_end(end(0, Fate::Over));
    assert_eq!(net.node(1).counts().ends_told, 0, "nobody is there");
    net.run(2_000);
    let all: Vec<_> = (1..300).map(|number| end(number, Fate::Over)).collect();
    for one in &all {
        net.node(1).tell_end(one.clone());
    }
    // An end that is lost on the way is told again.
    net.cut = vec![(1, 2)];
    net.run(100);
    assert_eq!((ended(&net, 2), ended(&net, 3)), (vec![], all.clone()));
    net.cut.clear();
    net.run(2_500);
    assert_eq!((ended(&net, 2), ended(&net, 3)), (all.clone(), all.clone()));
    assert_eq!(ended(&net, 1), []);
    assert_eq!(net.node(1).counts().ends_told, 299);
    assert_eq!(net.node(1).ends.after(0).count(), 0, "nothing waits");
    // Nobody waits for an answer of a node that is dead.
    net.down.push(3);
    net.node(1).tell_end(end(1, Fate::Cancelled));
    net.run(6_000);
    assert_eq!(net.node(1).ends.after(0).count(), 0);
}

#[test]
fn who_is_heard_by_others_alone_keeps_no_ends_from_the_rest() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(2_000);
    // The third one is no longer heard here, and the second one says that it is there.
    net.cut = vec![(1, 3), (3, 1)];
    net.run(10_000);
    let end = |number: usize| {
        let call_id = format!("call{number}");
        CallEnd::of(Fate::Over, call_id.as_bytes(), b"", b"").unwrap()
    };
    let all = MOST_WAITING + 500;
    for number in 0..all {
        net.node(1).tell_end(end(number));
        if number % 2_000 == 0 {
            net.run(100);
        }
    }
    net.run(2_000);
    assert_eq!(ended(&net, 2).len(), all);
    assert_eq!(net.node(1).ends.after(0).count(), MOST_WAITING);
    let counts = net.node(1).counts();
    assert_eq!((counts.ends_told, counts.ends_dropped), (all as u64, 500));
    net.cut.clear();
    net.run(5_000);
    assert_eq!(ended(&net, 3).last(), Some(&end(all - 1)));
    assert_eq!(net.node(1).ends.after(0).count(), 0);
}

#[test]
fn a_dead_peer_keeps_nothing_that_was_taken_back() {
    let mut net = Net::of(&[0, 0, 0]);
    net.run(2_000);
    net.node(1).set_calls(KEY, 1);
    net.node(1).set_calls(Key(8), 2);
    net.run(100);
    net.cut = vec![(1, 2), (2, 1), (3, 2), (2, 3)];
    net.run(6_000);
    net.node(1).set_calls(KEY, 0);
    net.run(100);
    assert_eq!(net.node(1).calls.changed_after(0, 9).0, [(Key(8), Some(2))]);
    // The one that was cut off still has it, and gets all anew.
    assert_eq!(net.figures(2, 1).1, Some(1));
    net.cut.clear();
    net.run(3_000);
    assert_eq!(elsewhere(&net), [0, 0, 0]);
    assert_eq!(net.node(2).calls_elsewhere(Key(8)), 2);
}

#[test]
fn figures_of_listed_destinations_are_kept_however_many_others_there_are() {
    let mut net = Net::of(&[0, 0]);
    net.run(2_000);
    let most = MOST_ORPHANS as u64;
    for key in 100..=most + 200 {
        net.node(1).set_calls(Key(key), 1);
    }
    net.run(2_000);
    let late = Key(most + 200);
    assert_eq!(net.node(2).calls_elsewhere(late), 0, "there are too many");
    net.node(1).set_calls(KEY, 3);
    net.run(100);
    assert_eq!(net.node(2).calls_elsewhere(KEY), 3);
    net.node(2).set_list([KEY, late], &mut Vec::new());
    net.run(5_000);
    assert_eq!(net.node(2).calls_elsewhere(KEY), 3);
    assert_eq!(net.node(2).calls_elsewhere(late), 1);
}

#[test]
fn a_figure_that_is_taken_back_while_a_peer_is_forgotten_does_not_stay() {
    for forgets in [true, false] {
        let mut net = Net::of(&[0, 0]);
        net.run(2_000);
        net.node(1).set_calls(KEY, 2);
        net.node(1).set_view(KEY, Some(VIEW));
        net.run(100);
        assert_eq!(net.figures(2, 1), (Some(VIEW), Some(2)));
        let mut actions = Vec::new();
        if forgets {
            net.node(1).command(Command::Forget("lb2"), &mut actions);
        } else {
            // The receiver begins another life, and what is sent to the one before is lost.
            net.node(2).command(Command::Sync, &mut actions);
        }
        net.node(1).set_calls(KEY, 0);
        net.node(1).set_view(KEY, None);
        net.run(3_000);
        assert_eq!(net.figures(2, 1), (None, None), "{forgets}");
        assert_eq!(net.node(2).calls_elsewhere(KEY), 0);
    }
}

/// Lets time pass until the first node sends data; yields the peer, the number and the text. It hears the second one, and
/// nothing of it arrives.
fn next_data(net: &mut Net) -> (PeerId, u64, Vec<u8>) {
    let number = 1;
    for _ in 0..500 {
        net.time_ms += 20;
        let (now, mut actions) = (net.now(2), Vec::new());
        net.node(2).tick(now, &mut actions);
        for action in actions {
            if let Action::Send { body, .. } = action {
                net.deliver(2, 1, &body);
            }
        }
        let (now, mut actions) = (net.now(number), Vec::new());
        net.node(number).tick(now, &mut actions);
        for action in actions {
            if let Action::Send {
                peer, number, body, ..
            } = action
            {
                if body.windows(5).any(|five| five == b" k=D ") {
                    return (peer, number, body);
                }
            }
        }
    }
    panic!("no data");
}

#[test]
fn what_a_node_missed_while_it_had_forgotten_the_sender_is_not_replaced_by_what_came_before() {
    let mut net = Net::of(&[0, 0]);
    net.run(5_000);
    net.node(1).set_calls(KEY, 4);
    let (_, _, late) = next_data(&mut net);
    net.node(1).set_calls(KEY, 2);
    let (peer, number, missed) = next_data(&mut net);
    assert!(net.node(2).command(Command::Forget("lb1"), &mut Vec::new()));
    net.deliver(1, 2, &missed);
    net.node(1).answered(peer, number, 200, &mut Vec::new());
    // It hears of the node again, and then the earlier message comes.
    net.down = vec![2];
    let hello = |net: &mut Net| {
        for _ in 0..100 {
            net.time_ms += 20;
            let (now, mut actions) = (net.now(1), Vec::new());
            net.node(1).tick(now, &mut actions);
            let sent = actions.into_iter().find_map(|action| match action {
                Action::Send { body, .. } => Some(body),
                _ => None,
            });
            if let Some(body) = sent {
                return body;
            }
        }
        panic!("no hello");
    };
    let hello = hello(&mut net);
    net.down.clear();
    net.deliver(1, 2, &hello);
    net.deliver(1, 2, &late);
    net.run(5_000);
    assert_eq!(net.figures(2, 1), (None, Some(2)));
}

impl Net {
    /// Runs for some seconds, while each node pings with its interval.
    fn run_with_pings(&mut self, intervals_ms: [u64; 2]) {
        for _ in 0..100 {
            for (number, interval_ms) in (1..).zip(intervals_ms) {
                let ran_ms = self.time_ms;
                self.node(number).set_pings(Some(Pings {
                    ran_ms,
                    interval_ms,
                }));
            }
            self.run(20);
        }
    }

    fn watched(&self) -> [bool; 2] {
        [0, 1].map(|at| self.nodes[at].watcher(KEY).is_some())
    }
}

/// Returns two nodes that ping, and which of them relies on the other one.
fn two_that_ping() -> (Net, usize) {
    let mut net = two_ready();
    for number in [1, 2] {
        net.node(number).set_view(KEY, Some(View::default()));
    }
    net.run_with_pings([10_000; 2]);
    let relying = match net.watched() {
        [true, false] => 1,
        [false, true] => 2,
        other => panic!("{other:?}"),
    };
    (net, relying)
}

#[test]
fn a_node_relies_on_nobody_who_pings_less_often() {
    let (mut net, relying) = two_that_ping();
    for other_ms in [10_001, u64::MAX] {
        let mut intervals_ms = [other_ms; 2];
        intervals_ms[relying - 1] = 10_000;
        net.run_with_pings(intervals_ms);
        assert_eq!(net.watched(), [false; 2]);
        assert_eq!(net.nodes[relying - 1].relied().count(), 0);
    }
    net.run_with_pings([10_000; 2]);
    assert!(net.watched()[relying - 1]);
}

#[test]
fn whoever_forgets_the_only_node_that_it_believes_says_so() {
    let (mut net, relying) = two_that_ping();
    let mut actions = Vec::new();
    let name = format!("lb{}", 3 - relying);
    assert!(
        net.node(relying)
            .command(Command::Forget(&name), &mut actions)
    );
    assert!(actions.contains(&Action::Believed));
    assert!(!net.watched()[relying - 1]);
}

#[test]
fn a_hello_tells_of_no_ping_after_a_view_that_is_still_to_be_sent() {
    let (mut net, _) = two_that_ping();
    let (now, mut actions) = (net.now(1), Vec::new());
    let node = net.node(1);
    let pings = Pings {
        ran_ms: now.steady_ms + 15,
        interval_ms: 10_000,
    };
    node.set_pings(Some(pings));
    let failed = View {
        failures: 1,
        ..View::default()
    };
    node.set_view(KEY, Some(failed));
    node.command(Command::Sync, &mut actions);
    node.tick(now, &mut actions);
    let hellos = actions.iter().filter_map(|action| match action {
        Action::Send { body, .. } => match check(body, "default", None).unwrap().content {
            Content::Hello(hello) => Some(hello.pings.unwrap().true_ms),
            _ => None,
        },
        _ => None,
    });
    let to_members: Vec<u64> = hellos.filter(|true_ms| *true_ms > 0).collect();
    assert!(to_members.contains(&now.steady_ms), "{to_members:?}");
}
