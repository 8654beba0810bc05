//! Numbers and addresses as text, without the formatting machinery of the standard library: a
//! request writes a dozen of them, into heads and into its line in the log.

use std::{io::Write as _, net::IpAddr};

use bytes::BufMut;

/// Digits of the largest `u64`.
const LONGEST: usize = 20;
/// Digits and colons of the longest IPv6 address.
const LONGEST_ADDRESS: usize = 45;

/// Appends `number` in decimal.
pub fn push_decimal(out: &mut impl BufMut, number: u64) {
    let mut digits = [0; LONGEST];
    out.put_slice(decimal(&mut digits, number));
}

/// Appends `number` in decimal, with zeros in front up to `N` digits. What does not fit is left out in front.
pub fn push_padded<const N: usize>(out: &mut impl BufMut, mut number: u64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = last_digit(number);
        number /= 10;
    }
    out.put_slice(&digits);
}

/// Appends an address as `Display` writes it: no brackets.
pub fn push_address(out: &mut impl BufMut, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            push_decimal(out, first.into());
            for octet in rest {
                out.put_u8(b'.');
                push_decimal(out, octet.into());
            }
        }
        IpAddr::V6(address) => {
            let mut text = [0; LONGEST_ADDRESS];
            let mut rest = &mut text[..];
            // The longest address fits.
            let _ = write!(rest, "{address}");
            let unused = rest.len();
            out.put_slice(&text[..LONGEST_ADDRESS - unused]);
        }
    }
}

/// `number` in decimal, at the end of `digits`.
fn decimal(digits: &mut [u8; LONGEST], mut number: u64) -> &[u8] {
    let mut first = LONGEST;
    loop {
        first -= 1;
        digits[first] = last_digit(number);
        number /= 10;
        if number == 0 {
            return &digits[first..];
        }
    }
}

fn last_digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_the_smallest_and_the_largest() {
        assert_eq!(text(|out| push_decimal(out, 0)), "0");
        assert_eq!(
            text(|out| push_decimal(out, u64::MAX)),
            u64::MAX.to_string()
        );
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
        assert_eq!(longest.len(), LONGEST_ADDRESS);
    }

    #[test]
    fn pads_with_zeros() {
        assert_eq!(text(|out| push_padded::<6>(out, 1_234)), "001234");
        assert_eq!(text(|out| push_padded::<3>(out, 0)), "000");
        assert_eq!(text(|out| push_padded::<3>(out, 12_345)), "345");
    }

    proptest! {
        #[test]
        fn writes_what_display_writes(number: u64, address: IpAddr) {
            prop_assert_eq!(text(|out| push_decimal(out, number)), number.to_string());
            prop_assert_eq!(text(|out| push_address(out, address)), address.to_string());
        }
    }
}
