//! Look-ups at servers that are not as they should be. Real ones are asked end to end.

use std::net::{IpAddr, Ipv4Addr};

use hickory_resolver::proto::{
    op::{Message, MessageType, ResponseCode},
    rr::rdata::SRV,
};
use tokio::{net::UdpSocket, task::JoinHandle};

use super::{super::Name as _, *};

const NAME: &str = "_api._tcp.service.test";

/// Answers over UDP alone, with the records that `answer` has for a name, or that there is no such name.
async fn over_udp(
    answer: impl Fn(&rr::Name, RecordType) -> Vec<RData> + Send + 'static,
) -> (Name, JoinHandle<()>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let mut message = Message::from_vec(&buffer[..length]).unwrap();
            let query = message.queries[0].clone();
            let records = answer(query.name(), query.query_type());
            message.metadata.message_type = MessageType::Response;
            if records.is_empty() {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            for data in records {
                message.add_answer(rr::Record::from_rdata(query.name().clone(), 20, data));
            }
            let _ = socket.send_to(&message.to_vec().unwrap(), peer).await;
        }
    });
    (Name::new(NAME, &[address]), serving)
}

fn target(host: &str, port: u16) -> RData {
    let host = rr::Name::from_ascii(host).unwrap();
    RData::SRV(SRV::new(1, 0, port, host))
}

fn ip(text: &str) -> RData {
    match text.parse().unwrap() {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    }
}

#[tokio::test]
async fn asks_over_udp_where_tcp_is_refused_and_for_each_target_in_both_families() {
    let (name, _server) = over_udp(|name, kind| match (&*name.to_ascii(), kind) {
        (_, RecordType::SRV) => vec![target("A.test.", 3001), target("gone.test.", 3002)],
        ("a.test.", RecordType::A) => vec![ip("10.0.0.1"), ip("10.0.0.2")],
        ("a.test.", RecordType::AAAA) => vec![ip("fd00::1")],
        _ => Vec::new(),
    })
    .await;
    let answer = name.look_up().await.unwrap();
    let expected = ["10.0.0.1:3001", "10.0.0.2:3001", "[fd00::1]:3001"];
    assert_eq!(
        answer.found[0].addresses,
        expected.map(|it| it.parse().unwrap())
    );
    assert_eq!(answer.found[1].addresses, []);
    assert!(answer.lack.unwrap().contains("1 targets"));
    assert_eq!(answer.fresh, Duration::from_secs(20));
}

#[tokio::test]
async fn says_what_is_missing() {
    for (records, reason) in [
        (vec![], "no such name"),
        (vec![ip("10.0.0.1")], "no SRV record"),
        (vec![target("a.test.", 0)], "a host and a port"),
        (vec![target("a.test.", 1)], "has an address"),
    ] {
        let (name, _server) = over_udp(move |_, kind| match kind {
            RecordType::SRV => records.clone(),
            _ => Vec::new(),
        })
        .await;
        let error = name.look_up().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn gives_up_on_a_server_that_says_nothing() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let name = Name::new(NAME, &[socket.local_addr().unwrap()]);
    let began = tokio::time::Instant::now();
    assert!(name.look_up().await.is_err());
    assert!(began.elapsed() <= WHOLE);
}
