//! Rules of the house that the compiler does not hold.
//!
//! Modules import from lower floors only, files stay short and say what they are for, `mod.rs` does
//! not occur, and ARCHITECTURE.md names files that exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Who stands on which floor. A module imports from floors below its own; two on one floor are
/// strangers.
const FLOORS: [(&str, u8); 18] = [
    ("cli", 10),
    ("app", 9),
    ("server", 8),
    ("admin", 8),
    ("snapshot", 7),
    ("handler", 6),
    ("middleware", 6),
    ("upstream", 5),
    ("tls", 4),
    ("certs", 3),
    ("router", 3),
    ("limiter", 3),
    ("cache", 3),
    ("assets", 3),
    ("import", 3),
    ("observe", 2),
    ("config", 1),
    ("message", 0),
];

/// Lines of a file before its tests.
const LONGEST: usize = 400;

#[test]
fn modules_import_from_lower_floors_only() {
    let mut faults = Vec::new();
    for source in Source::all("src") {
        let Some(module) = source.module() else {
            continue;
        };
        let Some(floor) = floor_of(&module) else {
            faults.push(format!("{}: `{module}` stands on no floor", source.name()));
            continue;
        };
        for (line, imported) in source.imports() {
            let place = format!("{}:{line}", source.name());
            match floor_of(&imported) {
                _ if imported == module => {}
                None => faults.push(format!("{place}: `{imported}` stands on no floor")),
                Some(other) if other == floor => {
                    faults.push(format!(
                        "{place}: `{imported}` is on the floor of `{module}`"
                    ));
                }
                Some(other) if other > floor => {
                    faults.push(format!("{place}: `{imported}` is above `{module}`"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_are_short() {
    let faults: Vec<_> = everything()
        .filter(|source| source.length() > LONGEST)
        .map(|source| {
            format!(
                "{}: {} lines before its tests",
                source.name(),
                source.length()
            )
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_say_what_they_are_for() {
    let faults: Vec<_> = everything()
        .filter(|source| !source.text.starts_with("//! ") && !source.path.ends_with("tests.rs"))
        .map(|source| format!("{}: begins without `//!`", source.name()))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn modules_stand_beside_their_folders() {
    let faults: Vec<_> = everything()
        .map(|source| source.name())
        .filter(|name| name.ends_with("/mod.rs"))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn architecture_names_files_that_exist() {
    let Ok(text) = fs::read_to_string(root().join("ARCHITECTURE.md")) else {
        return;
    };
    let faults: Vec<_> = text
        .split(|character: char| !(character.is_ascii_alphanumeric() || "_./-".contains(character)))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| Path::new(word).extension().is_some_and(|it| it == "rs"))
        .filter(|word| {
            !["", "src", "tests"]
                .iter()
                .any(|base| root().join(base).join(word).is_file())
        })
        .collect();
    assert!(
        faults.is_empty(),
        "these do not exist: {}",
        faults.join(", ")
    );
}

/// One file of Rust.
struct Source {
    /// From the root of the package.
    path: PathBuf,
    text: String,
}

impl Source {
    /// Every file below a folder of the package.
    fn all(folder: &str) -> impl Iterator<Item = Self> {
        let mut files = Vec::new();
        collect(&root().join(folder), &mut files);
        files.sort();
        files.into_iter().map(|file| Self {
            text: fs::read_to_string(&file).expect("a listed file can be read"),
            path: file
                .strip_prefix(root())
                .expect("the walk starts at the root")
                .to_owned(),
        })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The module at the top of the crate that the file belongs to; none for `lib.rs` and `main.rs`.
    fn module(&self) -> Option<String> {
        let top = self.path.iter().nth(1)?.to_str()?;
        let module = top.strip_suffix(".rs").unwrap_or(top);
        (!["lib", "main"].contains(&module)).then(|| module.to_owned())
    }

    /// Lines before the module of tests.
    fn length(&self) -> usize {
        let lines: Vec<_> = self.text.lines().collect();
        let tests = lines
            .windows(2)
            .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
        tests.unwrap_or(lines.len())
    }

    /// Modules of the crate that are named, each with its line.
    fn imports(&self) -> Vec<(usize, String)> {
        let code: String = self.text.lines().map(without_comment).collect();
        let mut found = Vec::new();
        for (at, _) in code.match_indices("crate::") {
            let line = code[..at].matches('\n').count() + 1;
            if !code[..at].ends_with(is_part_of_name) {
                names_at(&code[at + "crate::".len()..], |name| {
                    found.push((line, name.to_owned()));
                });
            }
        }
        found
    }
}

fn everything() -> impl Iterator<Item = Source> {
    ["src", "tests", "benches"]
        .into_iter()
        .flat_map(Source::all)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a folder of the tree can be listed").path();
        if path.ends_with("node_modules") {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

fn without_comment(line: &str) -> String {
    let code = line.split("//").next().unwrap_or(line);
    format!("{code}\n")
}

/// The first segments of `a::b` or of `{a::b, c::{d, e}}`.
fn names_at(path: &str, mut found: impl FnMut(&str)) {
    let Some(group) = path.strip_prefix('{') else {
        let end = path
            .find(|character| !is_part_of_name(character))
            .unwrap_or(path.len());
        found(&path[..end]);
        return;
    };
    let mut depth = 0_usize;
    let mut start = Some(0);
    for (at, character) in group.char_indices() {
        if depth == 0
            && !is_part_of_name(character)
            && let Some(begun) = start.take_if(|begun| !group[*begun..at].trim().is_empty())
        {
            found(group[begun..at].trim());
        }
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return,
            '}' => depth -= 1,
            ',' if depth == 0 => start = Some(at + 1),
            _ => {}
        }
    }
}

fn is_part_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

#[test]
fn reads_imports_of_every_shape() {
    let source = Source {
        path: "src/server/x.rs".into(),
        text: "use crate::{\n    message::{body::Body, error::{A, B}},\n    tls,\n};\n\
               // crate::cli is only spoken of\nfn f() { crate::app::run(); }\n"
            .into(),
    };
    let names: Vec<_> = source.imports().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["message", "tls", "app"]);
    assert_eq!(source.module().as_deref(), Some("server"));
}
