//! No text at all makes the reader or its reports panic.

use portcullis::config::diagnostic::Color;
use proptest::prelude::*;

use super::{example, fixtures, parse};

/// Shows a result in every form; none may panic.
fn exercise(text: &str) {
    let report = parse(&fixtures(), "any.toml", text).map_or_else(|it| it, |(_, it)| it);
    report.render(Color::Always);
    report.to_json();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        exercise(&text);
    }

    #[test]
    fn no_toml_like_text_panics(text in "([\\[\\]{}=\",.'#\n\r\t \u{feff}é$a-c0-9_-]|site|route|listener|true){0,60}") {
        exercise(&text);
    }

    #[test]
    fn no_damage_to_a_good_file_panics(
        name in prop::sample::select(vec!["reference.toml", "nestflux.toml", "development.toml"]),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "[\\[\\]{}=\",.'\n é$0-9a]{0,4}"), 1..5),
    ) {
        let mut text = example(name);
        for (at, length, put) in cuts {
            let start = text.floor_char_boundary(at.index(text.len()));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &put);
        }
        exercise(&text);
    }

    #[test]
    fn no_value_in_the_wrong_place_panics(
        line in any::<prop::sample::Index>(),
        value in prop::sample::select(vec!["1", "-1", "1.5", "nan", "true", "false", "\"\"", "\"${\"", "[]", "[[]]", "{}", "1979-05-27", "\"é\\u0000\"", "99999999999999999999"]),
    ) {
        let text = example("reference.toml");
        let lines: Vec<&str> = text.lines().collect();
        let written: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(" = ") && !lines[*at].starts_with('#')).collect();
        let at = written[line.index(written.len())];
        let (key, _) = lines[at].split_once('=').unwrap();
        let replaced = format!("{key}= {value}");
        let mut lines = lines.clone();
        lines[at] = &replaced;
        exercise(&lines.join("\n"));
    }
}
