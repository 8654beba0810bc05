//! The command line: a mode, then `--key value` or `--flag`.

use std::{collections::HashMap, str::FromStr};

use anyhow::{Context, Result, anyhow};

/// What the driver was told.
#[derive(Debug)]
pub(crate) struct Arguments {
    mode: String,
    values: HashMap<String, String>,
}

impl Arguments {
    /// Takes the words that follow the program's name.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut words = words.peekable();
        let mode = words.next().context("say a mode")?;
        let mut values = HashMap::new();
        while let Some(word) = words.next() {
            let key = word
                .strip_prefix("--")
                .with_context(|| format!("`{word}` is no --key"))?;
            let value = words
                .next_if(|next| !next.starts_with("--"))
                .unwrap_or_default();
            values.insert(key.to_owned(), value);
        }
        Ok(Self { mode, values })
    }

    /// The first word.
    pub(crate) fn mode(&self) -> &str {
        &self.mode
    }

    /// Whether the key was given at all.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The value of a key that must be there.
    pub(crate) fn value<T: FromStr>(&self, key: &str) -> Result<T> {
        self.values
            .get(key)
            .with_context(|| format!("--{key} is missing"))?
            .parse()
            .map_err(|_| anyhow!("--{key} cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Result<Arguments> {
        Arguments::read(line.split_whitespace().map(ToOwned::to_owned))
    }

    #[test]
    fn reads_values_and_flags() {
        let arguments = arguments("handshake --resume --count 12").unwrap();
        assert_eq!(arguments.mode(), "handshake");
        assert!(arguments.has("resume"));
        assert_eq!(arguments.value::<u32>("count").unwrap(), 12);
    }

    #[test]
    fn names_the_key_that_is_missing_or_wrong() {
        let arguments = arguments("rate --count many").unwrap();
        let wrong = arguments.value::<u32>("count").unwrap_err();
        let missing = arguments.value::<u32>("rate").unwrap_err();
        assert_eq!(wrong.to_string(), "--count cannot be read");
        assert_eq!(missing.to_string(), "--rate is missing");
    }
}
