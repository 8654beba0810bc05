//! What the encoders make is read by decoders that others wrote.

use std::io::Read as _;

use proptest::prelude::*;

use super::*;

/// The decoded bytes, or why there are none.
pub(in crate::middleware::compression) fn decode(
    coding: Coding,
    coded: &[u8],
) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match coding {
        Coding::Brotli => {
            brotli::Decompressor::new(coded, 4096).read_to_end(&mut text)?;
        }
        Coding::Zstd => {
            zstd::stream::read::Decoder::new(coded)?.read_to_end(&mut text)?;
        }
        Coding::Gzip => {
            flate2::read::GzDecoder::new(coded).read_to_end(&mut text)?;
        }
    }
    Ok(text)
}

/// The bytes that can be decoded of a beginning.
pub(in crate::middleware::compression) fn decode_part(coding: Coding, coded: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut reader: Box<dyn io::Read> = match coding {
        Coding::Brotli => Box::new(brotli::Decompressor::new(coded, 4096)),
        Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(coded).unwrap()),
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(coded)),
    };
    let mut buffer = [0; 512];
    // A beginning ends in an error.
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
    }
    text
}

fn encoder(coding: Coding) -> Encoder {
    Rc::new(Encoders::default()).lend(coding).unwrap()
}

#[test]
fn all_of_a_body_is_smaller_and_comes_back() {
    let text = "the same again, ".repeat(300);
    for coding in Coding::ALL {
        let coded = encoder(coding).all(text.as_bytes()).unwrap();
        assert!(coded.len() < 200, "{coding:?}: {}", coded.len());
        assert_eq!(decode(coding, &coded).unwrap(), text.as_bytes());
    }
}

#[test]
fn an_encoder_forgets_the_response_before() {
    for coding in [Coding::Zstd, Coding::Gzip] {
        let encoders = Rc::new(Encoders::default());
        let mut first = encoders.lend(coding).unwrap();
        first.write(b"a secret of somebody else").unwrap();
        first.flush().unwrap();
        first.write(b"that broke off").unwrap();
        drop(first);
        assert_eq!(encoders.idle.borrow().len(), 1);
        let coded = encoders.lend(coding).unwrap().all(b"a secret").unwrap();
        assert_eq!(encoder(coding).all(b"a secret").unwrap(), coded);
        assert_eq!(decode(coding, &coded).unwrap(), b"a secret");
    }
}

#[test]
fn encoders_in_use_and_idle_ones_are_bounded() {
    let encoders = Rc::new(Encoders::default());
    let lent: Vec<_> = (0..MOST)
        .map_while(|_| encoders.lend(Coding::Gzip))
        .collect();
    assert_eq!(lent.len(), MOST);
    assert!(encoders.lend(Coding::Zstd).is_none());
    drop(lent);
    assert_eq!(encoders.lent.get(), 0);
    assert_eq!(encoders.idle.borrow().len(), IDLE);
    assert!(encoders.lend(Coding::Brotli).is_some());
}

proptest! {
    // Encoders take their time in a build for tests.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_written_comes_back(
        pieces in proptest::collection::vec(piece(), 0..6),
    ) {
        for coding in Coding::ALL {
            let mut encoder = encoder(coding);
            let (mut coded, mut written) = (Vec::new(), Vec::new());
            for (piece, is_flushed) in &pieces {
                encoder.write(piece).unwrap();
                written.extend_from_slice(piece);
                if *is_flushed && !piece.is_empty() {
                    encoder.flush().unwrap();
                    coded.extend_from_slice(&encoder.take());
                    prop_assert_eq!(decode_part(coding, &coded), &*written);
                }
            }
            encoder.finish().unwrap();
            coded.extend_from_slice(&encoder.take());
            prop_assert_eq!(decode(coding, &coded).unwrap(), &*written);
        }
    }
}

/// Random bytes, or few different ones; and whether to flush behind them.
fn piece() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..3000),
        proptest::collection::vec(b'a'..b'd', 0..3000),
        (any::<u8>(), 0..40_000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ];
    (bytes, any::<bool>())
}
