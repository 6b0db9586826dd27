//! The PROXY protocol, version 2: what a connection to the broker begins with where the broker is to know its client's
//! address (haproxy.org, proxy-protocol.txt, section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proxy_header::{ProxiedAddress, ProxyHeader};

/// The header for a client's connection. `to`: where it goes to, as far as is known.
///
/// LOCAL if there is no client, or none of known address: the broker then takes the connection's own addresses.
pub(crate) fn for_client(client: Option<SocketAddr>, to: Option<SocketAddr>) -> Vec<u8> {
    let Some(client) = client else { return encode(&ProxyHeader::with_local()) };
    let unknown = SocketAddr::new(if client.is_ipv4() { ANY_V4 } else { ANY_V6 }, 0);
    let (client, to) = of_one_family(client, to.unwrap_or(unknown));
    encode(&ProxyHeader::with_address(ProxiedAddress::stream(client, to)))
}

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A header holds two addresses of one family: if they aren't, both as IPv6. IPv4 in IPv6's clothes, as a socket for both
/// shows it, is IPv4.
fn of_one_family(one: SocketAddr, other: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (one, other) = (canonical(one), canonical(other));
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    if one.is_ipv4() == other.is_ipv4() { (one, other) } else { (mapped(one), mapped(other)) }
}

fn encode(header: &ProxyHeader<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.encode_v2(&mut bytes).expect("a header without extensions is far below its limit of 64 KiB");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every header begins with (2.2).
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn header(client: &str, to: &str) -> Vec<u8> {
        let bytes = for_client(client.parse().ok(), to.parse().ok());
        bytes.strip_prefix(SIGNATURE).expect("its signature").to_vec()
    }

    #[test]
    fn a_client_over_ipv4() {
        let expected = [&[0x21, 0x11, 0, 12, 203, 0, 113, 7, 10, 0, 0, 1], &[0xd7, 0x53, 0x07, 0x5b][..]].concat();
        assert_eq!(header("203.0.113.7:55123", "10.0.0.1:1883"), expected);
        assert_eq!(header("[::ffff:203.0.113.7]:55123", "10.0.0.1:1883"), expected);
        assert_eq!(header("203.0.113.7:55123", "a Unix socket")[4..], [203, 0, 113, 7, 0, 0, 0, 0, 0xd7, 0x53, 0, 0]);
    }

    #[test]
    fn a_client_over_ipv6() {
        let bytes = header("[2001:db8::7]:256", "[2001:db8::1]:1883");
        assert_eq!((&bytes[..6], bytes.len()), (&[0x21, 0x21, 0, 36, 0x20, 0x01][..], 4 + 36));
        assert_eq!(bytes[36..], [1, 0, 0x07, 0x5b]);
    }

    #[test]
    fn two_families_become_one() {
        let mapped = [&[0; 10][..], &[0xff, 0xff, 10, 0, 0, 1]].concat();
        let bytes = header("[2001:db8::7]:256", "10.0.0.1:1883");
        assert_eq!((bytes[1], &bytes[20..36]), (0x21, &mapped[..]));
        let bytes = header("10.0.0.1:256", "[2001:db8::1]:1883");
        assert_eq!((bytes[1], &bytes[4..20]), (0x21, &mapped[..]));
    }

    #[test]
    fn without_a_client_it_is_local() {
        for to in [None, "10.0.0.1:1883".parse().ok()] {
            assert_eq!(for_client(None, to), [SIGNATURE, &[0x20, 0, 0, 0]].concat());
        }
    }
}
