//! The TOML file, taken flat: which option has which values, and on which line.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Error;

pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) struct Entry {
    /// The option's long name: the key with its tables, joined by hyphens.
    pub(crate) option: String,
    /// As it is written in the file.
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) values: Vec<String>,
}

impl File {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let table = DeTable::parse(&text).map_err(|error| Error::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(&text, span.start)),
            message: error.message().to_owned(),
        })?;
        let mut file = Self {
            path: path.to_owned(),
            entries: Vec::new(),
        };
        file.flatten(&text, &[], table.get_ref())?;
        Ok(file)
    }

    fn flatten(&mut self, text: &str, tables: &[&str], table: &DeTable<'_>) -> Result<(), Error> {
        for (key, value) in table {
            let name: Vec<&str> = tables.iter().copied().chain([key.get_ref().as_ref()]).collect();
            if let DeValue::Table(inner) = value.get_ref() {
                self.flatten(text, &name, inner)?;
                continue;
            }
            let line = line_of(text, key.span().start);
            let key = name.join(".");
            let wrong = || Error::WrongType {
                path: self.path.clone(),
                line,
                key: key.clone(),
                expected: "a string, a number, a boolean, or a list of those",
            };
            let values = match value.get_ref() {
                DeValue::Array(items) => items
                    .iter()
                    .map(Spanned::get_ref)
                    .map(scalar)
                    .collect::<Option<_>>()
                    .ok_or_else(wrong)?,
                value => vec![scalar(value).ok_or_else(wrong)?],
            };
            self.entries.push(Entry {
                option: name.join("-"),
                key,
                line,
                values,
            });
        }
        Ok(())
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
