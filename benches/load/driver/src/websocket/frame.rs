//! Frames of RFC 6455, section 5, as far as an echo needs them.

use anyhow::{Result, ensure};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

/// What RFC 6455, section 4.2.2, has both sides append to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The longest message that is echoed.
const LONGEST: u64 = 1 << 20;

/// The answer to a client's key.
pub(crate) fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()))
}

/// The kind of a frame, with its final bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opcode(u8);

impl Opcode {
    pub(crate) const TEXT: Self = Self(0x81);
    pub(crate) const CLOSE: Self = Self(0x88);
    pub(crate) const PING: Self = Self(0x89);
    pub(crate) const PONG: Self = Self(0x8a);
}

/// A frame with its content in clear.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: Opcode,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: Opcode, payload: &[u8]) -> Self {
        Self {
            opcode,
            payload: payload.to_vec(),
        }
    }

    /// Takes one frame of a client from the front of the bytes, with its length there; `None`
    /// while it is not whole.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        ensure!(second & 0x80 != 0, "a client's frame is not masked");
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if rest.len() < extended + 4 {
            return Ok(None);
        }
        let (number, rest) = rest.split_at(extended);
        let length = if extended == 0 {
            u64::from(second & 0x7f)
        } else {
            number
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        ensure!(length <= LONGEST, "a frame of {length} bytes");
        let length = usize::try_from(length)?;
        let (mask, rest) = rest.split_at(4);
        let Some(masked) = rest.get(..length) else {
            return Ok(None);
        };
        let payload = masked.iter().zip(mask.iter().cycle());
        let payload = payload.map(|(byte, mask)| byte ^ mask).collect();
        let frame = Self {
            opcode: Opcode(first),
            payload,
        };
        Ok(Some((frame, 2 + extended + 4 + length)))
    }

    /// The frame as a server sends it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head(0);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// The frame as a client sends it.
    pub(crate) fn masked(&self, mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = self.head(0x80);
        bytes.extend_from_slice(&mask);
        let payload = self.payload.iter().zip(mask.iter().cycle());
        bytes.extend(payload.map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn head(&self, mask_bit: u8) -> Vec<u8> {
        let length = self.payload.len();
        let mut head = vec![self.opcode.0];
        if let Some(short) = u8::try_from(length).ok().filter(|length| *length < 126) {
            head.push(mask_bit + short);
        } else if let Ok(medium) = u16::try_from(length) {
            head.push(mask_bit + 126);
            head.extend_from_slice(&medium.to_be_bytes());
        } else {
            head.push(mask_bit + 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_the_key_of_the_rfc() {
        assert_eq!(
            accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn a_frame_of_any_length_comes_back() {
        for length in [0, 32, 125, 126, 65_535, 65_536] {
            let frame = Frame::new(Opcode::TEXT, &vec![b'x'; length]);
            let bytes = frame.masked([9, 8, 7, 6]);
            let whole = Frame::parse(&bytes).unwrap();
            assert_eq!(whole, Some((frame, bytes.len())));
            assert_eq!(Frame::parse(&bytes[..bytes.len() - 1]).unwrap(), None);
        }
    }

    #[test]
    fn refuses_a_frame_without_mask() {
        let bytes = Frame::new(Opcode::TEXT, b"plain").bytes();
        assert!(Frame::parse(&bytes).is_err());
    }
}
