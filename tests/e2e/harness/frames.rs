//! HTTP/2 frame by frame (RFC 9113), for what no client library sends.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::harness::{
    PATIENCE,
    client::{Stream, Target},
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A connection that speaks frames.
pub(crate) struct Frames {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A response; 0 for a status that is not in HPACK's static table.
    Status(u16),
    /// The stream was reset.
    Reset,
    /// The connection ended, with `GOAWAY` or without.
    Closed,
}

struct Frame {
    kind: u8,
    id: u32,
    payload: Vec<u8>,
}

impl Frames {
    /// Connects and sends the preface with empty settings.
    pub(crate) async fn connect(target: &Target) -> Self {
        let stream = target.alpn("h2").connect().await.unwrap();
        let mut frames = Self {
            stream,
            read: Vec::new(),
        };
        frames
            .stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// Sends a frame; false when the other side has closed.
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&id.to_be_bytes());
        frame.extend_from_slice(payload);
        let sent = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        timeout(PATIENCE, sent).await.is_ok_and(|sent| sent.is_ok())
    }

    /// Sends a whole head.
    pub(crate) async fn head(&mut self, id: u32, flags: u8, fields: &[(&str, &str)]) -> bool {
        self.send(HEADERS, END_HEADERS | flags, id, &block(fields))
            .await
    }

    /// What becomes of stream `id`.
    pub(crate) async fn outcome(&mut self, id: u32) -> Outcome {
        while let Some(frame) = self.next().await {
            match frame.kind {
                HEADERS if frame.id == id => return Outcome::Status(status(&frame.payload)),
                RST_STREAM if frame.id == id => return Outcome::Reset,
                GOAWAY => return Outcome::Closed,
                _ => {}
            }
        }
        Outcome::Closed
    }

    async fn next(&mut self) -> Option<Frame> {
        self.fill(9).await?;
        let length = usize::from(self.read[0]) << 16
            | usize::from(self.read[1]) << 8
            | usize::from(self.read[2]);
        self.fill(9 + length).await?;
        let rest = self.read.split_off(9 + length);
        let whole = std::mem::replace(&mut self.read, rest);
        Some(Frame {
            kind: whole[3],
            id: u32::from_be_bytes([whole[5] & 0x7f, whole[6], whole[7], whole[8]]),
            payload: whole[9..].to_vec(),
        })
    }

    async fn fill(&mut self, length: usize) -> Option<()> {
        while self.read.len() < length {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            if !matches!(
                read.expect("the other side says nothing and does not close"),
                Ok(1..)
            ) {
                return None;
            }
        }
        Some(())
    }
}

/// A header block of literal fields, neither indexed nor compressed (RFC 7541 section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            push_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(u8::try_from(length).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// `:status`, which comes first and is indexed where it is common (RFC 7541 appendix A).
fn status(block: &[u8]) -> u16 {
    let first = block.iter().find(|byte| !(0x20..0x40).contains(*byte));
    match first {
        Some(0x88) => 200,
        Some(0x8c) => 400,
        Some(0x8d) => 404,
        Some(0x8e) => 500,
        _ => 0,
    }
}
