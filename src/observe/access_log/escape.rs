//! Foreign bytes as printable ASCII. Nothing that passes can end a line, a string or a field.

use std::io::Write as _;

/// Appends bytes, escaped.
pub(super) type Escape = fn(&mut Vec<u8>, &[u8]);

/// Appends the inside of a JSON string. What is not ASCII becomes `\u` escapes; a byte that is
/// not UTF-8 is taken for Latin-1, as old clients mean it.
pub(super) fn push_json(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = push_plain(out, bytes);
    while !rest.is_empty() {
        let (character, length) = match first_character(rest) {
            Some(character) => (character, character.len_utf8()),
            None => (char::from(rest[0]), 1),
        };
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', rest[0]]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // A vector takes every write.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        rest = push_plain(out, &rest[length..]);
    }
}

/// Appends bytes as Apache's log does: C escapes for what has one, `\xhh` for the rest.
pub(super) fn push_apache(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = push_plain(out, bytes);
    while let Some((byte, tail)) = rest.split_first() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0b => out.extend_from_slice(b"\\v"),
            byte => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        rest = push_plain(out, tail);
    }
}

/// Appends what needs no escape, up to the first byte that does; returns the rest.
fn push_plain<'a>(out: &mut Vec<u8>, bytes: &'a [u8]) -> &'a [u8] {
    // Most text is plain to its end. Looked at as a whole, many bytes are compared at once.
    let is_plain = bytes
        .iter()
        .fold(true, |plain, byte| plain & is_plain(*byte));
    let end = if is_plain {
        bytes.len()
    } else {
        let special = bytes.iter().position(|byte| !self::is_plain(*byte));
        special.unwrap_or(bytes.len())
    };
    out.extend_from_slice(&bytes[..end]);
    &bytes[end..]
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// The character that the bytes begin with, if they begin with UTF-8.
fn first_character(bytes: &[u8]) -> Option<char> {
    let head = &bytes[..bytes.len().min(4)];
    head.utf8_chunks().next()?.valid().chars().next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(escape: Escape, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_for_json() {
        assert_eq!(
            escaped(push_json, b"a\"b\\c\n\x00\x7f"),
            "a\\\"b\\\\c\\n\\u0000\\u007f"
        );
        assert_eq!(
            escaped(push_json, "é😀\u{9b}".as_bytes()),
            "\\u00e9\\ud83d\\ude00\\u009b"
        );
        assert_eq!(escaped(push_json, b"\xe9\xff\xc3"), "\\u00e9\\u00ff\\u00c3");
    }

    #[test]
    fn escapes_as_apache_does() {
        assert_eq!(
            escaped(push_apache, b"a\"b\\c\r\n\t\x08\x0b\x1b[0m\xc3\xa9"),
            "a\\\"b\\\\c\\r\\n\\t\\b\\v\\x1b[0m\\xc3\\xa9"
        );
    }

    proptest! {
        #[test]
        fn gives_text_back_to_a_json_reader(text in any::<String>()) {
            let string = format!("\"{}\"", escaped(push_json, text.as_bytes()));
            prop_assert_eq!(serde_json::from_str::<String>(&string).unwrap(), text);
        }

        #[test]
        fn leaves_printable_ascii_of_any_bytes(bytes in any::<Vec<u8>>()) {
            for escape in [push_json as Escape, push_apache] {
                let text = escaped(escape, &bytes);
                prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            }
            let string = format!("\"{}\"", escaped(push_json, &bytes));
            prop_assert!(serde_json::from_str::<String>(&string).is_ok());
        }
    }
}
