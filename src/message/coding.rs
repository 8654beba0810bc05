//! Content codings, and which of them a client takes.

use http::HeaderValue;

/// A content coding (RFC 9110 section 8.4.1, RFC 7932, RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Name in `Accept-Encoding` and `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// `Content-Encoding`.
    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}

/// A content coding for whoever has an earlier file (RFC 9842).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum DictionaryCoding {
    Brotli,
    Zstd,
}

impl DictionaryCoding {
    /// All of them, the one that is smaller as a rule first.
    pub const ALL: [Self; 2] = [Self::Brotli, Self::Zstd];

    /// Name in `Accept-Encoding` and `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "dcb",
            Self::Zstd => "dcz",
        }
    }

    /// `Content-Encoding`.
    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}

/// What a client takes: weights in thousandths, `None` is unsaid (RFC 9110 section 12.5.3).
#[derive(Debug, Default)]
pub struct Weights {
    codings: [Option<u16>; Coding::ALL.len()],
    dictionary_codings: [Option<u16>; DictionaryCoding::ALL.len()],
    /// Of no coding at all.
    pub identity: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    /// Reads `Accept-Encoding`.
    pub fn read<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>) -> Self {
        let mut weights = Self::default();
        let fields = fields
            .into_iter()
            .flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
        for element in fields {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = parts.next().map_or(Some(1000), weight).unwrap_or(0);
            if let Some(slot) = weights.slot(name) {
                *slot = Some(weight);
            }
        }
        weights
    }

    /// The weight of a coding; 0 where it is refused or not named.
    pub fn of(&self, coding: Coding) -> u16 {
        self.codings[coding as usize].or(self.any).unwrap_or(0)
    }

    /// The weight of a coding with a dictionary, which a star does not stand for: older clients know none.
    pub fn of_dictionary(&self, coding: DictionaryCoding) -> u16 {
        self.dictionary_codings[coding as usize].unwrap_or(0)
    }

    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<u16>> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if let Some(coding) = Coding::ALL.into_iter().find(|coding| is(coding.as_str())) {
            return Some(&mut self.codings[coding as usize]);
        }
        let mut with_dictionary = DictionaryCoding::ALL.into_iter();
        if let Some(coding) = with_dictionary.find(|coding| is(coding.as_str())) {
            return Some(&mut self.dictionary_codings[coding as usize]);
        }
        if is("x-gzip") {
            return Some(&mut self.codings[Coding::Gzip as usize]);
        }
        if is("identity") {
            return Some(&mut self.identity);
        }
        is("*").then_some(&mut self.any)
    }
}

/// `q=0.5` in thousandths (RFC 9110 section 12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else {
        return None;
    };
    let (whole, digits) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0') * 1000;
    for (digit, unit) in digits.iter().zip([100, 10, 1]) {
        thousandths += u16::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?) * unit;
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_weights() {
        let field =
            HeaderValue::from_static("br;q=0.5 , GZIP, zstd; q=0, *;q=0.001, identity;q=2, x;q");
        let weights = Weights::read([&field]);
        assert_eq!(weights.of(Coding::Brotli), 500);
        assert_eq!(weights.of(Coding::Gzip), 1000);
        assert_eq!(weights.of(Coding::Zstd), 0);
        assert_eq!((weights.identity, weights.any), (Some(0), Some(1)));
    }

    #[test]
    fn lets_a_star_stand_for_what_is_not_named() {
        let weights = Weights::read([&HeaderValue::from_static("*")]);
        assert_eq!(weights.of(Coding::Brotli), 1000);
        let weights = Weights::read([&HeaderValue::from_static("br, *;q=0")]);
        assert_eq!(weights.of(Coding::Gzip), 0);
    }

    #[test]
    fn lets_no_star_stand_for_a_dictionary() {
        let weights = Weights::read([&HeaderValue::from_static("*, dcz;q=0.5")]);
        assert_eq!(weights.of_dictionary(DictionaryCoding::Brotli), 0);
        assert_eq!(weights.of_dictionary(DictionaryCoding::Zstd), 500);
    }

    proptest::proptest! {
        #[test]
        fn keeps_weights_between_none_and_one(field in "[a-z*;=q0-9., ]{0,40}") {
            let weights = Weights::read([&HeaderValue::try_from(field).unwrap()]);
            for coding in Coding::ALL {
                proptest::prop_assert!(weights.of(coding) <= 1000);
            }
        }
    }
}
