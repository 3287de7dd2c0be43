//! Networks of IP addresses, as an operator writes them.
//!
//! Promises: `10.0.0.0/8`, `2001:db8::/32` and single addresses; an IPv4 address that came through an IPv6 socket is still one.
//! Never: host names (who resolves them decides who is let in).

use std::net::IpAddr;
use std::str::FromStr;

use super::value::Unfit;

/// A network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    /// True if the address is one of the network's.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - self.bits;
                u64::from(base.to_bits()) >> shift == u64::from(address.to_bits()) >> shift
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                self.bits == 0 || base.to_bits() >> (128 - self.bits) == address.to_bits() >> (128 - self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Unfit;

    /// Refuses bits behind the prefix: `10.1.2.3/8` is a slip of the finger, in one number or the other.
    fn from_str(text: &str) -> Result<Self, Unfit> {
        let unfit = || Unfit::new("an IP address or network such as \"10.0.0.0/8\" or \"2001:db8::/32\"");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| unfit())?)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| unfit())?;
        let all = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        let behind = match base {
            _ if bits > all => return Err(unfit()),
            IpAddr::V4(base) => u64::from(base.to_bits()) & ((1 << (all - bits)) - 1) != 0,
            IpAddr::V6(base) => bits < all && base.to_bits() << bits != 0,
        };
        if behind { Err(unfit()) } else { Ok(Self { base, bits }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_inside_or_not() {
        for (network, address, expect) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("10.0.0.0/8", "::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::1", "2001:db8::1", true),
        ] {
            let network: Network = network.parse().expect("a network");
            assert_eq!(network.contains(address.parse().expect("an address")), expect, "{network:?} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.1.2.3/8",
            "10.0.0/8",
            "acme.example",
            "::/129",
            "2001:db8::1/32",
            "1.2.3.4/",
            "1.2.3.4/-1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
