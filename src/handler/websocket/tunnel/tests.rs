use std::future::{pending, ready};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;

const IDLE: Duration = Duration::from_mins(5);
const LEFT: Duration = Duration::from_secs(4);
const CLOSE_OF_OURS: [u8; 4] = [0x88, 0x02, 0x03, 0xf4];
const CLOSE_OF_CLIENT: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4];
const CLOSE_OF_BACKEND: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];
const HELLO: &[u8] = b"\x81\x05hello";

/// A tunnel that begins to end when it is told so.
struct Parting {
    browser: DuplexStream,
    node: DuplexStream,
    now: tokio::sync::oneshot::Sender<Instant>,
    tunnel: JoinHandle<(End, u64)>,
}

fn tunnel() -> Parting {
    let (browser, client) = duplex(64);
    let (node, backend) = duplex(64);
    let (now, moment) = tokio::sync::oneshot::channel();
    let moment = async { moment.await.unwrap() };
    let relay = relay(client, backend, BytesMut::new(), IDLE, moment);
    Parting {
        browser,
        node,
        now,
        tunnel: tokio::spawn(relay),
    }
}

async fn reads(stream: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

fn unmasked(close: &[u8]) -> u16 {
    assert_eq!(close[..2], [0x88, 0x82]);
    u16::from_be_bytes([close[6] ^ close[2], close[7] ^ close[3]])
}

async fn is_silent(stream: &mut DuplexStream) -> bool {
    timeout(Duration::from_secs(1), stream.read_u8())
        .await
        .is_err()
}

#[tokio::test(start_paused = true)]
async fn carries_bytes_both_ways_early_ones_first() {
    let (mut browser, client) = duplex(64);
    let (mut node, backend) = duplex(64);
    let early = BytesMut::from("early ");
    let tunnel = tokio::spawn(relay(client, backend, early, IDLE, pending()));
    browser.write_all(b"question").await.unwrap();
    node.write_all(b"answer").await.unwrap();
    assert_eq!(reads(&mut browser, 12).await, b"early answer");
    assert_eq!(reads(&mut node, 8).await, b"question");
    drop((browser, node));
    let (end, bytes) = tunnel.await.unwrap();
    assert!(matches!(end, End::Closed | End::Failed(_)));
    assert_eq!(bytes, 12);
}

#[tokio::test(start_paused = true)]
async fn ends_when_no_byte_moves_for_the_idle_time() {
    let (mut browser, client) = duplex(64);
    let (_node, backend) = duplex(64);
    let start = Instant::now();
    let tunnel = tokio::spawn(relay(client, backend, BytesMut::new(), IDLE, pending()));
    sleep(Duration::from_secs(200)).await;
    browser.write_all(b"x").await.unwrap();
    assert!(matches!(tunnel.await.unwrap().0, End::Idle));
    assert!(start.elapsed() >= Duration::from_secs(500));
}

#[tokio::test(start_paused = true)]
async fn gives_the_other_side_its_time_when_one_has_ended() {
    let (browser, client) = duplex(64);
    let (mut node, backend) = duplex(64);
    let tunnel = tokio::spawn(relay(client, backend, BytesMut::new(), IDLE, pending()));
    drop(browser);
    let mut rest = Vec::new();
    node.read_to_end(&mut rest).await.unwrap();
    assert!(matches!(tunnel.await.unwrap().0, End::Closed));
}

#[tokio::test(start_paused = true)]
async fn says_close_to_both_sides_and_lets_each_go_when_it_has_answered() {
    let Parting {
        mut browser,
        mut node,
        now,
        tunnel,
    } = tunnel();
    node.write_all(HELLO).await.unwrap();
    assert_eq!(reads(&mut browser, HELLO.len()).await, HELLO);
    now.send(Instant::now() + LEFT).unwrap();
    assert_eq!(reads(&mut browser, 4).await, CLOSE_OF_OURS);
    assert_eq!(unmasked(&reads(&mut node, 8).await), GOING_AWAY);
    // What a side still says is for nobody.
    node.write_all(HELLO).await.unwrap();
    assert!(is_silent(&mut browser).await);
    browser.write_all(&CLOSE_OF_CLIENT).await.unwrap();
    assert_eq!(browser.read(&mut [0]).await.unwrap(), 0);
    assert!(is_silent(&mut node).await);
    node.write_all(&CLOSE_OF_BACKEND).await.unwrap();
    assert_eq!(node.read(&mut [0]).await.unwrap(), 0);
    let (end, bytes) = tunnel.await.unwrap();
    assert!(matches!(end, End::Closed), "{end:?}");
    assert_eq!(bytes, 11);
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_end_of_a_frame_and_drops_what_follows_it() {
    let Parting {
        mut browser,
        mut node,
        now,
        tunnel: _tunnel,
    } = tunnel();
    node.write_all(&HELLO[..3]).await.unwrap();
    browser.write_all(b"\x82\x83mask12").await.unwrap();
    assert_eq!(reads(&mut browser, 3).await, HELLO[..3]);
    assert_eq!(reads(&mut node, 8).await, b"\x82\x83mask12");
    now.send(Instant::now() + LEFT).unwrap();
    assert!(is_silent(&mut browser).await);
    assert!(is_silent(&mut node).await);
    node.write_all(&[&HELLO[3..], HELLO].concat())
        .await
        .unwrap();
    assert_eq!(reads(&mut browser, 4).await, b"ello");
    assert_eq!(reads(&mut browser, 4).await, CLOSE_OF_OURS);
    browser
        .write_all(&[b"3", &CLOSE_OF_CLIENT[..]].concat())
        .await
        .unwrap();
    assert_eq!(reads(&mut node, 1).await, b"3");
    assert_eq!(unmasked(&reads(&mut node, 8).await), GOING_AWAY);
    assert_eq!(browser.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn is_cut_at_the_deadline_in_the_middle_of_a_frame() {
    let Parting {
        mut browser,
        mut node,
        now,
        tunnel,
    } = tunnel();
    node.write_all(&HELLO[..6]).await.unwrap();
    let start = Instant::now();
    now.send(start + LEFT).unwrap();
    let mut got = Vec::new();
    browser.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, HELLO[..6]);
    assert_eq!(start.elapsed().as_secs(), LEFT.as_secs());
    assert!(matches!(tunnel.await.unwrap().0, End::Cut));
}

#[tokio::test(start_paused = true)]
async fn does_not_let_a_client_go_that_is_in_the_middle_of_a_frame() {
    let Parting {
        mut browser,
        mut node,
        now,
        tunnel,
    } = tunnel();
    now.send(Instant::now() + LEFT).unwrap();
    reads(&mut node, 8).await;
    browser.write_all(b"\x82\x83mask12").await.unwrap();
    node.write_all(&CLOSE_OF_BACKEND).await.unwrap();
    drop(node);
    assert_eq!(reads(&mut browser, 4).await, CLOSE_OF_OURS);
    assert!(is_silent(&mut browser).await);
    let rest = [b"3", &CLOSE_OF_CLIENT[..]].concat();
    browser.write_all(&rest).await.unwrap();
    assert!(matches!(tunnel.await.unwrap().0, End::Closed));
}

#[tokio::test(start_paused = true)]
async fn adds_nothing_to_a_close_that_is_being_answered() {
    let Parting {
        mut browser,
        mut node,
        now,
        tunnel,
    } = tunnel();
    browser.write_all(&CLOSE_OF_CLIENT).await.unwrap();
    assert_eq!(reads(&mut node, 8).await, CLOSE_OF_CLIENT);
    now.send(Instant::now() + LEFT).unwrap();
    node.write_all(&CLOSE_OF_BACKEND).await.unwrap();
    drop(node);
    let mut got = Vec::new();
    browser.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, CLOSE_OF_BACKEND);
    drop(browser);
    assert!(matches!(tunnel.await.unwrap().0, End::Closed));
}

#[tokio::test(start_paused = true)]
async fn counts_early_bytes_as_frames() {
    let (mut browser, client) = duplex(64);
    let (_node, backend) = duplex(64);
    let until = Instant::now() + LEFT;
    let early = BytesMut::from(&HELLO[..4]);
    tokio::spawn(relay(client, backend, early, IDLE, ready(until)));
    let mut got = Vec::new();
    browser.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, HELLO[..4]);
}
