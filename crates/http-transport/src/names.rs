//! [`Names`]: looks names up, and follows none from the public network into a private one.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The system's resolver, with a memory: whoever may change a name (DNS rebinding) must not turn an upload to a public server
/// against the machines behind our firewall. Where a name has, or had, a public address, its private ones are not used. A name
/// that was private from the beginning is what somebody asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    public: Arc<Mutex<HashSet<String>>>,
}

/// A name that was public has private addresses only.
#[derive(Debug, thiserror::Error)]
#[error("it had public addresses and has private ones only now")]
pub(crate) struct TurnedPrivate;

impl Names {
    /// The addresses among `found` that may be used for `name`.
    fn judge(&self, name: &str, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, TurnedPrivate> {
        let outside: Vec<_> = found
            .iter()
            .copied()
            .filter(|address| !is_private(address.ip()))
            .collect();
        let mut public = self.public.lock().unwrap_or_else(PoisonError::into_inner);
        if !outside.is_empty() {
            public.insert(name.to_owned());
            Ok(outside)
        } else if public.contains(name) {
            Err(TurnedPrivate)
        } else {
            Ok(found.to_vec())
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            let addresses = names.judge(name.as_str(), &found)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(ips: &[&str]) -> Vec<SocketAddr> {
        ips.iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0))
            .collect()
    }

    #[test]
    fn a_name_that_was_public_is_not_followed_to_a_private_address() {
        let names = Names::default();
        let public = addresses(&["203.0.113.7", "2001:db8::7"]);
        assert_eq!(names.judge("a.example", &public).unwrap(), public);
        for private in [
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "::ffff:192.168.0.1",
            "fe80::1",
        ] {
            let turned = names.judge("a.example", &addresses(&[private]));
            assert!(turned.is_err(), "{private}");
        }
        assert!(names.judge("a.example", &public).is_ok(), "it came back");
    }

    #[test]
    fn a_name_that_was_always_private_is_what_was_asked_for() {
        let names = Names::default();
        let private = addresses(&["10.0.0.1", "fd00::1"]);
        for _ in 0..2 {
            assert_eq!(names.judge("nas.local", &private).unwrap(), private);
        }
    }

    #[test]
    fn of_a_name_that_is_both_the_public_address_is_used() {
        let names = Names::default();
        let both = addresses(&["127.0.0.1", "203.0.113.7"]);
        let judged = names.judge("a.example", &both).unwrap();
        assert_eq!(judged, addresses(&["203.0.113.7"]));
    }
}
