//! Whether a file's name carries a hash of its content, as bundlers write it.
//!
//! A yes lets browsers keep the file for a year without asking, so doubt means no: a missed hash
//! costs a 304, a wrong one a stale file. Known shapes: `index-DiwrgTda.js` (Vite, Rollup),
//! `main.3f2a1b9c.chunk.js` (webpack, Parcel), `main-QX4LZ2PA.js` (esbuild, Angular),
//! `_app/immutable/` (SvelteKit).

use std::ops::Range;

/// Length of the base64url or base32 hashes of Rollup and esbuild.
const SHORT: usize = 8;

/// Whether the file at this relative path may be kept forever.
pub(super) fn is_hashed(path: &str) -> bool {
    let (folder, file) = split(path);
    !is_entry(file)
        && (hash(file).is_some()
            || file.contains('.') && folder.split('/').any(|name| name == "immutable"))
}

/// The name of a file with `*` for its hash: what is alike from one build to the next. `None` where nothing else tells
/// the file, or the name has none.
pub(super) fn pattern(path: &str) -> Option<String> {
    let (_, file) = split(path);
    let hash = hash(file).filter(|hash| hash.start > 0 && !is_entry(file))?;
    Some(format!("{}*{}", &file[..hash.start], &file[hash.end..]))
}

/// Folder and name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Where the hash in the name of a file is.
fn hash(file: &str) -> Option<Range<usize>> {
    let (stems, extension) = file.rsplit_once('.')?;
    if extension.is_empty() {
        return None;
    }
    let code = file.split('.').any(|part| CODE.contains(&part));
    let mut end = 0;
    stems.split('.').enumerate().find_map(|(place, stem)| {
        let start = end;
        end = start + stem.len() + 1;
        let hash = hash_start(stem, Context { place, code })?;
        Some(start + hash..start + stem.len())
    })
}

/// Extensions that only bundlers give letter-only hashes to; an image is named by people.
const CODE: [&str; 4] = ["js", "mjs", "css", "wasm"];

/// Files that a browser must find anew under the same name, whatever the name looks like.
fn is_entry(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    let stem = file.split(['.', '-', '_']).next().unwrap_or_default();
    let worker = ["service-worker", "serviceworker", "ngsw-worker"];
    let pages = [".html", ".htm", ".xhtml", ".webmanifest"];
    matches!(stem, "sw" | "registersw" | "manifest")
        || worker.iter().any(|name| file.starts_with(name))
        || pages.iter().any(|page| file.ends_with(page))
}

/// Where a dot-separated part of a file name stands.
#[derive(Clone, Copy)]
struct Context {
    /// Counted from 0; a part after the first is set off by a dot.
    place: usize,
    /// The file is code.
    code: bool,
}

/// Where the hash starts that a part of a file name ends with.
fn hash_start(stem: &str, context: Context) -> Option<usize> {
    if context.place > 0 && is_hash(stem, context.code) {
        return Some(0);
    }
    let hex = stem.rsplit(['-', '_']).next().unwrap_or(stem);
    // A name that is nothing but digits may be a date with a letter, so it must be longer.
    if is_hex_hash(hex) && !is_uuid(stem) && (hex.len() < stem.len() || hex.len() >= 2 * SHORT) {
        return Some(stem.len() - hex.len());
    }
    let at = stem.len().checked_sub(SHORT)?;
    let (head, tail) = stem.split_at_checked(at)?;
    let is_hash = match head.chars().last() {
        Some('-') => is_hash(tail, context.code),
        Some(_) => false,
        // The whole name, as Nuxt writes it.
        None => context.code && has_every_class(tail) && is_hash(tail, true),
    };
    is_hash.then_some(at)
}

fn is_hash(token: &str, code: bool) -> bool {
    if is_hex_hash(token) {
        return true;
    }
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if token.len() != SHORT || !token.bytes().all(alphabet) || is_written(token) {
        return false;
    }
    let has = |class: fn(&u8) -> bool| token.as_bytes().iter().any(class);
    let (upper, lower) = (has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase));
    let digit = has(u8::is_ascii_digit);
    // Where people name files, only a token that mixes everything is trusted.
    if code {
        upper || digit
    } else {
        digit && (upper && lower || switches(token) >= 2)
    }
}

/// Eight or more hexadecimal digits in one case, of both kinds: `20240115` is a date, `facade` a
/// word.
fn is_hex_hash(token: &str) -> bool {
    (8..=64).contains(&token.len())
        && token.bytes().any(|byte| byte.is_ascii_digit())
        && token.bytes().any(|byte| byte.is_ascii_alphabetic())
        && token
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether it ends in a UUID, which names a thing and not its content.
fn is_uuid(stem: &str) -> bool {
    let groups: Vec<_> = stem.rsplit('-').take(5).map(str::len).collect();
    groups.len() == 5 && groups[..4] == [12, 4, 4, 4] && groups[4] >= 8
}

fn has_every_class(token: &str) -> bool {
    token.bytes().any(|byte| byte.is_ascii_digit())
        && token.bytes().any(|byte| byte.is_ascii_uppercase())
        && token.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// How often letters and digits alternate.
fn switches(piece: &str) -> usize {
    let digit = |byte: &u8| byte.is_ascii_digit();
    piece
        .as_bytes()
        .windows(2)
        .filter(|pair| digit(&pair[0]) != digit(&pair[1]))
        .count()
}

/// Whether a person may have written it: words, perhaps with a number, or numbers and a letter.
/// `UserList`, `section1` and `1024x768` are; `DiwrgTda` and `C-8dK2lm` are not.
fn is_written(token: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let whole = token.split(['-', '_']).all(|piece| !piece.is_empty());
    let numbers = token.split(|c| !is_digit(c)).filter(|run| !run.is_empty());
    let runs = token.split(|c| is_digit(c) || matches!(c, '-' | '_'));
    let (lone, words): (Vec<_>, Vec<_>) = runs
        .filter(|run| !run.is_empty())
        .partition(|run| run.len() == 1);
    let plain = if words.is_empty() {
        lone.len() <= 1
    } else {
        lone.is_empty() && numbers.count() <= 1
    };
    plain && whole && words.into_iter().all(is_camel_case)
}

/// Whether letters read as words in camel case.
fn is_camel_case(letters: &str) -> bool {
    let bytes = letters.as_bytes();
    let is_upper = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_uppercase);
    let is_lower = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_lowercase);
    let mut start = 0;
    (1..=bytes.len()).all(|at| {
        let border = is_upper(at) && (is_lower(at - 1) || is_lower(at + 1));
        if !border && at < bytes.len() {
            return true;
        }
        let hump = &letters[start..at];
        start = at;
        let capitals = hump.len() > 1 && hump.bytes().all(|byte| byte.is_ascii_uppercase());
        ACRONYMS.contains(&hump) || !capitals && is_word(&hump.to_ascii_lowercase())
    })
}

/// Whether it can be spoken: a vowel, a start that words have, no more than four consonants on end.
fn is_word(word: &str) -> bool {
    let vowels = ['a', 'e', 'i', 'o', 'u', 'y'];
    let start = word.find(vowels);
    let longest = word.split(vowels).map(str::len).max();
    (word.len() >= 3 || SHORT_WORDS.contains(&word))
        && start.is_some_and(|at| is_onset(&word[..at]))
        && longest.is_some_and(|longest| longest <= 4)
}

const SHORT_WORDS: [&str; 20] = [
    "an", "as", "at", "be", "by", "db", "do", "go", "id", "if", "in", "is", "it", "me", "my", "no",
    "of", "on", "or", "to",
];

/// What programmers write in capitals.
const ACRONYMS: [&str; 36] = [
    "AI", "API", "CMS", "CRM", "CSS", "CSV", "D", "DB", "DOM", "DSC", "FAQ", "GPS", "HTML", "HTTP",
    "ID", "IDs", "IMG", "IO", "JS", "JSON", "ML", "PDF", "QR", "SEO", "SMS", "SSO", "SSR", "SVG",
    "TS", "TV", "UI", "URL", "UX", "VR", "WS", "XML",
];

/// Consonants that English words start with.
fn is_onset(consonants: &str) -> bool {
    const ONSETS: [&str; 40] = [
        "bl", "br", "ch", "chr", "cl", "cr", "dr", "dw", "fl", "fr", "gh", "gl", "gr", "kn", "ph",
        "pl", "pr", "ps", "rh", "sc", "sch", "scr", "sh", "shr", "sk", "sl", "sm", "sn", "sp",
        "spl", "spr", "st", "str", "sw", "th", "thr", "tr", "tw", "wh", "wr",
    ];
    consonants.len() < 2 || ONSETS.contains(&consonants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_the_hashes_that_bundlers_write() {
        for path in [
            "assets/index-DiwrgTda.js",
            "assets/index-DiwrgTda.js.map",
            "index-DiwrgTda.css",
            "assets/react-CHdo91hT.svg",
            "assets/vendor-C-8dK2lm.js",
            "assets/index-BQ_-x3kd.css",
            "assets/index-n_ryQ3BS.css",
            "assets/inter-latin-400-normal-C38fXH4l.woff2",
            "static/js/main.3f2a1b9c.chunk.js",
            "chunk.3f2a1b9c.css",
            "index.3f2a1b9c.js",
            "polyfills-5CN2FTDT.js",
            "chunk-QWRTZPKL.js",
            "_nuxt/entry.B7Dx3kd1.js",
            "_nuxt/B7Dx3kd1.js",
            "_app/immutable/entry/start.js",
            "workbox-1d305bb8.js",
            "0123456789abcdef0123.png",
            "img.0123456789abcdef0123456789abcdef.png",
        ] {
            assert!(is_hashed(path), "{path}");
        }
    }

    #[test]
    fn takes_no_word_number_or_version_for_a_hash() {
        for path in [
            "my-component.js",
            "user-settings.js",
            "page-UserList.js",
            "page-Settings.js",
            "vendor-ReactDom.js",
            "app-myWidget.js",
            "app-onChange.js",
            "app-HTMLView.js",
            "page-3DViewer.js",
            "page-404Error.js",
            "lib-sha256Of.js",
            "lib-React-UI.js",
            "photo-DSC00012.jpg",
            "app-JSONTree.js",
            "logo-DarkMode.svg",
            "avatars/550e8400-e29b-41d4-a716-44665544000a.png",
            "20240115a.pdf",
            "page-section1.js",
            "page-Section1.js",
            "jquery-3.6.0.min.js",
            "bootstrap.bundle.min.js",
            "report-20240115.pdf",
            "hero-1024x768.jpg",
            "hero-1920x1080.jpg",
            "icon-192.png",
            "photo-12345678.jpg",
            "my-big-page.js",
            "IMG00012.jpg",
            "apple-touch-icon.png",
            "lib.facade.js",
            "main.20240115.js",
            "favicon.ico",
            "vite.svg",
            "noextension-3f2a1b9c",
        ] {
            assert!(!is_hashed(path), "{path}");
        }
    }

    #[test]
    fn tells_what_a_name_has_in_common_with_that_of_the_next_build() {
        for (path, expected) in [
            ("assets/index-DiwrgTda.js", Some("index-*.js")),
            ("assets/vendor-C-8dK2lm.js", Some("vendor-*.js")),
            ("static/js/main.3f2a1b9c.chunk.js", Some("main.*.chunk.js")),
            ("workbox-1d305bb8.js", Some("workbox-*.js")),
            ("_nuxt/B7Dx3kd1.js", None),
            ("_app/immutable/entry/start.js", None),
            ("sw-3f2a1b9c.js", None),
            ("main.js", None),
        ] {
            assert_eq!(pattern(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn never_keeps_what_a_browser_must_find_anew() {
        for path in [
            "index-DiwrgTda.html",
            "sw.js",
            "sw-3f2a1b9c.js",
            "service-worker.3f2a1b9c.js",
            "registerSW.js",
            "manifest.3f2a1b9c.json",
            "app-3f2a1b9c.webmanifest",
        ] {
            assert!(!is_hashed(path), "{path}");
        }
    }

    #[test]
    fn misses_few_random_names() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut random = fastrand::Rng::with_seed(1);
        let mut share = |extension: &str| {
            let names = (0..10_000).map(|_| {
                let hash: String = (0..SHORT)
                    .map(|_| char::from(alphabet[random.usize(..64)]))
                    .collect();
                format!("assets/index-{hash}.{extension}")
            });
            names.filter(|name| is_hashed(name)).count()
        };
        let (code, image) = (share("js"), share("svg"));
        assert!(code > 9_900, "{code}");
        assert!(image > 7_000, "{image}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(path in "\\PC{0,40}") {
            proptest::prop_assert!(pattern(&path).is_none() || is_hashed(&path));
        }
    }
}
