//! Many Socket.IO clients, and an instance that dies.

use std::fmt::Write as _;

use crate::harness::{
    Proxy,
    nest::{Nest, client},
    note,
};

#[tokio::test]
async fn two_hundred_socketio_clients_keep_their_session_until_their_instance_dies() {
    let mut nest = Nest::start(3, "express", &[]).await;
    let proxy = nest.behind_proxy().await;
    for (victim, transports) in [(0, "polling"), (1, "polling,websocket")] {
        let name = format!("nest-{}", victim + 1);
        let process = nest.pid(victim).to_string();
        let variables = [
            ("TRANSPORTS", transports),
            ("VICTIM", &name),
            ("VICTIM_PID", &process),
        ];
        client("socketio-loss.mjs", &proxy, &variables).await;
        nest.restart(victim).await;
        note(statuses(&proxy).await);
    }
}

async fn statuses(proxy: &Proxy) -> String {
    let mut text = "requests of Socket.IO so far:".to_owned();
    for code in ["101", "200", "400", "499", "502", "503"] {
        let labels = ["route=\"/socket.io/\"", &format!("code=\"{code}\"")];
        let count = proxy.metric("portcullis_requests_total", &labels).await;
        write!(text, " {} x {code}", count.abs()).unwrap();
    }
    text
}
