//! What to begin with: for each target, inputs that get past its first check.

use baton_protocol::{
    attach::{Accepted, Attach, Open, Refused, Resume, Word},
    capsule::{Close, CloseKind, Solicit, encode_data_head},
    id::{Epoch, NodeName, SessionKey, UserId},
};
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

use crate::{attach::NAMES, connect};

/// The seeds of the named target; there is no other.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "connect" => connect::seeds().into_iter().map(|packet| behind(7, &packet)).collect(),
        "capsule" => vec![behind(3, &capsules())],
        "attach" => attaches(),
        "snapshot" => snapshots(),
        "configuration" => configurations(),
        "mqtt" => conversations(),
        "faults" => SCRIPTS.iter().map(|script| script.as_bytes().to_vec()).collect(),
        "broker" => (1..6).map(|seed| noise(seed, 400)).collect(),
        "session_pair" => (0..6).map(|seed| behind(seed, &[TRAFFIC, &noise(seed, 600)].concat())).collect(),
        _ => Vec::new(),
    }
}

fn behind(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

fn capsules() -> BytesMut {
    let mut wire = BytesMut::new();
    encode_data_head(&mut wire, 5, 300, 2);
    wire.put_slice(b"ab");
    encode_data_head(&mut wire, 7, 1 << 40, 0);
    for kind in [CloseKind::Fin, CloseKind::Reset, CloseKind::Abort] {
        Close { kind, offset: 7, ack: 9, reason: Bytes::from_static(b"why") }.encode(&mut wire);
    }
    Solicit { spread: 2_000, deadline: 16_000, reason: 0 }.encode(&mut wire);
    // One of a kind that nobody knows.
    wire.put_slice(&[0x17, 3, 1, 2, 3]);
    wire
}

fn attaches() -> Vec<Vec<u8>> {
    let home = NodeName::new("home-1").expect("a legal name");
    let key = SessionKey::from_bytes([7; 32]);
    let (user, client) = (UserId::new("alice"), Some("203.0.113.7:55123".to_owned()));
    let open = Attach::Open(Open { user, key: key.clone(), window: 65_536, client });
    let resume = Attach::Resume(Resume { home: home.clone(), key, epoch: Epoch(7), recv: 123_456 });
    let accepted = Accepted { home: home.clone(), recv: 9, window: 65_536, grace: 60_000 };
    let stale = Refused { epoch: Some(Epoch(3)), retry_after: Some(200), ..Refused::by(&home, Word::Stale) };
    vec![
        lines(200, open.to_request("origins").headers()),
        lines(200, resume.to_request("origins").headers()),
        lines(200, accepted.to_response().headers()),
        lines(stale.to_response().status().as_u16(), stale.to_response().headers()),
    ]
}

/// Headers the way the target reads them.
fn lines(status: u16, headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = (status - 100).to_be_bytes().to_vec();
    for (name, value) in headers {
        let letter = (b'a'..).zip(&NAMES).find(|(_, known)| *known == name).map_or(b'z', |(letter, _)| letter);
        bytes.push(letter);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// Those that decode for ever, an edge half's and an anchor half's, on both kinds of terms.
fn snapshots() -> Vec<Vec<u8>> {
    let golden = include_bytes!("../../../protocol/tests/golden/snapshot-v1.bin");
    let (edge, rest) = golden[1..].split_at(golden[0].into());
    vec![behind(0, edge), behind(1, edge), behind(2, &rest[1..]), behind(3, &rest[1..])]
}

fn configurations() -> Vec<Vec<u8>> {
    let shared = "[log]\nformat = \"json\"\nlevel = \"debug\"\nuser_id = \"hash\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
        [drain]\nspread = \"2s\"\n[limits]\nconnect_bytes = \"64KiB\"\nwindow = 65536\nsessions = 10\n";
    let roles = [
        "[edge]\nname = \"edge-7\"\norigins = [\"127.0.0.1:1\", \"[::1]:2\"]\nuser_id = \"username\"\ndcr = false\n",
        "[origin]\nhome_down = \"next\"\n[origin.ring]\nvnodes = 8\nseed = 3\n[origin.homes]\na = \"localhost:1\"\n\
            \"b.c\" = { address = \"127.0.0.1:2\", weight = 7 }\n",
        "[anchor]\nname = \"a\"\ngrace = \"1m\"\n[sidecar]\nbroker = [\"tcp://127.0.0.1:1883\", \"unix:///run/b\"]\n\
            sources = [\"127.0.0.2\"]\nproxy_protocol = true\nprobe = \"connect\"\nprobe_every = \"5s\"\n",
        "[broker_sim]\nlisten = \"0.0.0.0:1883\"\n[broker_sim.homes]\na = \"127.0.0.1:1\"\nb = \"127.0.0.1:2\"\n",
    ];
    let words = "\0BATON_LINKS__ALLOW_REMOTE=true\0BATON_LOG__LEVEL=warn\0limits.slow=90s\0drain.deadline = \"1h\"";
    (0..).zip(roles).map(|(role, text)| behind(role, [shared, text, words].concat().as_bytes())).collect()
}

/// A client's packets: subscribe, publish with each QoS, the acks, ping, leave.
fn conversations() -> Vec<Vec<u8>> {
    const OLD: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\x0a\0\x01c\x82\x06\0\x07\0\x01a\x02\x30\x04\0\x01ax\
        \x32\x06\0\x01a\0\x05x\x35\x06\0\x01a\0\x06x\x40\x02\0\x01\x62\x02\0\x06\xc0\0\xa2\x05\0\x08\0\x01a\xe0\0";
    const NEW: &[u8] = b"\x10\x0e\0\x04MQTT\x05\x02\0\x0a\0\0\x01c\x82\x09\0\x07\x02\x0b\x01\0\x01a\x02\
        \x31\x0d\0\x01a\x08\x23\0\x01\x02\0\0\0\x09x\x34\x07\0\x01a\0\x06\0x\x50\x02\0\x01\x62\x03\0\x06\0\
        \x70\x02\0\x01\xc0\0\xa2\x06\0\x08\0\0\x01a\xe0\x02\0\0";
    vec![behind(0, OLD), behind(5, NEW)]
}

const SCRIPTS: [&str; 4] = [
    "# a comment\nseed 7\ndrop puback 3\ndelay 200ms connack every 2 client a*\nduplicate packet 10% times 2\n",
    "reorder pingresp per connection\nignore connect from 2\nconnack 0x97 first 1\nsession-present yes client b?\n",
    "disconnect server-busy on packet 10\ncut after connack\nhalf-close after 5s\nstall reads 1h now client *\n\
     dribble 1 per 10ms on open\nsplit 7 on publish\n",
    "forget sessions now\nforget everything after 2s times 1\ncrash on disconnect\nrefuse resume 50% client a\n\
     delay 1s resume\nignore resume first 3\n",
];

/// Open, and a few bytes each way.
const TRAFFIC: &[u8] = &[
    128, 0, 0, 140, 0, 0, 140, 0, 0, 0, 0, 40, 48, 0, 89, 80, 1, 68, 24, 1, 39, 0, 1, 40, 48, 1, 89, 80, 0, 68, 24, 0,
    39, 48, 0, 0, 80, 1, 68,
];

fn noise(seed: u8, bytes: usize) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..bytes).map(|_| next()).collect()
}
