//! The HTTP of a probe: one `GET`, of whose answer only the status is read.

use std::io;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes read at most, interim responses counted.
const LIMIT: usize = 16 * 1024;
const MAX_FIELDS: usize = 100;

/// Asks for `path` and gives the final status.
///
/// # Errors
///
/// The connection breaks or ends, what comes is not HTTP/1, or no final status comes within 16 KiB.
pub async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin + ?Sized),
    path: &str,
    authority: &str,
) -> io::Result<StatusCode> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: portcullis-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut read = Vec::with_capacity(1024);
    while read.len() < LIMIT {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(status) = final_status(&mut read)? {
            return Ok(status);
        }
    }
    Err(malformed("the response head is over 16 KiB"))
}

/// The status, once it is there; interim responses (RFC 9110 section 15.2) are taken out of `read`.
fn final_status(read: &mut Vec<u8>) -> io::Result<Option<StatusCode>> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response
            .parse(read)
            .map_err(|_| malformed("the response is not HTTP/1"))?;
        let Some(code) = response.code else {
            return Ok(None);
        };
        let status =
            StatusCode::from_u16(code).map_err(|_| malformed("the status is no number"))?;
        if !status.is_informational() {
            return Ok(Some(status));
        }
        match parsed {
            httparse::Status::Complete(length) => drop(read.drain(..length)),
            httparse::Status::Partial => return Ok(None),
        }
    }
}

fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    async fn answer(response: &[u8]) -> io::Result<u16> {
        let (mut ours, mut theirs) = duplex(64 * 1024);
        theirs.write_all(response).await.unwrap();
        let asked = ask(&mut ours, "/health?x=1", "app:3000");
        let backend = async {
            let mut request = [0; 256];
            let length = theirs.read(&mut request).await.unwrap();
            theirs.shutdown().await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        };
        let (status, request) = tokio::join!(asked, backend);
        assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\nHost: app:3000\r\n"));
        assert!(request.ends_with("\r\n\r\n"));
        Ok(status?.as_u16())
    }

    #[tokio::test]
    async fn reads_the_status() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\n\r\nbody").await.unwrap(), 200);
        assert_eq!(answer(b"HTTP/1.0 503 \r\nA: b\r\n").await.unwrap(), 503);
    }

    #[tokio::test]
    async fn passes_over_interim_responses() {
        let response = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n";
        assert_eq!(answer(response).await.unwrap(), 204);
    }

    #[tokio::test]
    async fn refuses_what_is_no_response() {
        for response in [
            &b""[..],
            b"HTTP/1.1 ",
            b"SSH-2.0-x\r\n",
            b"\x15\x03\x01\x00\x02",
        ] {
            assert!(answer(response).await.is_err(), "{response:?}");
        }
    }

    #[tokio::test]
    async fn reads_no_more_than_its_limit() {
        let endless = b"HTTP/1.1 103 x\r\n\r\n".repeat(2000);
        assert!(answer(&endless).await.is_err());
        let mut long = b"HTTP/1.1 103 x\r\nA: ".to_vec();
        long.resize(40_000, b'a');
        assert!(answer(&long).await.is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut behind_a_good_start = b"HTTP/1.1 ".to_vec();
            behind_a_good_start.extend_from_slice(&bytes);
            let _ = final_status(&mut bytes.clone());
            let _ = final_status(&mut behind_a_good_start);
        }
    }
}
