//! Where the frames of a WebSocket end (RFC 6455 section 5.2), by their headers alone, and the Close frames of our own.
//!
//! Payload is counted and never looked at: what is masked, compressed or of another subprotocol passes as it is. A
//! chunk costs as much as it has headers. Bytes that are no frames are followed as if they were; nothing fails.

/// The service restarts, and the client may come back (RFC 6455 section 11.7, registered by IANA).
pub const SERVICE_RESTART: u16 = 1012;
/// Whom the backend speaks to is going away (RFC 6455 section 7.4.1).
pub const GOING_AWAY: u16 = 1001;

const CLOSE: u8 = 8;
const OPCODE: u8 = 0x0f;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// A Close frame as a server sends it.
pub fn close(code: u16) -> Vec<u8> {
    let mut frame = vec![FINAL | CLOSE, 2];
    frame.extend(code.to_be_bytes());
    frame
}

/// A Close frame as a client sends it.
pub fn masked_close(code: u16) -> Vec<u8> {
    let mask = fastrand::u32(..).to_be_bytes();
    let mut frame = vec![FINAL | CLOSE, MASKED | 2];
    frame.extend(mask);
    frame.extend(
        code.to_be_bytes()
            .iter()
            .zip(mask)
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The frames of one direction, as far as they have come.
#[derive(Debug, Default)]
pub struct Frames {
    /// Of the frame that is open; empty between two.
    header: [u8; 14],
    have: usize,
    /// Payload to come, once the header is whole.
    left: u64,
    is_closed: bool,
}

impl Frames {
    /// Whether the last byte was the last of a frame.
    pub fn is_between(&self) -> bool {
        self.have == 0
    }

    /// Whether a Close frame has come: nothing may follow it.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Goes on by `bytes`.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.finish(bytes)..];
        }
    }

    /// Goes on to the end of the frame that is open, or that begins here; the bytes that are its.
    pub fn finish(&mut self, bytes: &[u8]) -> usize {
        let used = self.read_header(bytes);
        if self.have < self.header_size() {
            return used;
        }
        let payload = usize::try_from(self.left).unwrap_or(usize::MAX);
        let payload = payload.min(bytes.len() - used);
        self.left -= payload as u64;
        if self.left == 0 {
            self.is_closed |= self.header[0] & OPCODE == CLOSE;
            self.have = 0;
        }
        used + payload
    }

    /// Takes what is missing of the header; the bytes that are its.
    fn read_header(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.have < self.header_size() {
            let missing = self.header_size() - self.have;
            let found = &bytes[used..bytes.len().min(used + missing)];
            if found.is_empty() {
                return used;
            }
            self.header[self.have..self.have + found.len()].copy_from_slice(found);
            self.have += found.len();
            used += found.len();
            if self.have == self.header_size() {
                self.left = self.payload();
            }
        }
        used
    }

    /// Bytes of the header, as far as what has come of it says.
    fn header_size(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let extended = match self.header[1] & LENGTH {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & MASKED == 0 { 0 } else { 4 };
        2 + extended + mask
    }

    fn payload(&self) -> u64 {
        let extended = |size: usize| {
            let bytes = &self.header[2..2 + size];
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        match self.header[1] & LENGTH {
            126 => extended(2),
            127 => extended(8),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// A frame with a header of the shortest form.
    fn frame(opcode: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask_bit = if is_masked { MASKED } else { 0 };
        let mut frame = vec![FINAL | opcode];
        match length {
            0..126 => frame.push(mask_bit | u8::try_from(length).unwrap()),
            126..65536 => {
                frame.push(mask_bit + 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask_bit + 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if is_masked {
            frame.extend([0x88; 4]);
        }
        // Payload that would be Close frames, if it were looked at.
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let length = prop_oneof![0_usize..130, 65_530_usize..65_540];
        let one = (0_u8..8, length, any::<bool>());
        vec(
            one.prop_map(|(opcode, length, masked)| frame(opcode, length, masked)),
            1..8,
        )
    }

    proptest! {
        #[test]
        fn finds_each_end_however_the_stream_is_split(frames in frames(), sizes in vec(1_usize..40_000, 1..20)) {
            let stream = frames.concat();
            let ends: Vec<_> = frames.iter().scan(0, |end, frame| { *end += frame.len(); Some(*end) }).collect();
            let mut follower = Frames::default();
            let mut at = 0;
            for size in sizes.iter().cycle() {
                let piece = &stream[at..stream.len().min(at + size)];
                follower.follow(piece);
                at += piece.len();
                prop_assert_eq!(follower.is_between(), ends.contains(&at));
                prop_assert!(!follower.is_closed());
                if at == stream.len() {
                    break;
                }
            }
        }

        #[test]
        fn finishes_the_frame_that_a_split_has_cut(frames in frames(), place in any::<prop::sample::Index>()) {
            let stream = frames.concat();
            let (before, after) = stream.split_at(place.index(stream.len()));
            let mut follower = Frames::default();
            follower.follow(before);
            let end = before.len() + follower.finish(after);
            let mut sum = 0;
            let expected = frames.iter().map(|frame| { sum += frame.len(); sum }).find(|end| *end > before.len());
            prop_assert_eq!(Some(end), expected);
            prop_assert!(follower.is_between());
        }

        #[test]
        fn never_panics(pieces in vec(vec(any::<u8>(), 0..40), 0..20)) {
            let mut follower = Frames::default();
            for piece in pieces {
                follower.follow(&piece);
            }
        }
    }

    #[test]
    fn sees_a_close_when_its_last_byte_has_come() {
        for close in [close(SERVICE_RESTART), masked_close(GOING_AWAY)] {
            let mut follower = Frames::default();
            follower.follow(&frame(1, 300, true));
            let (last, first) = close.split_last().unwrap();
            follower.follow(first);
            assert!(!follower.is_closed() && !follower.is_between());
            follower.follow(&[*last]);
            assert!(follower.is_closed() && follower.is_between());
        }
    }

    #[test]
    fn close_frames_are_those_of_the_rfc() {
        assert_eq!(close(SERVICE_RESTART), [0x88, 0x02, 0x03, 0xf4]);
        let frame = masked_close(GOING_AWAY);
        assert_eq!(frame[..2], [0x88, 0x82]);
        let code = [frame[6] ^ frame[2], frame[7] ^ frame[3]];
        assert_eq!(u16::from_be_bytes(code), 1001);
    }
}
