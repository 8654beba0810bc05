//! Parts of files, and files that are read while they are sent.

use std::fs;

use http::{
    Method, StatusCode,
    header::{
        ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH,
        IF_NONE_MATCH, IF_RANGE, RANGE,
    },
};
use http_body_util::BodyExt as _;

use super::{body, field, get, send, site};
use crate::message::error::ErrorKind;

#[tokio::test]
async fn cuts_ranges_from_the_selected_representation() {
    let (_dir, files) = site();
    let path = "/assets/index-DiwrgTda.js";
    let response = get(&files, path, &[(RANGE, "bytes=2-3")]).await.unwrap();
    assert_eq!(
        (response.status(), field(&response, CONTENT_RANGE)),
        (StatusCode::PARTIAL_CONTENT, "bytes 2-3/10")
    );
    assert_eq!(body(response).await, "23");
    let response = get(
        &files,
        path,
        &[(RANGE, "bytes=-1"), (ACCEPT_ENCODING, "br")],
    )
    .await
    .unwrap();
    assert_eq!(field(&response, CONTENT_RANGE), "bytes 4-4/5");
    assert_eq!(
        get(&files, path, &[(RANGE, "bytes=10-")])
            .await
            .unwrap_err(),
        ErrorKind::Range(10)
    );
    let response = get(
        &files,
        path,
        &[(RANGE, "bytes=2-3"), (IF_RANGE, "\"other\"")],
    )
    .await
    .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn sends_several_ranges_as_one_message() {
    let (_dir, files) = site();
    for (path, size, first, last) in [
        ("/assets/index-DiwrgTda.js", 10, "0", "9"),
        ("/large.bin", 3 << 20, "x", "x"),
    ] {
        let response = get(&files, path, &[(RANGE, "bytes=0-0,-1")]).await.unwrap();
        assert_eq!(response.status(), 206);
        let length: usize = field(&response, CONTENT_LENGTH).parse().unwrap();
        let boundary = field(&response, CONTENT_TYPE)
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap()
            .to_owned();
        let body = body(response).await;
        assert_eq!(body.len(), length);
        let text = std::str::from_utf8(&body).unwrap();
        let parts: Vec<_> = text.split(&format!("\r\n--{boundary}")).collect();
        assert_eq!((parts.len(), parts[3]), (4, "--\r\n"));
        assert!(parts[1].ends_with(&format!("Content-Range: bytes 0-0/{size}\r\n\r\n{first}")));
        assert!(parts[2].ends_with(&format!(
            "Content-Range: bytes {0}-{0}/{size}\r\n\r\n{last}",
            size - 1
        )));
    }
}

#[tokio::test]
async fn streams_a_large_file_in_bounded_chunks() {
    let (_dir, files) = site();
    let response = get(&files, "/large.bin", &[]).await.unwrap();
    let mut body = response.into_body();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let chunk = frame.unwrap().into_data().unwrap();
        assert!(chunk.len() <= 256 << 10);
        total += chunk.len();
    }
    assert_eq!(total, 3 << 20);
    let response = get(&files, "/large.bin", &[(RANGE, "bytes=1048576-2097152")])
        .await
        .unwrap();
    assert_eq!(super::body(response).await.len(), 1_048_577);
}

#[tokio::test]
async fn never_mixes_two_versions_of_a_large_file() {
    let (dir, files) = site();
    let path = dir.path().join("large.bin");
    let mut body = get(&files, "/large.bin", &[]).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    fs::write(&path, vec![b'y'; 3 << 20]).unwrap();
    assert!(body.frame().await.unwrap().is_err());
    let answer = get(&files, "/large.bin", &[]).await;
    assert!(
        matches!(answer, Err(ErrorKind::Overloaded(_))),
        "until the new release is read"
    );
    fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn finishes_a_large_file_that_is_replaced_by_another() {
    let (dir, files) = site();
    let mut body = get(&files, "/large.bin", &[]).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    fs::write(dir.path().join("new"), "short").unwrap();
    fs::rename(dir.path().join("new"), dir.path().join("large.bin")).unwrap();
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(rest.iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn preconditions_come_before_ranges() {
    let (dir, files) = site();
    fs::write(dir.path().join("empty.txt"), "").unwrap();
    let files = super::files(&dir, "/", files.fallback.as_deref());
    let whole = get(&files, "/sw.js", &[]).await.unwrap();
    let (etag, size) = (field(&whole, ETAG), field(&whole, CONTENT_LENGTH));
    let weak = format!("W/{etag}");
    let many = vec!["0-0"; 17].join(",");
    let many = format!("bytes={many}");
    for (fields, status, length) in [
        (vec![(RANGE, "bytes=0-1"), (IF_RANGE, etag)], 206, "2"),
        (vec![(RANGE, "bytes=0-1,99-")], 206, "2"),
        (vec![(RANGE, "bytes=0-1"), (IF_MATCH, etag)], 206, "2"),
        (vec![(RANGE, "bytes=0-1"), (IF_RANGE, &weak)], 200, size),
        (vec![(RANGE, "bytes=99-"), (IF_RANGE, "\"x\"")], 200, size),
        (vec![(RANGE, "bytes=0-3,2-5")], 200, size),
        (vec![(RANGE, &many)], 200, size),
        (vec![(RANGE, "bytes=0-1"), (RANGE, "bytes=2-3")], 200, size),
        (vec![(RANGE, "bytes=99-"), (IF_NONE_MATCH, etag)], 304, ""),
        (vec![(RANGE, "bytes=0-1"), (IF_NONE_MATCH, &weak)], 304, ""),
    ] {
        let response = get(&files, "/sw.js", &fields).await.unwrap();
        let found = (response.status().as_u16(), field(&response, CONTENT_LENGTH));
        assert_eq!(found, (status, length), "{fields:?}");
    }
    for method in [Method::GET, Method::HEAD] {
        let known = [(IF_NONE_MATCH, etag)];
        let answer = send(&files, method.clone(), "/sw.js", &known).await;
        assert_eq!(answer.unwrap().status(), 304);
        let other = [(IF_MATCH, "\"x\""), (RANGE, "bytes=99-")];
        let answer = send(&files, method, "/sw.js", &other).await;
        assert_eq!(answer.unwrap_err(), ErrorKind::Precondition);
    }
    for range in ["bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-"] {
        let empty = get(&files, "/empty.txt", &[(RANGE, range)]).await.unwrap();
        assert_eq!((empty.status().as_u16(), body(empty).await.len()), (200, 0));
    }
}
