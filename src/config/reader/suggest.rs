//! The word that was probably meant.

/// What nginx, Apache and their kin call it, and what it is called here.
const SYNONYMS: [(&str, &str); 20] = [
    ("listen", "address"),
    ("bind", "address"),
    ("server_name", "hosts"),
    ("host", "hosts"),
    ("ssl_certificate", "certificate"),
    ("cert", "chain"),
    ("location", "route"),
    ("locations", "route"),
    ("proxy_pass", "proxy"),
    ("try_files", "files"),
    ("static", "files"),
    ("return", "respond"),
    ("limit_req", "rate_limit"),
    ("client_max_body_size", "body_limit"),
    ("ssl_protocols", "min_version"),
    ("ssl_ciphers", "ciphers"),
    ("servers", "backends"),
    ("least_conn", "least_requests"),
    ("ip_hash", "hash"),
    ("health_check", "probe"),
];

/// The nearest of `words` to `written`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    written: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Longer words are no typing errors of anything; this also bounds the work below.
    if written.len() > 100 {
        return None;
    }
    let written = written.to_lowercase().replace('-', "_");
    let words: Vec<&str> = words.into_iter().collect();
    if let Some(own) = synonym(&written)
        && words.contains(&own)
    {
        return Some(own);
    }
    // `script_src` means `script`, `connect_timeout` means `connect`.
    let is_part = |word: &&&str| {
        let rest = written
            .strip_prefix(**word)
            .map(|rest| rest.starts_with('_'));
        word.len() > 2 && rest == Some(true)
    };
    let part = words.iter().filter(is_part).max_by_key(|word| word.len());
    let allowed = written.chars().count().max(3) / 3;
    words
        .iter()
        .copied()
        .map(|word| (distance(&written, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
        .or_else(|| part.copied())
}

/// What another server's word is called here.
pub(crate) fn synonym(word: &str) -> Option<&'static str> {
    let found = SYNONYMS.iter().find(|(other, _)| *other == word);
    found.map(|(_, own)| *own)
}

/// ", did you mean `word`?" as a help text, or what may be written at all.
pub(crate) fn help(written: &str, words: &[&str]) -> String {
    match nearest(written, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("write {}", any_of(words)),
    }
}

/// "`a`, `b` or `c`".
pub(crate) fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::from("nothing"),
        [one] => format!("`{one}`"),
        [first @ .., last] => format!("`{}` or `{last}`", first.join("`, `")),
    }
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != *other);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let is_swap =
                column > 0 && previous == Some(*other) && to[column - 1] == letter && row > 0;
            if is_swap {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
        previous = Some(letter);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_the_finger_and_nothing_else() {
        let words = ["strip_prefix", "upstream", "path"];
        assert_eq!(nearest("strip_prefx", words), Some("strip_prefix"));
        assert_eq!(nearest("StripPrefix", words), Some("strip_prefix"));
        assert_eq!(nearest("upstraem", words), Some("upstream"));
        assert_eq!(nearest("paht", words), Some("path"));
        assert_eq!(nearest("certificate", words), None);
        assert_eq!(nearest("path_prefix", words), Some("path"));
        assert_eq!(
            nearest("least_conn", ["hash", "least_requests"]),
            Some("least_requests")
        );
    }

    #[test]
    fn counts_a_swap_once() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
