//! The corpus of the fuzz targets, replayed: what was once found must not come back. `fuzz/README.md` says more.

use std::{fs, panic::catch_unwind, path::Path};

#[path = "../fuzz/checks/request.rs"]
mod request;
#[path = "../fuzz/checks/response.rs"]
mod response;

#[test]
fn answers_of_the_corpus_are_read_alike_in_any_pieces() {
    replay("response", response::check);
}

#[test]
fn requests_of_the_corpus_are_written_as_one_head() {
    replay("request", request::check);
}

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is in the repository");
    let paths: Vec<_> = entries
        .map(|it| it.expect("it can be listed").path())
        .collect();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        let input = fs::read(&path).expect("the corpus can be read");
        assert!(
            catch_unwind(|| check(&input)).is_ok(),
            "{} fails",
            path.display()
        );
    }
}
