//! Access points: an address, a name with a port, or the name of a service.

use std::net::IpAddr;

use samanea_core::governor::Relay;

use super::json::{Error, Value};

/// Reads `{ "address": …, "port": … }`, or `{ "address": … }` for a service.
pub(super) fn point(value: &Value<'_>) -> Result<Relay, Error> {
    let point = value.object(&["address", "port"])?;
    point.warn_of_others();
    let address = point.need("address")?;
    let port = point.some("port");
    named(address, port)
}

/// Reads an address and a port that stand under any keys.
pub(super) fn named(address: &Value<'_>, port: Option<&Value<'_>>) -> Result<Relay, Error> {
    let text = address.text(ALLOWED)?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        if ip.is_unspecified() {
            return Err(address.refuse_it("the address of a peer, which 0.0.0.0 and :: are not"));
        }
        let Some(port) = port else {
            return Err(address.refuse(
                format_args!("the address {text} and no `port`"),
                "an address with a `port`, or the name of a service without one",
            ));
        };
        return Ok(Relay::Addr((ip, self::port(port)?).into()));
    }
    let name = name(&text).map_err(|allowed| address.refuse_it(allowed))?;
    Ok(match port {
        Some(port) => Relay::Host {
            name,
            port: self::port(port)?,
        },
        None => Relay::Service { name },
    })
}

fn port(value: &Value<'_>) -> Result<u16, Error> {
    value.whole(1_u16, u16::MAX)
}

/// What an address and a port of bytes are; `None` for what nobody can reach.
pub(super) fn from_ip(ip: IpAddr, port: Option<u16>) -> Option<Relay> {
    let ip = ip.to_canonical();
    let port = port.filter(|port| *port > 0)?;
    (!ip.is_unspecified()).then(|| Relay::Addr((ip, port).into()))
}

/// The same of a name, which may turn out to be an address.
pub(super) fn from_parts(text: &str, port: Option<u16>) -> Option<Relay> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return from_ip(ip, port);
    }
    let name = name(text).ok()?;
    match port {
        None => Some(Relay::Service { name }),
        Some(0) => None,
        Some(port) => Some(Relay::Host { name, port }),
    }
}

/// A name as the domain name system has them: labels of up to 63 letters, digits, `-` and `_`;
/// else what is allowed. src: RFC 1035 §2.3.4; underscores as in RFC 2782
fn name(text: &str) -> Result<Box<str>, &'static str> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(plain)
    };
    if name.len() > NAME_MAX || !name.split('.').all(label) {
        return Err(ALLOWED);
    }
    // 300.1.1.1 and 10.0.0 are mistyped addresses: no top level has a number for its name.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("four numbers up to 255, or a name");
    }
    Ok(name.into())
}

const ALLOWED: &str = "an IPv4 or IPv6 address without port, or a DNS name of ASCII letters, \
                       digits, - and _ in labels of up to 63";
const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 253;
