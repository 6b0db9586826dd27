//! Where attaches go, what they carry, and how each is answered.

use std::time::Duration;

use baton_protocol::{
    attach::{self, Refused, Word, header},
    id::Epoch,
    limits,
};
use h2::{Reason, ext::Protocol};
use http::{HeaderName, HeaderValue, Method, Request, header::CONTENT_LENGTH};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

use crate::{
    net::Network,
    on_a_worker,
    tier::{Arrived, Edge, Ended, Tier, key, name, open, resume, send, soon, until},
};

const NEWER: HeaderName = HeaderName::from_static("dcr-newer");

fn text<'a>(headers: &'a http::HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII")).collect()
}

/// The attaches of both kinds, as an edge that is up to no good, or newer than we are, could send them.
fn requests() -> [Request<()>; 2] {
    [open("alice"), resume("a")].map(|attach| {
        let mut request = attach.to_request("origins");
        let headers = request.headers_mut();
        headers.insert(NEWER, HeaderValue::from_static("x"));
        headers.insert(header::EDGE, HeaderValue::from_static("\"edge-9\""));
        headers.append(header::EDGE, HeaderValue::from_static("\"edge-8\""));
        headers.insert(header::HOME, HeaderValue::from_static("\"a\""));
        request
    })
}

#[test]
fn the_anchor_sees_who_the_edge_is_and_which_home_it_is() {
    on_a_worker(async {
        let (_tier, edge, mut anchor) = Tier::whole(&[]).await;
        for request in requests() {
            let path = request.uri().path().to_owned();
            let pending = send(&edge.trunk, request);
            let arrived = anchor.next().await;
            let headers = arrived.request.headers();
            assert_eq!(text(headers, &header::EDGE), ["\"edge-1\""], "what the control stream said, and nothing else");
            assert_eq!(text(headers, &header::HOME), ["\"a\""]);
            assert_eq!(text(headers, &header::KEY), [key().to_header()]);
            assert_eq!(text(headers, &NEWER), ["x"]);
            assert_eq!(arrived.request.uri().path(), path);
            assert_eq!(arrived.request.extensions().get::<Protocol>().map(Protocol::as_str), Some(attach::TUNNEL));
            assert_eq!(arrived.request.method(), Method::CONNECT);
            assert!(attach::Attach::from_request(&arrived.request).is_ok());
            let _far = arrived.accept("a");
            pending.accepted().await;
        }
    });
}

#[test]
fn answers_come_back_as_they_are() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let pending = edge.attach(&open("alice"));
        let arrived = anchor.next().await;
        let accepted = attach::Accepted { home: name("a"), recv: 5, window: 65_536, grace: 60_000 };
        let mut response = accepted.to_response();
        response.headers_mut().insert(NEWER, HeaderValue::from_static("y"));
        let far = arrived.answer(response);
        let (headers, near) = pending.accepted().await;
        assert_eq!((text(&headers, &header::RECV), text(&headers, &NEWER)), (vec!["5"], vec!["y"]));
        drop((near, far));

        let pending = edge.attach(&resume("a"));
        let stale = Refused { epoch: Some(Epoch(9)), ..Refused::by(&name("a"), Word::Stale) };
        let mut response = stale.to_response();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("12"));
        let Arrived { mut respond, .. } = anchor.next().await;
        let mut body = respond.send_response(response, false).expect("it waits");
        body.send_data("because so!!".into(), true).expect("it's there");
        assert_eq!(pending.refused().await, stale, "a body isn't brought along, nor waited for");
        assert!(tier.shows("baton_attaches_total{kind=\"open\",outcome=\"accepted\"} 1"));
        assert!(tier.shows("baton_attaches_total{kind=\"resume\",outcome=\"stale\"} 1"));
    });
}

async fn refused(edge: &Edge, attach: &attach::Attach) -> (Option<Word>, bool) {
    let refused = edge.attach(attach).refused().await;
    (refused.word, refused.home.is_some())
}

#[test]
fn resumes_go_to_their_home_and_opens_where_the_ring_says() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&["origin.homes.b=127.0.0.1:7202"]).await;
        let mut other = tier.anchor(7202);
        until(|| other.up() == 1).await;
        let mut opened = [0, 0];
        for n in 0..40 {
            let pending = edge.attach(&open(&format!("user-{n}")));
            let (here, arrived) = tokio::select! {
                arrived = anchor.next() => (0, arrived),
                arrived = other.next() => (1, arrived),
            };
            let home = ["a", "b"][here];
            assert_eq!(text(arrived.request.headers(), &header::HOME), [format!("\"{home}\"")]);
            opened[here] += 1;
            let _far = arrived.accept(home);
            pending.accepted().await;
        }
        assert!(opened.iter().all(|n| *n > 5), "{opened:?}");
        for _ in 0..3 {
            let pending = edge.attach(&resume("b"));
            let _far = other.next().await.accept("b");
            pending.accepted().await;
        }
        assert_eq!(refused(&edge, &resume("c")).await, (Some(Word::WrongHome), false));
        assert!(!anchor.has_more());
    });
}

#[test]
fn a_home_that_is_down_is_said_to_be_at_once() {
    on_a_worker(async {
        let (_tier, edge, _anchor) = Tier::whole(&["origin.homes.b=127.0.0.1:7202"]).await;
        let began = Instant::now();
        assert_eq!(refused(&edge, &resume("b")).await, (Some(Word::Unreachable), false));
        let mut unreachable = 0;
        for n in 0..20 {
            let mut pending = edge.attach(&open(&format!("user-{n}")));
            let soon = tokio::time::timeout(Duration::from_millis(1), &mut pending.response).await;
            if let Ok(response) = soon {
                assert_eq!(Refused::from_response(&response.expect("an answer")).word, Some(Word::Unreachable));
                unreachable += 1;
            }
        }
        assert!((1..20).contains(&unreachable), "only those whose home it is: {unreachable}");
        assert!(began.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn an_open_may_go_to_the_next_home_where_that_is_allowed() {
    on_a_worker(async {
        let sets = ["origin.homes.b=127.0.0.1:7202", "origin.home_down=next"];
        let (_tier, edge, mut anchor) = Tier::whole(&sets).await;
        for n in 0..20 {
            let pending = edge.attach(&open(&format!("user-{n}")));
            let _far = anchor.next().await.accept("a");
            pending.accepted().await;
        }
        assert_eq!(refused(&edge, &resume("b")).await, (Some(Word::Unreachable), false), "a resume never does");
    });
}

#[test]
fn a_home_that_refuses_opens_is_passed_over_for_a_while_where_that_is_allowed() {
    for (home_down, allowed) in [("next", true), ("wait", false)] {
        on_a_worker(async {
            let sets = ["origin.homes.b=127.0.0.1:7202", &format!("origin.home_down={home_down}")];
            let (tier, edge, mut anchor) = Tier::whole(&sets).await;
            let mut other = tier.anchor(7202);
            until(|| other.up() == 1).await;
            // A user of the home "a", whose broker isn't well.
            let mut asked = 0;
            let user = loop {
                let user = open(&format!("user-{asked}"));
                asked += 1;
                let pending = edge.attach(&user);
                tokio::select! {
                    arrived = anchor.next() => {
                        arrived.answer(Refused::by(&name("a"), Word::Unreachable).to_response());
                        assert_eq!(pending.refused().await, Refused::by(&name("a"), Word::Unreachable));
                        break user;
                    }
                    arrived = other.next() => drop(arrived.accept("b")),
                }
            };
            let pending = edge.attach(&user);
            let here = if allowed { other.next().await.accept("b") } else { anchor.next().await.accept("a") };
            pending.accepted().await;
            assert!(!anchor.has_more() && !other.has_more());
            drop(here);
            sleep(Duration::from_secs(3)).await;
            // By then it may be well again.
            let pending = edge.attach(&user);
            let _far = anchor.next().await.accept("a");
            pending.accepted().await;
        });
    }
}

#[test]
fn an_anchor_that_does_not_answer_is_given_up() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let pending = edge.attach(&resume("a"));
        let arrived = anchor.next().await;
        let began = Instant::now();
        assert_eq!(pending.refused().await, Refused::of(Word::Timeout));
        let took = began.elapsed();
        let longest = Duration::from_millis(limits::ATTACH_MAX);
        assert!(took >= longest - Duration::from_millis(5) && took < longest + Duration::from_secs(1), "{took:?}");
        assert_eq!(arrived.given_up().await, Reason::CANCEL);
        assert!(tier.shows("baton_attaches_total{kind=\"resume\",outcome=\"timeout\"} 1"));
        assert!(tier.shows("baton_limit_used{name=\"sessions\"} 0"));
    });
}

#[test]
fn an_edge_that_gives_up_cancels_what_the_anchor_is_doing() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let pending = edge.attach(&open("alice"));
        let arrived = anchor.next().await;
        drop(pending);
        assert_eq!(arrived.given_up().await, Reason::CANCEL);
        assert!(tier.shows("baton_attaches_total{kind=\"open\",outcome=\"lost\"} 1"));
    });
}

#[test]
fn an_attach_that_the_anchor_drops_is_not_sent_again() {
    on_a_worker(async {
        let (_tier, edge, mut anchor) = Tier::whole(&[]).await;
        for reason in [Reason::REFUSED_STREAM, Reason::INTERNAL_ERROR] {
            let pending = edge.attach(&open("alice"));
            anchor.next().await.respond.send_reset(reason);
            assert_eq!(pending.refused().await, Refused::of(Word::Unreachable));
        }
        let pending = edge.attach(&open("alice"));
        let _arrived = anchor.next().await;
        anchor.trunks.borrow().iter().for_each(|trunk| trunk.cut());
        assert_eq!(pending.refused().await, Refused::of(Word::Unreachable));
        until(|| anchor.up() == 1).await;
        assert!(!anchor.has_more(), "once each");
    });
}

#[test]
fn a_yes_in_another_homes_name_is_none() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let pending = edge.attach(&open("alice"));
        let mut far = anchor.next().await.accept("b");
        assert_eq!(pending.refused().await, Refused::of(Word::Unreachable));
        assert_eq!(far.ended().await, Ended::Reset(Reason::CANCEL));
        assert!(tier.shows("baton_tunnels{role=\"origin\"} 0"));
    });
}

#[test]
fn what_is_no_attach_is_refused_and_never_for_good() {
    on_a_worker(async {
        let (tier, edge, anchor) = Tier::whole(&[]).await;
        let mutations: [fn(&mut Request<()>); 4] = [
            |r| *r.uri_mut() = "http://origins/dcr/2/open".parse().expect("a URI"),
            |r| *r.uri_mut() = "http://origins/".parse().expect("a URI"),
            |r| drop(r.headers_mut().insert(header::USER, HeaderValue::from_static("::"))),
            |r| drop(r.headers_mut().remove(header::USER)),
        ];
        for mutate in mutations {
            let mut request = open("alice").to_request("origins");
            mutate(&mut request);
            assert_eq!(send(&edge.trunk, request).refused().await, Refused::of(Word::Malformed));
        }
        let nameless = tier.connect().await;
        let request = open("alice").to_request("origins");
        assert_eq!(send(&nameless.trunk, request).refused().await, Refused::of(Word::Malformed));
        assert!(tier.shows("baton_refused_input_total{what=\"attach\"} 5"));
        assert!(!anchor.has_more());
        assert!(!edge.trunk.state().ended() && !nameless.trunk.state().ended());
    });
}

#[test]
fn a_connection_is_one_edges() {
    on_a_worker(async {
        let (_tier, edge, mut anchor) = Tier::whole(&[]).await;
        let again = baton_link::control::Control::open(&edge.trunk, &name("edge-2"), "origins").await;
        again.expect_err("it has a name");
        let pending = edge.attach(&open("alice"));
        let arrived = anchor.next().await;
        assert_eq!(text(arrived.request.headers(), &header::EDGE), ["\"edge-1\""]);
        let _far = arrived.accept("a");
        pending.accepted().await;
    });
}

#[test]
fn a_full_origin_says_so() {
    on_a_worker(async {
        let (_tier, edge, mut anchor) = Tier::whole(&["limits.sessions=1"]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        let refused = edge.attach(&open("bob")).refused().await;
        assert_eq!(refused, Refused { retry_after: Some(limits::RETRY_AFTER), ..Refused::of(Word::Busy) });
        near.end();
        far.end();
        assert_eq!((near.ended().await, far.ended().await), (Ended::EndStream, Ended::EndStream));
        edge.tunnel(&mut anchor).await;
    });
}

#[test]
fn garbage_is_counted_and_hurts_nobody() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        for _ in 0..3 {
            let mut stream = dial(&tier.network).await;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
            soon(stream.read_to_end(&mut Vec::new())).await.expect("it closes");
        }
        until(|| tier.shows("baton_refused_input_total{what=\"link\"} 3")).await;
        assert!(tier.shows("baton_link_closes_total{reason=\"garbage\"} 3"));
        edge.tunnel(&mut anchor).await;
    });
}

async fn dial(network: &Network) -> crate::net::Pipe {
    use baton_process::net::Dial;
    network.dial("127.0.0.1:7101").await.expect("it listens")
}
