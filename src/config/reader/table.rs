//! A cursor over one table: typed reads of its keys, and a fault for each key it does not know.

use std::{cell::Cell, ops::RangeInclusive};

use toml::de::{DeTable, DeValue};

use super::{
    Place, Read, Reader, Value,
    number::{Bounded, within},
    quoted, suggest,
};
use crate::config::{diagnostic::Diagnostic, shape, value::Located};

/// What a table may hold.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Its name, as messages say it: `server.admin`.
    pub(crate) name: &'static str,
    /// Every key that works.
    pub(crate) keys: &'static [&'static str],
    /// Keys that are reserved for a later version.
    pub(crate) reserved: &'static [&'static str],
}

/// A cursor over one table.
pub(crate) struct Table<'a> {
    /// Where faults go.
    pub(crate) reader: &'a Reader<'a>,
    /// Its header, or the whole of an inline table.
    pub(crate) span: std::ops::Range<usize>,
    shape: &'static Shape,
    entries: &'a DeTable<'a>,
    /// One bit for each key of the shape that was asked for.
    asked: Cell<u64>,
}

/// A table that `false` switches off.
pub(crate) enum Switch<T> {
    /// The key is absent (or faulty, which was said).
    Absent,
    /// `false`.
    Off,
    /// The table.
    On(T),
}

impl<'a> Table<'a> {
    /// Opens a table of this shape.
    pub(crate) fn new(
        reader: &'a Reader<'a>,
        shape: &'static Shape,
        entries: &'a DeTable<'a>,
        span: std::ops::Range<usize>,
    ) -> Self {
        Self {
            reader,
            span,
            shape,
            entries,
            asked: Cell::new(0),
        }
    }

    /// Opens `value` as a table, or pushes the fault that it is none.
    pub(crate) fn open(value: &Value<'a>, shape: &'static Shape) -> Option<Self> {
        match value.node.get_ref() {
            DeValue::Table(entries) => Some(Self::new(value.reader, shape, entries, value.span())),
            DeValue::Array(_) => value.reject(
                format!("`{}` is an array, one table is wanted", value.key),
                format!("write `[{}]` with single brackets, once", shape.name),
            ),
            _ => value.wrong_type("a table", &example_of(shape)),
        }
    }

    /// The value of `key`, if it is there.
    pub(crate) fn value(&self, key: &'static str) -> Option<Value<'a>> {
        let index = self.shape.keys.iter().position(|known| *known == key);
        debug_assert!(index.is_some(), "{key} is missing in {}", self.shape.name);
        self.asked.set(self.asked.get() | 1 << index.unwrap_or(63));
        let node = self.entries.get(key)?;
        Some(Value {
            reader: self.reader,
            key,
            node,
            place: Place::Key,
        })
    }

    /// The value of `key`; `None` when it is absent or faulty.
    pub(crate) fn take<T: Read>(&self, key: &'static str) -> Option<T> {
        T::read(&self.value(key)?)
    }

    /// The value of `key`, with `default` for an absent or faulty one.
    pub(crate) fn take_or<T: Read>(&self, key: &'static str, default: T) -> T {
        self.take(key).unwrap_or(default)
    }

    /// The value of `key` inside `range`, with `default` for an absent or faulty one.
    pub(crate) fn take_within<T: Bounded>(
        &self,
        key: &'static str,
        default: T,
        range: &RangeInclusive<T>,
    ) -> T {
        self.value(key)
            .and_then(|value| within(&value, T::read(&value)?, range))
            .unwrap_or(default)
    }

    /// The value of `key`, or the fault that it is missing, with an example of what to write.
    pub(crate) fn require<T: Read>(&self, key: &'static str, example: &str) -> Option<T> {
        match self.value(key) {
            Some(value) => T::read(&value),
            None => self.missing(key, example),
        }
    }

    /// Pushes the fault that `key` is missing.
    pub(crate) fn missing<T>(&self, key: &str, example: &str) -> Option<T> {
        let fault = Diagnostic::error(format!("`{key}` is missing in `{}`", self.shape.name))
            .at(self.span.clone())
            .help(format!("add `{key} = {example}`"));
        self.reader.push(fault);
        None
    }

    /// What a word of `choices` stands for, with `default` for an absent or faulty one.
    pub(crate) fn choose<T: Copy>(
        &self,
        key: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        self.value(key)
            .and_then(|value| choice(&value, choices))
            .unwrap_or(default)
    }

    /// The elements of an array; faulty ones are left out. `None` when the key is absent.
    pub(crate) fn list<T: Read>(
        &self,
        key: &'static str,
        example: &str,
    ) -> Option<Vec<Located<T>>> {
        let items = self.value(key)?.items("an array", example)?;
        Some(items.iter().filter_map(Read::read).collect())
    }

    /// The table under `key`; `None` when it is absent or faulty.
    pub(crate) fn child(&self, key: &'static str, shape: &'static Shape) -> Option<Self> {
        Self::open(&self.value(key)?, shape)
    }

    /// The table under `key`, which `false` switches off.
    pub(crate) fn switch(&self, key: &'static str, shape: &'static Shape) -> Switch<Self> {
        match self.value(key) {
            None => Switch::Absent,
            Some(value) if value.is_off() => Switch::Off,
            Some(value) if value.node.get_ref().as_table().is_none() => {
                let wanted = "a table or `false`";
                value.wrong_type::<()>(wanted, &example_of(shape));
                Switch::Absent
            }
            Some(value) => Self::open(&value, shape).map_or(Switch::Absent, Switch::On),
        }
    }

    /// The tables of `[[key]]`.
    pub(crate) fn children(&self, key: &'static str, shape: &'static Shape) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        match value.node.get_ref() {
            DeValue::Array(nodes) if nodes.is_empty() => {
                let help = format!("write `[[{}]]`, once for each", shape.name);
                value.reject::<()>(format!("`{key}` is empty"), help);
                Vec::new()
            }
            DeValue::Array(nodes) => nodes
                .iter()
                .filter_map(|node| Self::open(&value.element(node), shape))
                .collect(),
            DeValue::Table(_) => {
                let name = shape.name;
                let message = format!("`{name}` is one table, an array of tables is wanted");
                let help = format!("write `[[{name}]]` with double brackets, once for each");
                value.reject::<()>(message, help);
                Vec::new()
            }
            _ => {
                value.wrong_type::<()>("an array of tables", "[{ ... }]");
                Vec::new()
            }
        }
    }

    /// Every key with its value, for tables whose keys are names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Located<&'a str>, Value<'a>)> {
        let reader = self.reader;
        self.entries.iter().map(move |(key, node)| {
            let name = Located {
                value: &**key.get_ref(),
                span: key.span(),
            };
            let key = name.value;
            let place = Place::Key;
            (
                name,
                Value {
                    reader,
                    key,
                    node,
                    place,
                },
            )
        })
    }

    /// Whether `key` is written here.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Pushes a fault for each key that this table does not know.
    pub(crate) fn finish(&self) {
        for (key, _) in self.entries() {
            let name = key.value;
            match self.shape.keys.iter().position(|known| *known == name) {
                Some(index) => debug_assert!(
                    self.asked.get() & 1 << index != 0,
                    "{name} is accepted and ignored"
                ),
                None => self.reader.push(self.unknown(&key)),
            }
        }
    }

    fn unknown(&self, key: &Located<&str>) -> Diagnostic {
        let (table, name) = (self.shape.name, key.value);
        let place = if table.is_empty() {
            String::from("at the top of the file")
        } else {
            format!("in `{table}`")
        };
        let fault =
            Diagnostic::error(format!("unknown key {} {place}", quoted(name))).at(key.span.clone());
        if self.shape.reserved.contains(&name) {
            return fault.help("it is reserved for a later version: not in this version");
        }
        if let Some(near) = suggest::nearest(name, self.shape.keys.iter().copied()) {
            return fault.help(format!("did you mean `{near}`?"));
        }
        let word = suggest::synonym(name).unwrap_or(name);
        let homes = shape::homes(word);
        if !homes.is_empty() && homes.len() < 4 {
            return fault.help(format!("`{word}` belongs in {}", suggest::any_of(&homes)));
        }
        fault.help(format!("known here: {}", suggest::any_of(self.shape.keys)))
    }
}

fn example_of(shape: &Shape) -> String {
    format!("{{ {} = ... }}", shape.keys.first().unwrap_or(&"key"))
}

/// What the word in `value` stands for, or the fault that it is none of `choices`.
pub(crate) fn choice<T: Copy>(value: &Value<'_>, choices: &[(&str, T)]) -> Option<T> {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let example = format!("\"{}\"", words.first().unwrap_or(&""));
    let written = value.text("a word", &example)?;
    match choices.iter().find(|(word, _)| *word == written) {
        Some((_, chosen)) => Some(*chosen),
        None => value.reject(
            format!("unknown value {} of `{}`", quoted(&written), value.key),
            suggest::help(&written, &words),
        ),
    }
}
