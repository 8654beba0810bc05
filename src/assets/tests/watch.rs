//! When a folder is walked, and what is seen without a walk each time.
//!
//! A write through a hard link from outside brings no notice: it is seen by a walk alone, and so
//! tells whether there was one.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use tempfile::TempDir;

use super::{at_once, folder, open, text, write};
use crate::assets::{Arc, Changed, Duration, Options, Store};

const FILES: usize = 3;

/// A folder with files to change, followed until it is quiet.
struct Site {
    dir: TempDir,
    outside: TempDir,
    store: Arc<Store>,
    /// Length of the file that is written without notice.
    written: usize,
}

impl Site {
    fn new() -> Self {
        let dir = folder(&[("a.txt", "a"), ("img/b.txt", "b"), ("probe.txt", "")]);
        let store = open(&dir);
        Self::of(dir, store)
    }

    /// The probe is to be below the root of the store.
    fn of(dir: TempDir, store: Arc<Store>) -> Self {
        let outside = folder(&[]);
        let probe = dir.path().join("probe.txt");
        fs::hard_link(probe, outside.path().join("probe.txt")).unwrap();
        let site = Self {
            dir,
            outside,
            store,
            written: 0,
        };
        site.refresh();
        site.refresh();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn refresh(&self) -> Changed {
        self.store.refresh().unwrap()
    }

    /// Whether the next look walks.
    fn walks(&mut self) -> bool {
        self.written += 1;
        let bytes = vec![b'.'; self.written];
        fs::write(self.outside.path().join("probe.txt"), bytes).unwrap();
        self.refresh() != Changed::No
    }

    #[track_caller]
    fn sees(&mut self, change: &str, files: usize) {
        assert_eq!(self.refresh(), Changed::Published(files), "{change}");
        assert_eq!(self.refresh(), Changed::No, "{change}: published twice");
        assert!(!self.walks(), "{change}: it is not quiet again");
        // What was written there must not be found with the next change.
        fs::write(self.path("probe.txt"), "").unwrap();
        self.refresh();
    }
}

#[tokio::test(start_paused = true)]
async fn walks_only_now_and_then_while_nothing_happens() {
    let mut site = Site::new();
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(!site.walks());
    assert_eq!(site.refresh(), Changed::No);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(site.walks());
    assert!(!site.walks(), "it is watched as before");
}

#[test]
fn sees_files_change_at_once() {
    let mut site = Site::new();
    fs::write(site.path("a.txt"), "in place").unwrap();
    site.sees("written in place", FILES);
    assert_eq!(text(&site.store, "a.txt").as_deref(), Some("in place"));

    write(&site.outside, "b.txt", "renamed");
    fs::rename(site.outside.path().join("b.txt"), site.path("img/b.txt")).unwrap();
    site.sees("renamed over", FILES);
    assert_eq!(text(&site.store, "img/b.txt").as_deref(), Some("renamed"));

    fs::write(site.path("img/c.txt"), "").unwrap();
    site.sees("created, empty", FILES + 1);

    fs::remove_file(site.path("img/c.txt")).unwrap();
    site.sees("deleted", FILES);

    let file = fs::File::options().write(true).open(site.path("a.txt"));
    file.unwrap().set_len(2).unwrap();
    site.sees("cut", FILES);
    assert_eq!(text(&site.store, "a.txt").as_deref(), Some("in"));
}

#[test]
fn sees_folders_change_at_once_and_what_is_in_them() {
    let mut site = Site::new();
    write(&site.dir, "new/deep/c.txt", "c");
    site.sees("a file in a new folder", FILES + 1);
    fs::write(site.path("new/deep/c.txt"), "changed").unwrap();
    site.sees("a file of a folder that was new", FILES + 1);

    fs::create_dir_all(site.path("empty/deep")).unwrap();
    assert_eq!(site.refresh(), Changed::No);
    fs::write(site.path("empty/deep/d.txt"), "d").unwrap();
    site.sees("a file in a folder that was empty", FILES + 2);

    write(&site.outside, "moved/e/e.txt", "e");
    fs::rename(site.outside.path().join("moved"), site.path("moved")).unwrap();
    site.sees("a folder moved in", FILES + 3);
    fs::write(site.path("moved/e/e.txt"), "changed").unwrap();
    site.sees("a file of a folder that was moved in", FILES + 3);

    fs::rename(site.path("moved"), site.outside.path().join("moved")).unwrap();
    site.sees("a folder moved out", FILES + 2);
    fs::write(site.outside.path().join("moved/e/e.txt"), "outside").unwrap();
    assert!(!site.walks(), "a folder that was moved out is watched");

    fs::remove_dir_all(site.path("new")).unwrap();
    site.sees("a folder deleted", FILES + 1);
}

#[test]
fn sees_links_lead_elsewhere_and_what_they_lead_to() {
    let mut site = Site::new();
    write(&site.dir, "..1/env.js", "one");
    write(&site.dir, "..2/env.js", "two");
    symlink("..1", site.path("..data")).unwrap();
    symlink("..data/env.js", site.path("env.js")).unwrap();
    site.sees("a link to a file", FILES + 1);
    // The folder of the file is not walked.
    fs::write(site.path("..1/env.js"), "in place").unwrap();
    site.sees("the file that a link leads to", FILES + 1);
    symlink("..2", site.path("..next")).unwrap();
    fs::rename(site.path("..next"), site.path("..data")).unwrap();
    site.sees("a link on the way to a file", FILES + 1);
    assert_eq!(text(&site.store, "env.js").as_deref(), Some("two"));

    symlink("img", site.path("alias")).unwrap();
    site.sees("a link to a folder", FILES + 2);
    fs::write(site.path("img/b.txt"), "changed").unwrap();
    site.sees("a file that has two names", FILES + 2);
    assert_eq!(text(&site.store, "alias/b.txt").as_deref(), Some("changed"));
}

#[test]
fn sees_the_root_lead_elsewhere() {
    let dir = folder(&[
        ("app/1/a.txt", "one"),
        ("app/2/a.txt", "two"),
        ("next/1/a.txt", "three"),
    ]);
    let root = dir.path().join("current");
    symlink("app/1", &root).unwrap();
    let store = Store::open(&root, at_once()).unwrap();
    let sees = |content: &str| {
        assert_eq!(store.refresh().unwrap(), Changed::Published(1), "{content}");
        assert_eq!(store.refresh().unwrap(), Changed::No, "{content}");
        assert_eq!(text(&store, "a.txt").as_deref(), Some(content));
    };
    assert_eq!(store.refresh().unwrap(), Changed::No);
    let switch = |target: &str| {
        symlink(target, dir.path().join("new")).unwrap();
        fs::rename(dir.path().join("new"), &root).unwrap();
    };
    switch("app/2");
    sees("two");
    write(&dir, "app/2/a.txt", "two, changed");
    sees("two, changed");
    switch("app/1");
    sees("one");
    // The path stays, and what it names is another folder.
    fs::rename(dir.path().join("app"), dir.path().join("old")).unwrap();
    fs::rename(dir.path().join("next"), dir.path().join("app")).unwrap();
    sees("three");
}

#[test]
fn sees_the_root_come_back() {
    let site = Site::new();
    fs::remove_dir_all(site.dir.path()).unwrap();
    assert!(site.store.refresh().is_err());
    assert!(site.store.refresh().is_err());
    write(&site.dir, "index.html", "new");
    assert_eq!(site.refresh(), Changed::Published(1));
    write(&site.dir, "index.html", "newer");
    assert_eq!(site.refresh(), Changed::Published(1));
}

#[test]
fn is_watched_on_after_more_notices_than_the_kernel_keeps() {
    let mut site = Site::new();
    let many = site.path("many.txt");
    for _ in 0..6000 {
        fs::write(&many, "created, written and closed").unwrap();
        fs::remove_file(&many).unwrap();
    }
    assert!(site.walks(), "notices were lost");
    assert!(!site.walks(), "notices of the past are heard");
    fs::write(site.path("a.txt"), "changed").unwrap();
    assert_eq!(site.refresh(), Changed::Published(FILES));
}

#[tokio::test(start_paused = true)]
async fn walks_each_time_where_there_is_too_much_to_watch() {
    let dir = folder(&[("1/a.txt", ""), ("2/b.txt", ""), ("probe.txt", "")]);
    let options = Options {
        watches: 2,
        ..at_once()
    };
    let store = Store::open(dir.path(), options).unwrap();
    let mut site = Site::of(dir, store);
    assert!(site.walks() && site.walks(), "too much is watched");
    fs::remove_dir_all(site.path("1")).unwrap();
    assert!(site.walks() && site.walks(), "it was tried too soon");
    tokio::time::advance(Duration::from_mins(5)).await;
    assert!(site.walks());
    assert!(!site.walks(), "it was not tried again");
}

#[test]
fn walks_each_time_while_a_build_is_not_complete() {
    let old = "<script src=/assets/x-0a1b2c3d.js></script>";
    let dir = folder(&[("index.html", old), ("assets/x-0a1b2c3d.js", "")]);
    let store = open(&dir);
    let outside = folder(&[]);
    let page = outside.path().join("index.html");
    fs::hard_link(dir.path().join("index.html"), &page).unwrap();
    for _ in 0..2 {
        store.refresh().unwrap();
    }
    write(&dir, "index.html", &old.replace("3d", "3e"));
    let missing = Changed::Incomplete("/assets/x-0a1b2c3e.js".into());
    assert_eq!(store.refresh().unwrap(), missing);
    // Without notice.
    fs::write(&page, format!("{old} once more")).unwrap();
    assert_eq!(store.refresh().unwrap(), Changed::Published(2));
}
