//! Attach: the request that makes a tunnel, and its answers, as types and as headers (extended CONNECT, RFC 8441).
//!
//! `open` begins a session, `resume` (the paper's re_connect) goes on with one. A 200 is the connect_ack; a refusal
//! that counts as the connect_refuse carries both `dcr-refuse` and `dcr-home`: a middlebox's 404 closes nobody.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use crate::{
    id::{Epoch, NodeName, SessionKey, UserId},
    limits::{self, Millis},
};

/// `:protocol` of a tunnel.
pub const TUNNEL: &str = "dcr";
/// `:protocol` of a control stream.
pub const CONTROL: &str = "dcr-control";
/// `:path` of an open.
pub const OPEN_PATH: &str = "/dcr/1/open";
/// `:path` of a resume.
pub const RESUME_PATH: &str = "/dcr/1/resume";
/// `:path` of a control stream.
pub const CONTROL_PATH: &str = "/dcr/1/control";

/// The headers' names.
pub mod header {
    use http::HeaderName;

    /// The user id, as a byte sequence.
    pub const USER: HeaderName = HeaderName::from_static("dcr-user");
    /// The session key, as a byte sequence; sensitive.
    pub const KEY: HeaderName = HeaderName::from_static("dcr-key");
    /// The sender's receive window in bytes.
    pub const WINDOW: HeaderName = HeaderName::from_static("dcr-window");
    /// The client's address, for the broker's half.
    pub const CLIENT: HeaderName = HeaderName::from_static("dcr-client");
    /// The home's name.
    pub const HOME: HeaderName = HeaderName::from_static("dcr-home");
    /// The attempt's number.
    pub const EPOCH: HeaderName = HeaderName::from_static("dcr-epoch");
    /// Positions that the sender committed.
    pub const RECV: HeaderName = HeaderName::from_static("dcr-recv");
    /// The edge's name; set by the origin, inbound copies dropped.
    pub const EDGE: HeaderName = HeaderName::from_static("dcr-edge");
    /// T_grace in milliseconds.
    pub const GRACE: HeaderName = HeaderName::from_static("dcr-grace");
    /// The refusal's word.
    pub const REFUSE: HeaderName = HeaderName::from_static("dcr-refuse");
    /// How long to wait, in milliseconds.
    pub const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after-ms");
    /// Which process answers on a control stream: name and boot id.
    pub const INSTANCE: HeaderName = HeaderName::from_static("dcr-instance");
    /// RFC 9297.
    pub const CAPSULE_PROTOCOL: HeaderName = HeaderName::from_static("capsule-protocol");
}

/// Begins a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    /// Whom the ring hashes.
    pub user: UserId,
    /// Fresh for every attempt: no CONNECT is ever delivered twice.
    pub key: SessionKey,
    /// The edge's receive window in bytes.
    pub window: u64,
    /// The client's address and port, where known.
    pub client: Option<String>,
}

/// Goes on with a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resume {
    /// Where the session lives.
    pub home: NodeName,
    /// Whose it is.
    pub key: SessionKey,
    /// Number of the attempt.
    pub epoch: Epoch,
    /// Down bytes committed.
    pub recv: u64,
}

/// A request for a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attach {
    /// Begins a session.
    Open(Open),
    /// Goes on with one.
    Resume(Resume),
}

/// connect_ack.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// Where the session lives from now on.
    pub home: NodeName,
    /// Up bytes committed.
    pub recv: u64,
    /// The anchor's receive window in bytes.
    pub window: u64,
    /// How long the anchor keeps a session without a tunnel; at most [`limits::GRACE_MAX`].
    pub grace: Millis,
}

/// Why an attach was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// 404: nowhere at this home.
    Gone,
    /// 409: not above the current epoch, which the answer names.
    Stale,
    /// 400: the request contradicts what the anchor knows, or itself.
    Malformed,
    /// 501: a version that the anchor doesn't speak.
    Version,
    /// 421: not this anchor's name, or not in the origin's table.
    WrongHome,
    /// 502: the home, or its broker, can't be reached.
    Unreachable,
    /// 503: too much at once.
    Busy,
    /// 503: this process is about to go.
    Draining,
    /// 503: the session is changing processes.
    Handover,
    /// 504: the home didn't answer in time.
    Timeout,
}

impl Word {
    /// Every word.
    pub const ALL: [Self; 10] = [
        Self::Gone,
        Self::Stale,
        Self::Malformed,
        Self::Version,
        Self::WrongHome,
        Self::Unreachable,
        Self::Busy,
        Self::Draining,
        Self::Handover,
        Self::Timeout,
    ];

    /// The stable word, as in `dcr-refuse`, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Stale => "stale",
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::WrongHome => "wrong-home",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Handover => "handover",
            Self::Timeout => "timeout",
        }
    }

    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Gone => StatusCode::NOT_FOUND,
            Self::Stale => StatusCode::CONFLICT,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::NOT_IMPLEMENTED,
            Self::WrongHome => StatusCode::MISDIRECTED_REQUEST,
            Self::Unreachable => StatusCode::BAD_GATEWAY,
            Self::Busy | Self::Draining | Self::Handover => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// connect_refuse, or what looks like it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// The status and word, if they are ones that we know and go together.
    pub word: Option<Word>,
    /// Who says so; only an anchor's word can be final.
    pub home: Option<NodeName>,
    /// With `Stale`: the current epoch.
    pub epoch: Option<Epoch>,
    /// How long to wait; at most [`limits::RETRY_AFTER_MAX`].
    pub retry_after: Option<Millis>,
}

/// What a refusal means for the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The home doesn't hold the session (any more), or never will: final if there is no tunnel.
    Final(Word),
    /// The attempt's number was not above this one.
    Stale(Epoch),
    /// Wait this long and ask again; counts against nobody.
    Wait(Millis),
    /// The origin is about to go: ask another.
    Draining,
    /// The home can't be reached from this origin, or didn't answer in time.
    HomeUnreachable,
    /// Anything else: back off and ask another origin.
    Transient,
}

impl Refused {
    /// A refusal in an anchor's name.
    pub fn by(home: &NodeName, word: Word) -> Self {
        Self { word: Some(word), home: Some(home.clone()), epoch: None, retry_after: None }
    }

    /// A refusal that isn't an anchor's.
    pub fn of(word: Word) -> Self {
        Self { word: Some(word), home: None, epoch: None, retry_after: None }
    }

    /// What it means.
    pub fn verdict(&self) -> Verdict {
        match (self.word, &self.home) {
            (Some(word @ (Word::Gone | Word::Malformed | Word::Version)), Some(_)) => Verdict::Final(word),
            (Some(Word::Stale), Some(_)) => match self.epoch {
                Some(epoch) if epoch < Epoch::CEILING => Verdict::Stale(epoch),
                _ => Verdict::Transient,
            },
            (Some(Word::Busy | Word::Handover), _) => Verdict::Wait(self.retry_after.unwrap_or(limits::RETRY_AFTER)),
            (Some(Word::Draining), _) => Verdict::Draining,
            (Some(Word::Unreachable | Word::Timeout), _) => Verdict::HomeUnreachable,
            _ => Verdict::Transient,
        }
    }

    /// As an answer.
    pub fn to_response(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = self.word.map_or(StatusCode::INTERNAL_SERVER_ERROR, Word::status);
        let headers = response.headers_mut();
        if let Some(word) = self.word {
            headers.insert(header::REFUSE, HeaderValue::from_static(word.as_str()));
        }
        if let Some(home) = &self.home {
            headers.insert(header::HOME, quoted(home));
        }
        if let Some(epoch) = self.epoch {
            headers.insert(header::EPOCH, epoch.0.into());
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait.into());
        }
        response
    }

    /// Reads a non-2xx answer; nothing in it can be malformed, only unknown.
    pub fn from_response<T>(response: &Response<T>) -> Self {
        let headers = response.headers();
        let word = text(headers, &header::REFUSE).and_then(|w| Word::ALL.into_iter().find(|known| known.as_str() == w));
        Self {
            word: word.filter(|word| word.status() == response.status()),
            home: name(headers, &header::HOME),
            epoch: number(headers, &header::EPOCH).map(Epoch),
            retry_after: number(headers, &header::RETRY_AFTER).map(|ms| ms.min(limits::RETRY_AFTER_MAX)),
        }
    }
}

/// A request or answer that lacks what it must hold; the header's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing or malformed", self.0)
    }
}

impl std::error::Error for Malformed {}

fn quoted(name: &NodeName) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{name}\"")).expect("a node name is visible ASCII")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok().filter(|n| *n < 1 << 62)
}

/// What stands between the quotes of a string (RFC 8941).
fn unquoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// A node's name in a header.
pub fn name(headers: &HeaderMap, header: &HeaderName) -> Option<NodeName> {
    NodeName::new(unquoted(text(headers, header)?)?)
}

/// What is unique to a session never enters a connection's HPACK table: it would only push out what repeats.
fn unindexed(value: HeaderValue) -> HeaderValue {
    let mut value = value;
    value.set_sensitive(true);
    value
}

fn unindexed_text(value: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(value).ok().map(unindexed)
}

/// A node's name as a header's value.
pub fn name_value(name: &NodeName) -> HeaderValue {
    quoted(name)
}

impl Attach {
    /// The session's key.
    pub fn key(&self) -> &SessionKey {
        match self {
            Self::Open(open) => &open.key,
            Self::Resume(resume) => &resume.key,
        }
    }

    /// As a request to the pool of origins that `authority` names. `:protocol` is the caller's to add.
    pub fn to_request(&self, authority: &str) -> Request<()> {
        let path = match self {
            Self::Open(_) => OPEN_PATH,
            Self::Resume(_) => RESUME_PATH,
        };
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = format!("http://{authority}{path}").parse().expect("an authority was checked when read");
        let headers = request.headers_mut();
        headers.insert(header::CAPSULE_PROTOCOL, HeaderValue::from_static("?1"));
        headers.insert(header::KEY, unindexed_text(&self.key().to_header()).expect("base64 is visible ASCII"));
        match self {
            Self::Open(open) => {
                let user = format!(":{}:", STANDARD.encode(open.user.as_str()));
                headers.insert(header::USER, unindexed_text(&user).expect("base64 is visible ASCII"));
                headers.insert(header::WINDOW, open.window.into());
                if let Some(client) = open.client.as_ref().and_then(|c| unindexed_text(&format!("\"{c}\""))) {
                    headers.insert(header::CLIENT, client);
                }
            }
            Self::Resume(resume) => {
                headers.insert(header::HOME, quoted(&resume.home));
                headers.insert(header::EPOCH, unindexed(resume.epoch.0.into()));
                headers.insert(header::RECV, unindexed(resume.recv.into()));
            }
        }
        request
    }

    /// Reads a request.
    pub fn from_request<T>(request: &Request<T>) -> Result<Self, Malformed> {
        let headers = request.headers();
        let key = text(headers, &header::KEY).and_then(SessionKey::from_header).ok_or(Malformed("dcr-key"))?;
        match request.uri().path() {
            OPEN_PATH => {
                let user = text(headers, &header::USER).and_then(user).ok_or(Malformed("dcr-user"))?;
                let window = number(headers, &header::WINDOW).ok_or(Malformed("dcr-window"))?;
                let client = text(headers, &header::CLIENT).and_then(client);
                Ok(Self::Open(Open { user, key, window, client }))
            }
            RESUME_PATH => {
                let home = name(headers, &header::HOME).ok_or(Malformed("dcr-home"))?;
                let epoch = number(headers, &header::EPOCH).map(Epoch).ok_or(Malformed("dcr-epoch"))?;
                let recv = number(headers, &header::RECV).ok_or(Malformed("dcr-recv"))?;
                Ok(Self::Resume(Resume { home, key, epoch, recv }))
            }
            _ => Err(Malformed(":path")),
        }
    }
}

/// The user id in a header's value.
fn user(value: &str) -> Option<UserId> {
    let bytes = STANDARD.decode(value.strip_prefix(':')?.strip_suffix(':')?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.len() <= limits::USER_ID_BYTES).then(|| UserId::new(&text))
}

/// The client's address in a header's value; what can't be one is as good as none.
fn client(value: &str) -> Option<String> {
    unquoted(value).filter(|client| client.len() <= limits::CLIENT_BYTES && !client.contains('"')).map(str::to_owned)
}

/// The user id of an open's headers: what an origin needs of one.
pub fn user_of(headers: &HeaderMap) -> Option<UserId> {
    text(headers, &header::USER).and_then(user)
}

impl Accepted {
    /// As an answer.
    pub fn to_response(&self) -> Response<()> {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert(header::CAPSULE_PROTOCOL, HeaderValue::from_static("?1"));
        headers.insert(header::HOME, quoted(&self.home));
        headers.insert(header::RECV, unindexed(self.recv.into()));
        headers.insert(header::WINDOW, self.window.into());
        headers.insert(header::GRACE, self.grace.into());
        response
    }

    /// Reads a 2xx answer.
    pub fn from_response<T>(response: &Response<T>) -> Result<Self, Malformed> {
        let headers = response.headers();
        Ok(Self {
            home: name(headers, &header::HOME).ok_or(Malformed("dcr-home"))?,
            recv: number(headers, &header::RECV).ok_or(Malformed("dcr-recv"))?,
            window: number(headers, &header::WINDOW).ok_or(Malformed("dcr-window"))?,
            grace: number(headers, &header::GRACE).ok_or(Malformed("dcr-grace"))?.min(limits::GRACE_MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> NodeName {
        NodeName::new("broker-3").unwrap()
    }

    fn key() -> SessionKey {
        SessionKey::from_bytes([7; 32])
    }

    #[test]
    fn requests_round_trip() {
        let open = Attach::Open(Open {
            user: UserId::new("alice in \u{1F30D}"),
            key: key(),
            window: limits::WINDOW,
            client: Some("203.0.113.7:55123".into()),
        });
        let resume = Attach::Resume(Resume { home: home(), key: key(), epoch: Epoch(7), recv: 123_456 });
        for attach in [open, resume] {
            let request = attach.to_request("origins");
            assert_eq!(request.method(), Method::CONNECT);
            assert!(request.headers()[header::KEY].is_sensitive());
            assert_eq!(Attach::from_request(&request), Ok(attach));
        }
    }

    #[test]
    fn a_client_that_is_no_address_is_none() {
        let long = format!("\"{}\"", "1".repeat(limits::CLIENT_BYTES + 1));
        for (value, client) in [("\"[::1]:5\"", Some("[::1]:5")), ("[::1]:5", None), ("\"_\"\"", None), (&long, None)] {
            let open = Open { user: UserId::new("alice"), key: key(), window: 1, client: None };
            let mut request = Attach::Open(open.clone()).to_request("origins");
            request.headers_mut().insert(header::CLIENT, HeaderValue::from_str(value).unwrap());
            let read = Attach::from_request(&request);
            assert_eq!(read, Ok(Attach::Open(Open { client: client.map(str::to_owned), ..open })), "{value}");
        }
    }

    #[test]
    fn answers_round_trip() {
        let accepted = Accepted { home: home(), recv: 9, window: 65536, grace: 60_000 };
        assert_eq!(Accepted::from_response(&accepted.to_response()), Ok(accepted));
        for word in Word::ALL {
            let refused = Refused { epoch: Some(Epoch(3)), retry_after: Some(200), ..Refused::by(&home(), word) };
            assert_eq!(Refused::from_response(&refused.to_response()), refused);
        }
    }

    #[test]
    fn only_an_anchor_is_final() {
        assert_eq!(Refused::by(&home(), Word::Gone).verdict(), Verdict::Final(Word::Gone));
        assert_eq!(Refused::of(Word::Gone).verdict(), Verdict::Transient);
        let mut middlebox = Refused::by(&home(), Word::Gone).to_response();
        middlebox.headers_mut().remove(header::REFUSE);
        assert_eq!(Refused::from_response(&middlebox).verdict(), Verdict::Transient);
        let mut contradiction = Refused::by(&home(), Word::Gone).to_response();
        *contradiction.status_mut() = StatusCode::BAD_GATEWAY;
        assert_eq!(Refused::from_response(&contradiction).verdict(), Verdict::Transient);
        let stale = |epoch| Refused { epoch: Some(epoch), ..Refused::by(&home(), Word::Stale) }.verdict();
        assert_eq!(stale(Epoch(5)), Verdict::Stale(Epoch(5)));
        assert_eq!(stale(Epoch::CEILING), Verdict::Transient);
    }

    #[test]
    fn what_a_peer_says_about_time_is_clamped() {
        let accepted = Accepted { home: home(), recv: 0, window: 1, grace: 1 << 40 };
        assert_eq!(Accepted::from_response(&accepted.to_response()).unwrap().grace, limits::GRACE_MAX);
        let refused = Refused { retry_after: Some(1 << 40), ..Refused::of(Word::Busy) };
        assert_eq!(Refused::from_response(&refused.to_response()).verdict(), Verdict::Wait(limits::RETRY_AFTER_MAX));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut request = Attach::Resume(Resume { home: home(), key: key(), epoch: Epoch(7), recv: 1 }).to_request("o");
        request.headers_mut().insert(header::RECV, HeaderValue::from_static("-1"));
        assert_eq!(Attach::from_request(&request), Err(Malformed("dcr-recv")));
        request.headers_mut().insert(header::KEY, HeaderValue::from_static(":AAAA:"));
        assert_eq!(Attach::from_request(&request), Err(Malformed("dcr-key")));
        assert_eq!(Malformed("dcr-key").to_string(), "dcr-key is missing or malformed");
    }

    #[test]
    fn a_path_that_is_neither_is_malformed() {
        let mut request = Attach::Resume(Resume { home: home(), key: key(), epoch: Epoch(7), recv: 1 }).to_request("o");
        *request.uri_mut() = "http://o/elsewhere".parse().unwrap();
        assert_eq!(Attach::from_request(&request), Err(Malformed(":path")));
    }

    /// The pairs of word and status that are on the wire.
    #[test]
    fn every_word_has_its_status_and_verdict() {
        let busy = Verdict::Wait(limits::RETRY_AFTER);
        let rows = [
            ("gone", 404, Verdict::Final(Word::Gone)),
            ("stale", 409, Verdict::Transient),
            ("malformed", 400, Verdict::Final(Word::Malformed)),
            ("version", 501, Verdict::Final(Word::Version)),
            ("wrong-home", 421, Verdict::Transient),
            ("unreachable", 502, Verdict::HomeUnreachable),
            ("busy", 503, busy),
            ("draining", 503, Verdict::Draining),
            ("handover", 503, busy),
            ("timeout", 504, Verdict::HomeUnreachable),
        ];
        let said = Word::ALL.map(|word| (word.as_str(), word.status().as_u16(), Refused::by(&home(), word).verdict()));
        assert_eq!(said, rows);
    }

    #[test]
    fn a_refusal_without_a_word_is_an_error_of_the_server() {
        let refused = Refused { word: None, home: None, epoch: None, retry_after: None };
        assert_eq!(refused.to_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(Refused::from_response(&refused.to_response()), refused);
    }
}
