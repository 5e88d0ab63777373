//! Messages of a cluster: read, and taken by a node that knows their sender.

use dispatcher::dispatch::cluster::node::action::Action;
use dispatcher::dispatch::cluster::node::machine::Cluster;
use dispatcher::dispatch::cluster::node::settings::{MOST_NODES, Settings};
use dispatcher::dispatch::cluster::state::clock::Now;
use dispatcher::dispatch::cluster::text::hmac::HmacKey;
use dispatcher::dispatch::cluster::text::message::{Content, MOST_LINES, MOST_WRITTEN, Message};
use dispatcher::dispatch::cluster::text::read::{Refusal, check, read};
use dispatcher::dispatch::cluster::text::write::write;

use crate::Target;

pub const TARGET: Target = Target {
    name: "cluster",
    run,
    seeds: &[
        HELLO,
        b"DSC 1.0 c=default n=lb1 i=a s=9 k=D o=7 e=1\nA 83c1d2e4f5a60718 192f3a4b5c60001 9f2e6a7b8c0d1e2f 4 0\n\
            A 1 ffffffffffffffff 2 4 0\nA 1 0 0 0 0\n",
        b"DSC 1.0 c=default n=lb1 i=a s=9 k=V\n",
        b"DSC 1.0 c=default n=lb1 i=b s=1 k=H u=sip:192.0.2.9 r=1 p=0 t=0 w=0 d=0\nM lb0 sip:192.0.2.0 8 0\n\
            M lb0 sip:192.0.2.7 ffffffffffffffff 0\nM lb2 sip:192.0.2.2 1 0\nM lb1 sip:b 1 1\n",
        b"DSC 1.7 c=default new n=lb1 i=a x=? s=1f4 k=D o=7 e=1 =\nB 1 2 3\nA 7 120001 9f 4 c later 5\nQ\n",
        b"DSC 2.0 c=default n=lb1 i=a s=1 k=H u=sip:a\n",
        b"DSC 1.0 c=default n=lb1 i=a s=9 k=V\nZ 5bdcc146bf60754e6a042426089575c7\n",
        b"DSC 1.0 c=default n=lb0 i=ffffffffffffffff s=ffffffffffffffff k=H u=sip:192.0.2.0\n",
    ],
    words: &[
        b"\n",
        b" ",
        b"=",
        b"\nA 1 2 3 4 5",
        b"\nM lb0 sip:192.0.2.0 7 0",
        b"\nM lb3 sip:c 1 0",
        b"\nZ ",
        b"ffffffffffffffff",
        b" o=7",
        b" e=1",
        b" k=H",
        b" k=D",
        b"lb0",
        b"lb2",
        b"sip:192.0.2.1",
    ],
};

/// The hello by which the node knows a sender.
const HELLO: &[u8] =
    b"DSC 1.0 c=default n=lb1 i=a s=1 k=H u=sip:192.0.2.1 r=1 p=3e8 t=1388 w=192f3a4b5c6 d=5\n\
    M lb0 sip:192.0.2.0 7 0\n";

fn run(text: &[u8]) {
    match read(text) {
        Ok(message) => {
            if !matches!(message.content, Content::Unknown) {
                let again = write(&message, None);
                assert_eq!(read(&again), Ok(message.clone()));
            }
            assert_eq!(check(text, message.cluster, None), Ok(message.clone()));
            take(&message);
        }
        Err(Refusal::Unreadable { line, column, .. }) => {
            let mut lines = text.split(|&byte| byte == b'\n');
            let line = lines.nth(line - 1).expect("a line of the text");
            assert!((1..=line.len() + 1).contains(&column));
        }
        Err(_) => {}
    }
    let key = HmacKey::new(b"secret");
    assert!(check(text, "default", key.as_ref()).is_err());
}

/// Lets a node take a message from a sender that it knows.
fn take(message: &Message<'_>) {
    let settings = Settings {
        cluster: "default".to_owned(),
        node: "lb0".to_owned(),
        uri: "sip:192.0.2.0".to_owned(),
        peers: vec![],
        hello_ms: 1_000,
        dead_ms: 5_000,
        join_wait_ms: 3_000,
        key: None,
        dead_hold_ms: 10_000,
        share_states: true,
    };
    let mut now = Now {
        wall_ms: 0x192_f3a4_b5c6,
        steady_ms: 0,
    };
    let mut node: Cluster = Cluster::new(settings, 7, now, [], []);
    let mut actions = Vec::new();
    let hello = read(HELLO).expect("a hello");
    node.receive(now, b"192.0.2.1", &hello, &mut actions);
    for _ in 0..2 {
        node.receive(now, b"192.0.2.1", message, &mut actions);
        now.steady_ms += 1_000;
        node.tick(now, &mut actions);
    }
    assert!(node.members().count() <= MOST_NODES);
    assert!(node.sizes().0 <= MOST_LINES);
    assert!(actions.len() <= 2 * MOST_LINES + 4 * MOST_NODES);
    for action in &actions {
        if let Action::Send { body, .. } | Action::Broadcast { body } = action {
            assert!(body.len() <= MOST_WRITTEN);
            assert!(check(body, "default", None).is_ok());
        }
    }
}
