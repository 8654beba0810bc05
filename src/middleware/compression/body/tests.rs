//! Bodies as their sources bring them: at once, little by little, with pauses, to the end and not.

use std::{collections::VecDeque, rc::Rc};

use http::HeaderValue;
use http_body_util::BodyExt as _;
use proptest::prelude::*;

use super::*;
use crate::{
    message::coding::Coding,
    middleware::compression::encoder::{
        Encoders,
        tests::{decode, decode_part},
    },
};

/// What a source does next.
#[derive(Debug, Clone)]
enum Next {
    Data(Vec<u8>),
    Pause,
    Break,
    Trailers,
}

struct Source(VecDeque<Next>);

impl http_body::Body for Source {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Next::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data.into())))),
            Some(Next::Pause) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Next::Break) => Poll::Ready(Some(Err(BodyError::Stalled))),
            Some(Next::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", HeaderValue::from_static("7"));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
        }
    }
}

fn compressed(coding: Coding, script: impl IntoIterator<Item = Next>) -> Compressed {
    let encoder = Rc::new(Encoders::default()).lend(coding).unwrap();
    Compressed::new(Body::wrap(Source(script.into_iter().collect())), encoder)
}

fn data(text: &str) -> Next {
    Next::Data(text.into())
}

#[tokio::test]
async fn a_pause_of_the_source_brings_all_that_it_said() {
    for coding in Coding::ALL {
        let script = [
            data("one "),
            data("two "),
            Next::Pause,
            Next::Pause,
            data("three"),
        ];
        let mut body = compressed(coding, script);
        let mut coded = body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .to_vec();
        assert_eq!(decode_part(coding, &coded), b"one two ", "{coding:?}");
        assert!(!body.is_end_stream());
        let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
        coded.extend_from_slice(&last);
        assert_eq!(
            decode(coding, &coded).unwrap(),
            b"one two three",
            "{coding:?}"
        );
        // Nobody need ask again.
        assert!(body.is_end_stream());
    }
}

#[tokio::test]
async fn a_source_that_breaks_off_leaves_no_whole_body() {
    for coding in Coding::ALL {
        let mut body = compressed(
            coding,
            [data("one "), Next::Pause, data("two "), Next::Break],
        );
        let mut coded = body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .to_vec();
        // What came before the break is for the client.
        coded.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
        assert_eq!(decode_part(coding, &coded), b"one two ", "{coding:?}");
        assert!(decode(coding, &coded).is_err(), "{coding:?}");
        let broken = body.frame().await.unwrap();
        assert!(matches!(broken, Err(BodyError::Stalled)), "{coding:?}");
    }
}

#[tokio::test]
async fn trailers_come_behind_the_end() {
    for coding in Coding::ALL {
        let mut body = compressed(coding, [data("one"), Next::Trailers]);
        let coded = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(decode(coding, &coded).unwrap(), b"one");
        assert!(!body.is_end_stream());
        let trailers = body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_trailers()
            .unwrap();
        assert_eq!(trailers["x-sum"], "7");
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }
}

#[test]
fn others_have_their_turn_however_much_comes_at_once() {
    let mut context = Context::from_waker(std::task::Waker::noop());
    for coding in Coding::ALL {
        let mut body = compressed(coding, [Next::Data(vec![b'x'; 1 << 20])]);
        let mut turns = 0;
        while !body.is_end_stream() {
            if Pin::new(&mut body).poll_frame(&mut context).is_pending() {
                turns += 1;
            }
        }
        assert_eq!(turns, (1 << 20) / STEP, "{coding:?}");
    }
}

#[test]
fn its_encoder_is_free_at_its_end() {
    let encoders = Rc::new(Encoders::default());
    let mut context = Context::from_waker(std::task::Waker::noop());
    let source = Body::wrap(Source([data("x")].into()));
    let mut body = Compressed::new(source, encoders.lend(Coding::Zstd).unwrap());
    assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
    assert!(body.encoder.is_none());
}

proptest! {
    // Encoders take their time in a build for tests.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_passes_comes_back(script in proptest::collection::vec(next(), 0..6)) {
        let written: Vec<u8> = script
            .iter()
            .flat_map(|next| if let Next::Data(data) = next { &data[..] } else { &[] })
            .copied()
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for coding in Coding::ALL {
            let body = compressed(coding, script.clone());
            let coded = runtime.block_on(body.collect()).unwrap().to_bytes();
            prop_assert_eq!(decode(coding, &coded).unwrap(), &*written);
        }
    }
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..4000).prop_map(Next::Data),
        (any::<u8>(), 0..90_000_usize).prop_map(|(byte, count)| Next::Data(vec![byte; count])),
        Just(Next::Pause),
    ]
}
