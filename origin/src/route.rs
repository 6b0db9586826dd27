//! Where an attach goes, by its headers.

use baton_link::control::asks_for;
use baton_process::metrics::AttachKind;
use baton_protocol::{
    attach::{self, OPEN_PATH, RESUME_PATH, header},
    id::{NodeName, UserId},
    ring::Ring,
};
use http::Request;

use crate::config::HomeDown;

/// What an attach says about where it wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An open, to the home of this user.
    User(UserId),
    /// A resume, to this home.
    Home(NodeName),
}

impl Wanted {
    /// Reads an attach; `None` if it's none. What only the anchor needs isn't looked at.
    pub(crate) fn read<T>(request: &Request<T>) -> Option<Self> {
        if !asks_for(request, attach::TUNNEL) {
            return None;
        }
        match request.uri().path() {
            OPEN_PATH => attach::user_of(request.headers()).map(Self::User),
            RESUME_PATH => attach::name(request.headers(), &header::HOME).map(Self::Home),
            _ => None,
        }
    }

    /// What it's for.
    pub(crate) fn kind(&self) -> AttachKind {
        match self {
            Self::User(_) => AttachKind::Open,
            Self::Home(_) => AttachKind::Resume,
        }
    }
}

/// The home for an open; `None`: there is none now.
pub(crate) fn home_of<'a>(
    ring: &'a Ring,
    home_down: HomeDown,
    user: &UserId,
    is_up: impl Fn(&NodeName) -> bool,
) -> Option<&'a NodeName> {
    match home_down {
        HomeDown::Wait => Some(ring.home(user)).filter(|home| is_up(home)),
        HomeDown::Next => ring.successors(user).find(|home| is_up(home)),
    }
}

#[cfg(test)]
mod tests {
    use baton_protocol::{
        attach::{Attach, Open, Resume},
        id::{Epoch, SessionKey},
    };
    use h2::ext::Protocol;
    use http::{HeaderValue, Method};

    use super::*;

    fn name(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    fn request(attach: &Attach) -> Request<()> {
        let mut request = attach.to_request("origins");
        request.extensions_mut().insert(Protocol::from_static(attach::TUNNEL));
        request
    }

    fn open(user: &str) -> Attach {
        let key = SessionKey::from_bytes([7; 32]);
        Attach::Open(Open { user: UserId::new(user), key, window: 65_536, client: None })
    }

    #[test]
    fn attaches_are_read() {
        let resume =
            Attach::Resume(Resume { home: name("b"), key: SessionKey::from_bytes([7; 32]), epoch: Epoch(2), recv: 0 });
        assert_eq!(Wanted::read(&request(&open("alice"))), Some(Wanted::User(UserId::new("alice"))));
        assert_eq!(Wanted::read(&request(&resume)), Some(Wanted::Home(name("b"))));
    }

    #[test]
    fn what_is_no_attach_is_not_guessed_at() {
        let mutations: [fn(&mut Request<()>); 6] = [
            |r| *r.method_mut() = Method::GET,
            |r| drop(r.extensions_mut().insert(Protocol::from_static("websocket"))),
            |r| drop(r.extensions_mut().remove::<Protocol>()),
            |r| *r.uri_mut() = "http://origins/dcr/2/open".parse().unwrap(),
            |r| drop(r.headers_mut().remove(header::USER)),
            |r| drop(r.headers_mut().insert(header::USER, HeaderValue::from_static("alice"))),
        ];
        for (n, mutate) in mutations.into_iter().enumerate() {
            let mut request = request(&open("alice"));
            mutate(&mut request);
            assert_eq!(Wanted::read(&request), None, "mutation {n}");
        }
    }

    #[test]
    fn an_open_follows_the_ring_as_configured() {
        let members: Vec<_> = ["a", "b", "c"].map(|home| (name(home), 1)).into();
        let ring = Ring::new(&members, 500, 0).unwrap();
        for n in 0..100 {
            let user = UserId::new(&format!("user-{n}"));
            let order: Vec<_> = ring.successors(&user).collect();
            // The first so many of the user's homes are down.
            let without = |down: usize| {
                let down: Vec<_> = order[..down].to_vec();
                move |home: &NodeName| !down.contains(&home)
            };
            assert_eq!(home_of(&ring, HomeDown::Wait, &user, |_| true), Some(order[0]));
            assert_eq!(home_of(&ring, HomeDown::Wait, &user, without(1)), None);
            assert_eq!(home_of(&ring, HomeDown::Next, &user, |_| true), Some(order[0]));
            assert_eq!(home_of(&ring, HomeDown::Next, &user, without(1)), Some(order[1]));
            assert_eq!(home_of(&ring, HomeDown::Next, &user, without(2)), Some(order[2]));
            assert_eq!(home_of(&ring, HomeDown::Next, &user, without(3)), None);
        }
    }
}
