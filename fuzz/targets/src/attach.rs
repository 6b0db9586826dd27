//! Attach requests and their answers, from any headers.

use baton_protocol::attach::{Accepted, Attach, OPEN_PATH, RESUME_PATH, Refused, header, user_of};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

/// Those that a line may name, by letter.
pub(crate) const NAMES: [HeaderName; 12] = [
    header::USER,
    header::KEY,
    header::WINDOW,
    header::CLIENT,
    header::HOME,
    header::EPOCH,
    header::RECV,
    header::EDGE,
    header::GRACE,
    header::REFUSE,
    header::RETRY_AFTER,
    header::CAPSULE_PROTOCOL,
];

/// A header a line: a letter for its name (or none, for one that we don't know), then its value.
fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((letter, value)) = line.split_first() else { continue };
        let name = usize::from(letter.wrapping_sub(b'a'));
        let name = NAMES.get(name).cloned().unwrap_or(HeaderName::from_static("x-other"));
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}

/// The first two bytes are a status, the rest headers: as each of the two requests, as a 200 and as a refusal. What is
/// read from them is read again from what it's written as.
pub fn attach(data: &[u8]) -> bool {
    let Some((status, lines)) = data.split_at_checked(2) else { return false };
    let headers = headers(lines);
    let mut read = false;

    for path in [OPEN_PATH, RESUME_PATH, "/"] {
        let mut request = Request::builder().uri(path).body(()).expect("a legal path");
        *request.headers_mut() = headers.clone();
        if let Ok(attach) = Attach::from_request(&request) {
            read = true;
            let written = attach.to_request("origins");
            assert_eq!(Attach::from_request(&written).as_ref(), Ok(&attach));
            if let Attach::Open(open) = attach {
                assert_eq!(user_of(&headers), Some(open.user));
            }
        }
    }

    let status = 100 + u16::from_be_bytes([status[0], status[1]]) % 900;
    let mut response = Response::new(());
    *response.headers_mut() = headers;
    if let Ok(accepted) = Accepted::from_response(&response) {
        read = true;
        assert_eq!(Accepted::from_response(&accepted.to_response()), Ok(accepted));
    }
    *response.status_mut() = StatusCode::from_u16(status).expect("100 to 999");
    let refused = Refused::from_response(&response);
    let again = Refused::from_response(&refused.to_response());
    assert_eq!((again.verdict(), &again), (refused.verdict(), &refused));
    read || refused.word.is_some()
}
