//! Numbers and addresses as text, without the formatting machinery of the standard library: a
//! request writes a dozen of them, into heads and into its line in the log.

use std::{io::Write as _, net::IpAddr};

use bytes::BufMut;

/// Digits of the largest `u64`.
const LONGEST: usize = 20;
/// The longest IPv4 address, with a dot behind each octet.
const LONGEST_V4: usize = 16;
/// The longest IPv6 address.
const LONGEST_V6: usize = 45;

/// The digits of each octet, and how many they are.
const OCTETS: [([u8; 3], usize); 256] = octets();

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
            let mut text = [b'.'; LONGEST_V4];
            let mut end = 0;
            for octet in address.octets() {
                let (digits, count) = OCTETS[usize::from(octet)];
                text[end..end + 3].copy_from_slice(&digits);
                text[end + count] = b'.';
                end += count + 1;
            }
            out.put_slice(&text[..end - 1]);
        }
        IpAddr::V6(address) => {
            let mut text = [0; LONGEST_V6];
            let mut rest = &mut text[..];
            // The longest address fits.
            let _ = write!(rest, "{address}");
            let unused = rest.len();
            out.put_slice(&text[..LONGEST_V6 - unused]);
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

const fn octets() -> [([u8; 3], usize); 256] {
    let mut all = [([b'0'; 3], 1); 256];
    let mut octet = 0;
    while octet < 256 {
        let mut rest = octet;
        let count = if octet > 99 {
            3
        } else if octet > 9 {
            2
        } else {
            1
        };
        let mut place = count;
        while place > 0 {
            place -= 1;
            all[octet].0[place] = DIGITS[rest % 10];
            rest /= 10;
        }
        all[octet].1 = count;
        octet += 1;
    }
    all
}

const DIGITS: &[u8; 10] = b"0123456789";

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
        assert_eq!(longest.len(), LONGEST_V6);
        let longest = "255.255.255.255".parse().unwrap();
        assert_eq!(
            text(|out| push_address(out, IpAddr::V4(longest))),
            "255.255.255.255"
        );
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
