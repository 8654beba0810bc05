//! Listening sockets, one per worker, made before any right is dropped.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections the kernel holds until a worker takes them; the kernel caps it at `somaxconn`.
const BACKLOG: i32 = 4096;

/// `count` sockets that listen on `address` side by side.
///
/// # Errors
/// The address is taken, also by another process that would share it, or not allowed.
pub fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // With SO_REUSEPORT alone a second instance would silently take half of the connections.
    let probe = socket(address)?;
    probe.bind(&SockAddr::from(address))?;
    let port = match address.port() {
        0 => probe
            .local_addr()?
            .as_socket()
            .map_or(0, |address| address.port()),
        port => port,
    };
    drop(probe);
    listen_beside(SocketAddr::new(address.ip(), port), count)
}

/// `count` sockets that listen on `address`, also beside those of this process that do already.
///
/// # Errors
/// As [`listen`], but for an address that this process has.
pub fn listen_beside(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    (0..count).map(|_| listen_shared(address)).collect()
}

fn listen_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the last connections to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` is said for IPv6; `0.0.0.0` is a listener of its own.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens_several_times_on_one_free_port() {
        let sockets = listen("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap().port())
            .collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn listens_beside_its_own_sockets() {
        let sockets = listen("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert_eq!(listen_beside(address, 2).unwrap().len(), 2);
    }

    #[test]
    fn refuses_an_address_that_another_process_shares() {
        let sockets = listen("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let error = listen(sockets[0].local_addr().unwrap(), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
