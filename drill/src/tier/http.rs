//! The few words of HTTP that an admin port needs.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::Patience;

/// Bytes of an answer: metrics are some ten thousand.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// One request on a connection of its own. HTTP/1.0, so that the answer comes whole and ends with the connection.
///
/// # Errors
/// No connection, no answer within `patience`, an answer that isn't HTTP or exceeds 16 MiB.
pub fn request(address: SocketAddr, method: &str, path: &str, patience: Duration) -> io::Result<Response> {
    request_with(address, method, path, "", patience)
}

/// The same with a body.
///
/// # Errors
/// As for the other.
pub fn request_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
    patience: Duration,
) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_write_timeout(Some(patience))?;
    let patience = Patience::new(patience);
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let left = patience.left();
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not HTTP")),
            read => answer.extend_from_slice(&chunk[..read]),
        }
        if answer.len() > ANSWER_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an endless answer"));
        }
    }
}

fn parse(answer: &[u8]) -> Option<Response> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::{io::BufRead, net::TcpListener, thread};

    use super::*;

    fn serve(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let mut stream = io::BufReader::new(listener.accept().unwrap().0);
            let head: Vec<_> =
                stream.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            stream.into_inner().write_all(answer.as_bytes()).unwrap();
            head[0].clone()
        });
        (address, server)
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let (address, server) = serve("HTTP/1.0 503 Unavailable\r\ncontent-length: 9\r\n\r\nnot ready");
        let response = request(address, "GET", "/readyz", Duration::from_secs(5)).unwrap();
        assert_eq!(response, Response { status: 503, body: "not ready".into() });
        assert_eq!(server.join().unwrap(), "GET /readyz HTTP/1.0");
    }

    #[test]
    fn what_isnt_http_is_an_error() {
        let (address, server) = serve("\x10\x00");
        assert_eq!(
            request(address, "GET", "/", Duration::from_secs(5)).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        server.join().unwrap();
    }
}
