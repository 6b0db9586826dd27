//! Floods of frames on the ports between tiers, an origin's and an anchor's: up to each limit of HTTP/2's, and past it.
//!
//! Those that HTTP/2 calls an error cost the attacker its connection. The others are answered, or do nothing, and what is
//! asserted is that nobody else has to wait for that, and that nothing is left of it.

use baton_drill::tier::{Layout, Role};

use crate::{
    frames::{
        ACK, END_HEADERS, END_STREAM, Frames, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, block, connect_block, control,
        indexed, kind, literal, open, reference, stream,
    },
    peer::Peer,
    scene::{Attack, Counted, Scene, apart, layout},
    support::start,
};

/// Opens that an origin carries at a time: so few that an attacker gets past it.
const CARRIED: &str = "2000";

/// Bytes of which a reader has to give back the window, which is that large twice: 256 KiB for a session and 16 beside.
const HALF_A_WINDOW: u32 = 136 * 1024;

/// GOAWAY's codes (RFC 9113, section 7).
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What ends a connection is counted twice: as a connection, and as input.
const ENDED: [Counted<'_>; 2] = [
    ("baton_link_closes_total", &[("reason", "garbage")], 1.0),
    ("baton_refused_input_total", &[("what", "link")], 1.0),
];
/// The attacker left when it had said all.
const LEFT: Counted<'_> = ("baton_link_closes_total", &[("reason", "closed")], 1.0);

/// Frames, and what they come to.
struct Flood {
    what: &'static str,
    frames: Frames,
    goaway: Option<u32>,
    counts: Option<Counted<'static>>,
    /// What it sends on streams is read there.
    is_read: bool,
    /// It makes the process need memory that its allocator then keeps: it is made again until it needs no more.
    grows: bool,
}

impl Flood {
    fn new(what: &'static str, frames: Frames) -> Self {
        Self { what, frames, goaway: None, counts: None, is_read: false, grows: false }
    }

    /// The connection ends with this code.
    fn ends(self, code: u32) -> Self {
        Self { goaway: Some(code), ..self }
    }

    /// So many requests are refused as none of ours.
    fn malformed(self, requests: u32) -> Self {
        let counts = ("baton_refused_input_total", &[("what", "attach")][..], f64::from(requests));
        Self { counts: Some(counts), ..self }
    }

    /// So many opens are answered, or given up.
    fn opens(self, opens: u32) -> Self {
        Self { counts: Some(("baton_attaches_total", &[("kind", "open")], f64::from(opens))), ..self }
    }

    fn reading(self) -> Self {
        Self { is_read: true, ..self }
    }

    fn grows(self) -> Self {
        Self { grows: true, ..self }
    }
}

/// Frames from the beginning: what comes behind the first SETTINGS.
fn frames() -> Frames {
    Frames::default()
}

/// Behind a control stream, which makes an edge of the attacker where it meets an origin.
fn as_edge() -> Frames {
    frames().headers(1, &control("rogue"))
}

/// An extended CONNECT for a tunnel that says nothing else.
fn bare() -> Vec<u8> {
    connect_block("dcr", "/dcr/1/open")
}

/// Streams that are begun and ended, by either end, as fast as can be.
fn resets() -> Vec<Flood> {
    let bare = bare();
    let itself = |n| [&stream(n).to_be_bytes()[..], &[0]].concat();
    let opens = |n: u32| (stream(n + 1), open(n));
    vec![
        Flood::new("rapid reset", frames().times(100_000, |f, n| f.headers(stream(n), &bare).reset(stream(n))))
            .malformed(100_000),
        Flood::new(
            "rapid reset of opens",
            as_edge().times(20_000, |f, n| f.headers(opens(n).0, &opens(n).1).reset(opens(n).0)),
        )
        .opens(20_000)
        .grows(),
        Flood::new(
            "made to reset by a window update of 0",
            as_edge().times(20_000, |f, n| f.headers(opens(n).0, &opens(n).1).window_update(opens(n).0, 0)),
        )
        .ends(PROTOCOL_ERROR),
        Flood::new(
            "made to reset by DATA behind the end",
            frames().times(20_000, |f, n| {
                f.frame(kind::HEADERS, END_HEADERS | END_STREAM, stream(n), &bare).data(stream(n), b"x")
            }),
        )
        .ends(PROTOCOL_ERROR),
        Flood::new(
            "made to reset by streams that depend on themselves",
            frames().times(30_000, |f, n| f.headers(stream(n), &bare).frame(kind::PRIORITY, 0, stream(n), &itself(n))),
        )
        .malformed(10_000)
        .grows(),
        Flood::new("25,000 streams at once", frames().times(25_000, |f, n| f.headers(stream(n), &bare)))
            .malformed(20_000)
            .grows(),
        Flood::new("25,000 opens at once", as_edge().times(25_000, |f, n| f.headers(opens(n).0, &opens(n).1)))
            .opens(10_000)
            .grows(),
    ]
}

/// Header lists that are too long, or of which little says much.
fn headers() -> Vec<Flood> {
    let bare = bare();
    let large = block(&[("x", &"y".repeat(15_000))]);
    let mut many = bare.clone();
    (0..4_000).for_each(|_| literal("x", "", &mut many));
    let mut bomb = Vec::new();
    indexed("x", &"y".repeat(3_900), &mut bomb);
    // The first of the table, behind the 61 that HPACK has of itself.
    (0..4_000).for_each(|_| reference(62, &mut bomb));
    let begun = || frames().frame(kind::HEADERS, 0, 1, &bare);
    let small = block(&[("x", "y")]);
    vec![
        Flood::new("CONTINUATION", begun().times(20_000, |f, _| f.frame(kind::CONTINUATION, 0, 1, &small)))
            .ends(ENHANCE_YOUR_CALM),
        Flood::new("empty CONTINUATION", begun().times(100_000, |f, _| f.frame(kind::CONTINUATION, 0, 1, &[])))
            .ends(ENHANCE_YOUR_CALM),
        Flood::new(
            "a header list of 30 KB",
            begun().frame(kind::CONTINUATION, 0, 1, &large).frame(kind::CONTINUATION, END_HEADERS, 1, &large),
        ),
        Flood::new("4,000 headers", frames().headers(1, &many)).ends(ENHANCE_YOUR_CALM),
        Flood::new("a table bomb", frames().headers(1, &bomb)).ends(ENHANCE_YOUR_CALM),
        Flood::new("a table of 4 GiB", frames().headers(1, &[0x3f, 0xe1, 0xff, 0xff, 0xff, 0x0f])).ends(PROTOCOL_ERROR),
        Flood::new("trailers that don't end", as_edge().headers(1, &small)),
    ]
}

/// What belongs to the connection.
fn connection() -> Vec<Flood> {
    let number = |n: u32| u64::from(n).to_be_bytes();
    vec![
        Flood::new("SETTINGS", frames().times(100_000, |f, n| f.setting(HEADER_TABLE_SIZE, n))),
        Flood::new("SETTINGS acknowledged", frames().times(100_000, |f, _| f.frame(kind::SETTINGS, ACK, 0, &[])))
            .ends(PROTOCOL_ERROR),
        Flood::new("PING", frames().times(200_000, |f, n| f.frame(kind::PING, 0, 0, &number(n)))),
        Flood::new("PING answered", frames().times(200_000, |f, n| f.frame(kind::PING, ACK, 0, &number(n)))),
        Flood::new("GOAWAY", frames().times(100_000, |f, _| f.frame(kind::GOAWAY, 0, 0, &[0; 8]))).ends(NO_ERROR),
        Flood::new("PRIORITY", frames().times(100_000, |f, n| f.frame(kind::PRIORITY, 0, stream(n), &[0, 0, 0, 0, 1]))),
        Flood::new("PUSH_PROMISE", frames().frame(5, END_HEADERS, 1, &[0, 0, 0, 2])).ends(PROTOCOL_ERROR),
        Flood::new("unknown frames", frames().times(100_000, |f, _| f.frame(0xfa, 0xff, 7, b"what is this"))),
    ]
}

/// DATA, and the windows that it has to fit.
fn windows() -> Vec<Flood> {
    let most = (1 << 31) - 1;
    vec![
        Flood::new("empty DATA", as_edge().times(100_000, |f, _| f.data(1, &[]))).ends(ENHANCE_YOUR_CALM),
        // Nearly a stream's window: an origin reads what is said to it there.
        Flood::new("small DATA on the control stream", as_edge().times(250_000, |f, _| f.data(1, b"x"))).reading(),
        Flood::new("small DATA on a tunnel", as_edge().headers(3, &open(1)).times(270_000, |f, _| f.data(3, &[0]))),
        Flood::new("a window beyond 2^31", frames().window_update(0, most)).ends(FLOW_CONTROL_ERROR),
        Flood::new("a stream's window beyond 2^31", as_edge().window_update(1, most)),
        Flood::new("windows that grow by 1", as_edge().times(200_000, |f, _| f.window_update(1, 1))),
        Flood::new(
            "windows that flip",
            frames().times(50_000, |f, n| f.setting(INITIAL_WINDOW_SIZE, if n % 2 == 0 { 0 } else { most })),
        ),
    ]
}

/// Every flood.
fn all() -> Vec<Flood> {
    [resets(), headers(), connection(), windows()].into_iter().flatten().collect()
}

/// Makes these floods on the port at `port`, which is the process `node`'s.
fn flood(layout: Layout, node: &str, port: &str, floods: Vec<Flood>) {
    let layout = layout.set(Role::Origin, "limits.sessions", CARRIED);
    let scene = Scene::with(start(layout).expect("nothing need be installed"));
    let address = scene.tier.address(port).expect("it has one");
    let make = |flood: &Flood, attack: Attack<'_>| {
        // A home has no control streams.
        let is_read = flood.is_read && port.starts_with("origin");
        let heard = scene.suffers(attack, |_| {
            let counted = flood.counts.map(|counted| scene.counting(node, counted));
            let mut peer = Peer::to(address);
            let took_all = peer.say(&flood.frames);
            // What it asked for is dropped unseen if it leaves too early.
            counted.into_iter().for_each(|counted| counted.is_reached(flood.what));
            if is_read {
                peer.is_read(HALF_A_WINDOW);
            }
            // Where it is cut off amid a flood, the reset may overtake what was said about it.
            let heard = peer.leaves();
            (took_all || heard.goaway.is_some() || flood.goaway.is_none()).then_some(heard)
        });
        if let Some(heard) = heard {
            assert_eq!(heard.goaway, flood.goaway, "{}: {heard:?}", flood.what);
            assert!(!is_read || heard.resets == 0, "{}: {heard:?}", flood.what);
        }
    };
    for flood in floods {
        let counts = match flood.goaway {
            None | Some(NO_ERROR) => &[LEFT][..],
            Some(_) => &ENDED,
        };
        let attack = Attack::new(flood.what, node, counts);
        make(&flood, attack);
        if flood.grows {
            scene.needs_no_more(attack, || make(&flood, attack));
        }
    }
    scene.ends_unnoticed();
}

#[test]
fn on_the_port_of_an_origin() {
    flood(layout(), "origin-1", "origin-1", all());
}

#[test]
fn on_the_port_of_a_home() {
    flood(layout(), "broker-1", "home-1", all());
}

/// It is the same port as a home's in broker-sim: what it does there need not be shown again in every form.
#[test]
fn on_the_port_of_a_sidecar() {
    let floods = resets().into_iter().chain(windows()).collect();
    flood(apart(), "home-1", "home-1", floods);
}
