//! Asking a broker, in MQTT, whether it is well: a CONNECT, and then PINGREQs on the same connection, for a broker
//! notes every connection in its log.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How a CONNECT was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It takes us.
    Taken,
    /// It doesn't want us: it asks for credentials, say. It will close the connection.
    NotTaken,
    /// It wants another version.
    OtherVersion,
    /// It says that it isn't available.
    Unavailable,
}

/// How a broker is asked. Most understand every form; where the connection ends without an answer, the next one is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Whether a PROXY header says LOCAL, as it should, or names the connection's own two ends: RabbitMQ before 3.11.19 and
    /// 3.12.1 takes no LOCAL (rabbitmq-server#8654).
    pub(crate) says_local: bool,
    /// MQTT 5 in place of 3.1.1: rumqttd has a port for each.
    pub(crate) version_5: bool,
}

impl Form {
    /// The first to try.
    pub(crate) const USUAL: Self = Self { says_local: true, version_5: false };

    /// What to try after this one has met no answer.
    pub(crate) fn next(self, proxy_protocol: bool) -> Self {
        let says_local = !(self.says_local && proxy_protocol);
        Self { says_local, version_5: self.version_5 ^ says_local }
    }
}

/// "Server unavailable" and "unacceptable protocol version" (MQTT 3.1.1, 3.2.2.3; MQTT 5, 3.2.2.2).
const UNAVAILABLE: [u8; 2] = [3, 0x88];
const OTHER_VERSION: [u8; 2] = [1, 0x84];
const PINGREQ: [u8; 2] = [0xc0, 0];
const PINGRESP: [u8; 2] = [0xd0, 0];

/// Connects as this client, with a clean session. The caller bounds the time.
///
/// # Errors
/// It ended the connection, or answered with something else than a CONNACK.
pub(crate) async fn connect<S>(stream: &mut S, form: Form, client_id: &str, keep_alive: u16) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&packet(form, client_id, keep_alive)).await.map_err(|e| e.to_string())?;
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.map_err(|e| unanswered("CONNECT", &e))?;
    // MQTT 5 puts properties behind the code: anything up to the 127 bytes that one byte of length can say will do.
    let [0x20, length @ 2..=127] = head else { return Err(format!("it answered a CONNECT with {head:02x?}")) };
    let mut rest = vec![0; usize::from(length)];
    stream.read_exact(&mut rest).await.map_err(|e| unanswered("CONNECT", &e))?;
    Ok(match rest[1] {
        0 => Answer::Taken,
        code if UNAVAILABLE.contains(&code) => Answer::Unavailable,
        code if OTHER_VERSION.contains(&code) => Answer::OtherVersion,
        _ => Answer::NotTaken,
    })
}

/// Pings. The caller bounds the time.
///
/// # Errors
/// Why the broker isn't well.
pub(crate) async fn ping<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), String> {
    stream.write_all(&PINGREQ).await.map_err(|e| e.to_string())?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await.map_err(|e| unanswered("PINGREQ", &e))?;
    if answer == PINGRESP { Ok(()) } else { Err(format!("it answered a PINGREQ with {answer:02x?}")) }
}

fn unanswered(what: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => format!("it closed the connection instead of answering a {what}"),
        _ => format!("it didn't answer a {what}: {error}"),
    }
}

/// A CONNECT (3.1 in both versions), of a client id that leaves it below 128 bytes.
fn packet(form: Form, client_id: &str, keep_alive: u16) -> Vec<u8> {
    const CLEAN_SESSION: u8 = 0x02;
    let length = u8::try_from(client_id.len()).ok().filter(|length| *length <= 114).expect("a short name");
    let (level, properties): (u8, &[u8]) = if form.version_5 { (5, &[0]) } else { (4, &[]) };
    let mut bytes = vec![0x10, 12 + u8::from(form.version_5) + length];
    bytes.extend(b"\0\x04MQTT");
    bytes.extend([level, CLEAN_SESSION]);
    bytes.extend(keep_alive.to_be_bytes());
    bytes.extend(properties);
    bytes.extend([0, length]);
    bytes.extend(client_id.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn asked(answer: &[u8]) -> Result<Answer, String> {
        let (mut near, mut far) = duplex(256);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let asked = connect(&mut near, Form::USUAL, "me", 30).await;
        let mut said = [0; 16];
        far.read_exact(&mut said).await.unwrap();
        assert_eq!(said, *b"\x10\x0e\0\x04MQTT\x04\x02\0\x1e\0\x02me");
        asked
    }

    #[tokio::test]
    async fn a_connack_is_told_from_anything_else() {
        for (answer, meaning) in [
            (&[0x20, 2, 0, 0][..], Answer::Taken),
            (&[0x20, 2, 0, 5], Answer::NotTaken),
            (&[0x20, 2, 0, 1], Answer::OtherVersion),
            (&[0x20, 3, 0, 0x84, 0], Answer::OtherVersion),
            (&[0x20, 2, 0, 3], Answer::Unavailable),
            (&[0x20, 3, 0, 0x88, 0], Answer::Unavailable),
        ] {
            assert_eq!(asked(answer).await, Ok(meaning));
        }
        for (answer, why) in [
            (&[][..], "closed the connection"),
            (&[0x20, 2, 0], "closed the connection"),
            (b"HTTP/1.1 400", "[48, 54]"),
            (&[0x20, 0, 0, 0], "[20, 00]"),
            (&[0x20, 0x80, 1, 0], "[20, 80]"),
        ] {
            let said = asked(answer).await.unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[tokio::test]
    async fn a_ping_is_answered_with_a_ping() {
        for (answer, well) in [(&[0xd0, 0][..], true), (&[0xd0], false), (&[0x30, 0], false)] {
            let (mut near, mut far) = duplex(16);
            far.write_all(answer).await.unwrap();
            far.shutdown().await.unwrap();
            assert_eq!(ping(&mut near).await.is_ok(), well, "{answer:?}");
            let mut said = [0; 2];
            far.read_exact(&mut said).await.unwrap();
            assert_eq!(said, PINGREQ);
        }
    }

    #[test]
    fn every_form_is_tried() {
        let forms = |proxy_protocol| {
            let next = |form: &Form| Some(form.next(proxy_protocol));
            std::iter::successors(Some(Form::USUAL), next)
                .take(5)
                .map(|form| (form.says_local, form.version_5))
                .collect()
        };
        let (usual, version_5): (Vec<_>, _) = (forms(false), (true, true));
        assert_eq!(usual, [(true, false), version_5, (true, false), version_5, (true, false)]);
        let proxied: Vec<_> = forms(true);
        assert_eq!(proxied, [(true, false), (false, false), version_5, (false, true), (true, false)]);
    }

    #[test]
    fn version_5_has_properties() {
        let form = Form { version_5: true, ..Form::USUAL };
        assert_eq!(packet(form, "me", 30), *b"\x10\x0f\0\x04MQTT\x05\x02\0\x1e\0\0\x02me");
    }

    #[test]
    fn the_longest_name_of_a_home_fits() {
        let name = format!("baton-probe-{}", "x".repeat(baton_protocol::limits::NODE_NAME_BYTES));
        let packet = packet(Form { version_5: true, ..Form::USUAL }, &name, 1);
        assert_eq!(packet.len(), usize::from(packet[1]) + 2);
    }
}
