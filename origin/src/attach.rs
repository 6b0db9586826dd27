//! One attach: forwarded to the anchor at most once, and the answer brought back.

use std::{future::poll_fn, rc::Rc, time::Duration};

use baton_process::metrics::AttachKind;
use baton_protocol::{
    attach::{self, Refused, TUNNEL, Word, header},
    id::NodeName,
    limits,
};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture, server::SendResponse};
use http::{HeaderMap, HeaderName, Method, Request, Response, header::CONTENT_LENGTH, request};
use tokio::{task::spawn_local, time::timeout};
use tracing::debug;

use crate::{
    config::HomeDown,
    edges::{Carried, EdgeTrunk},
    homes::{Home, NoTrunk},
    origin::Origin,
    route::{self, Wanted},
    splice::Splice,
};

/// Time for the anchor to answer: the longest that an edge waits. With less, an edge that gives a slow home more time
/// after each timeout would do so in vain.
const ANSWER: Duration = Duration::from_millis(limits::ATTACH_MAX);

/// Forwards an attach, or refuses it.
pub(crate) fn begin(
    origin: &Rc<Origin>,
    edge: &Rc<EdgeTrunk>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    // Which edge it is decides who may resume, so an attach before the control stream is as good as none.
    let (Some(wanted), Some(name)) = (Wanted::read(&request), edge.name()) else {
        return refuse_malformed(origin, &mut respond);
    };
    let (parts, body) = request.into_parts();
    let kind = wanted.kind();
    match forward(origin, edge, name, &wanted, parts) {
        Ok(forwarded) => {
            spawn_local(Attempt { origin: Rc::clone(origin), kind, respond, body, forwarded }.answer());
        }
        Err(word) => refuse(origin, kind, word, &mut respond),
    }
}

/// Answers what is no request of ours. It names no home, so it's never final for a session.
pub(crate) fn refuse_malformed(origin: &Origin, respond: &mut SendResponse<Bytes>) {
    origin.metrics.refused_input("attach");
    // Fails only for a request that was given up.
    let _ = respond.send_response(Refused::of(Word::Malformed).to_response(), true);
}

fn refuse(origin: &Origin, kind: AttachKind, word: Word, respond: &mut SendResponse<Bytes>) {
    origin.metrics.attach_failed(kind, word.as_str());
    let retry_after = (word == Word::Busy).then_some(limits::RETRY_AFTER);
    let refused = Refused { retry_after, ..Refused::of(word) };
    // Fails only for an attach that was given up.
    let _ = respond.send_response(refused.to_response(), true);
}

/// An attach that is under way to an anchor.
struct Forwarded {
    home: Rc<Home>,
    response: ResponseFuture,
    send: SendStream<Bytes>,
    carried: Carried,
}

fn forward(
    origin: &Rc<Origin>,
    edge: &Rc<EdgeTrunk>,
    name: &NodeName,
    wanted: &Wanted,
    parts: request::Parts,
) -> Result<Forwarded, Word> {
    if origin.edges.is_leaving() {
        return Err(Word::Draining);
    }
    if origin.is_full() {
        return Err(Word::Busy);
    }
    let home = home(origin, wanted)?;
    let trunk = home.trunk().map_err(|none| match none {
        NoTrunk::Down => Word::Unreachable,
        NoTrunk::Full => Word::Busy,
    })?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = match wanted {
        Wanted::User(_) => home.open.clone(),
        Wanted::Home(_) => home.resume.clone(),
    };
    let mut headers = forwarded(parts.headers);
    headers.insert(header::HOME, attach::name_value(&home.name));
    headers.insert(header::EDGE, attach::name_value(name));
    *request.headers_mut() = headers;
    let sent = trunk.request(request, TUNNEL).map_err(|error| {
        debug!(event = "link.refuses", home = %home.name, %error);
        home.retire(trunk.state());
        Word::Unreachable
    });
    let (response, send) = sent?;
    let carried = Carried::new(origin, edge, trunk.state().count());
    Ok(Forwarded { home, response, send, carried })
}

fn home(origin: &Origin, wanted: &Wanted) -> Result<Rc<Home>, Word> {
    let now = origin.worker.now();
    let is_up = |name: &NodeName| origin.homes.get(name).is_some_and(|home| home.is_up());
    let takes_opens = |name: &NodeName| origin.homes.get(name).is_some_and(|home| home.takes_opens(now));
    let for_user = |user| match origin.home_down {
        // It is for the home to say no.
        HomeDown::Wait => route::home_of(&origin.ring, HomeDown::Wait, user, is_up),
        // Where all say no, its own is asked all the same.
        HomeDown::Next => route::home_of(&origin.ring, HomeDown::Next, user, takes_opens)
            .or_else(|| route::home_of(&origin.ring, HomeDown::Next, user, is_up)),
    };
    let name = match wanted {
        Wanted::User(user) => for_user(user).ok_or(Word::Unreachable)?,
        Wanted::Home(name) => name,
    };
    origin.homes.get(name).cloned().ok_or(Word::WrongHome)
}

/// Headers of which every attach or answer has one of a few values.
const REPEATING: [HeaderName; 7] = [
    header::CAPSULE_PROTOCOL,
    header::WINDOW,
    header::HOME,
    header::EDGE,
    header::GRACE,
    header::REFUSE,
    header::RETRY_AFTER,
];

/// The headers, to be sent on. That some may not enter HPACK's table (the session key among them) gets lost when they
/// are read, so it's said again, and of what we don't know as well.
fn forwarded(mut headers: HeaderMap) -> HeaderMap {
    for (name, value) in &mut headers {
        value.set_sensitive(!REPEATING.contains(name));
    }
    headers
}

/// An attach that waits for its answer.
struct Attempt {
    origin: Rc<Origin>,
    kind: AttachKind,
    respond: SendResponse<Bytes>,
    body: RecvStream,
    forwarded: Forwarded,
}

impl Attempt {
    /// Brings the answer back; a 200 leaves a tunnel behind, as a task of its own: smaller than this one.
    async fn answer(mut self) {
        let answer = tokio::select! {
            biased;
            _ = poll_fn(|cx| self.respond.poll_reset(cx)) => {
                self.origin.metrics.attach_failed(self.kind, "lost");
                return self.forwarded.send.send_reset(Reason::CANCEL);
            }
            answer = timeout(ANSWER, &mut self.forwarded.response) => answer,
        };
        match answer {
            Ok(Ok(response)) if response.status().is_success() => self.accept(response),
            Ok(Ok(response)) => self.pass_refusal(response),
            Ok(Err(error)) => {
                debug!(event = "attach.lost", home = %self.forwarded.home.name, %error);
                self.refuse(Word::Unreachable);
            }
            Err(_) => self.refuse(Word::Timeout),
        }
    }

    fn refuse(mut self, word: Word) {
        self.forwarded.send.send_reset(Reason::CANCEL);
        refuse(&self.origin, self.kind, word, &mut self.respond);
    }

    fn accept(self, response: Response<RecvStream>) {
        if attach::name(response.headers(), &header::HOME).as_ref() != Some(&self.forwarded.home.name) {
            debug!(event = "attach.wrong_home", home = %self.forwarded.home.name);
            return self.refuse(Word::Unreachable);
        }
        let Self { origin, kind, mut respond, body, forwarded: Forwarded { mut send, mut carried, .. } } = self;
        let (parts, anchor) = response.into_parts();
        let mut reply = Response::new(());
        *reply.status_mut() = parts.status;
        *reply.headers_mut() = forwarded(parts.headers);
        if kind == AttachKind::Open {
            self.forwarded.home.took_an_open();
        }
        match respond.send_response(reply, false) {
            Ok(edge) => {
                origin.metrics.attach_accepted(kind);
                carried.is_tunnel();
                spawn_local(Splice::new((edge, body), (send, anchor), origin.budget.share(), carried));
            }
            Err(_) => {
                origin.metrics.attach_failed(kind, "lost");
                send.send_reset(Reason::CANCEL);
            }
        }
    }

    fn pass_refusal(mut self, response: Response<RecvStream>) {
        let word = Refused::from_response(&response).word;
        if self.kind == AttachKind::Open && matches!(word, Some(Word::Unreachable | Word::Draining)) {
            self.forwarded.home.refuses_opens(self.origin.worker.now());
        }
        self.origin.metrics.attach_failed(self.kind, word.map_or("unknown", Word::as_str));
        let (parts, _) = response.into_parts();
        let mut reply = Response::new(());
        *reply.status_mut() = parts.status;
        *reply.headers_mut() = forwarded(parts.headers);
        // A refusal's body says nothing to an edge, and isn't forwarded.
        reply.headers_mut().remove(CONTENT_LENGTH);
        // Fails only for an attach that was given up.
        let _ = self.respond.send_response(reply, true);
    }
}

#[cfg(test)]
mod tests {
    use baton_protocol::{
        attach::{Attach, Open},
        id::{SessionKey, UserId},
    };

    use super::*;

    #[test]
    fn keys_and_what_we_do_not_know_stay_out_of_hpacks_table() {
        let open = Open { user: UserId::new("alice"), key: SessionKey::from_bytes([7; 32]), window: 1, client: None };
        let mut headers = Attach::Open(open).to_request("origins").headers().clone();
        headers.insert("dcr-newer", "secret, for all we know".parse().expect("a value"));
        // As they come off the wire.
        headers.values_mut().for_each(|value| value.set_sensitive(false));
        let headers = forwarded(headers);
        let mut indexed: Vec<_> = headers.iter().filter(|(_, value)| !value.is_sensitive()).map(|(n, _)| n).collect();
        indexed.sort_by_key(|name| name.as_str());
        assert_eq!(indexed, [header::CAPSULE_PROTOCOL, header::WINDOW]);
        assert_eq!(headers.len(), 5, "user, key and the unknown one among them");
    }
}
