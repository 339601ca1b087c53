//! Reads a settings file, and finds the place of what is wrong with it.

use std::io;
use std::ops::Range;

use camino::Utf8Path;
use ctx_config::limits::SETTINGS_FILE_MAX_BYTES;
use ctx_config::paths::DataDir;
use ctx_io::{ReadError, read_optional_limited};
use toml::Spanned;
use toml::de::DeTable;

use super::{Invalid, Settings, SettingsError, SettingsFault};

/// How alike a name has to be to be taken for what was meant, from 0 to 1.
const ALIKE: f64 = 0.75;

impl Settings {
    /// The settings of a hub: those in `named` or, without it, those in the data directory, if
    /// there are some; else the defaults. A symbolic link is followed.
    ///
    /// # Errors
    /// [`SettingsError`]: the file is wrong or cannot be read, or `named` is not there.
    pub fn read(dir: &DataDir, named: Option<&Utf8Path>) -> Result<Self, SettingsError> {
        let own = dir.settings();
        match (text(named.unwrap_or(&own))?, named) {
            (Some(text), _) => Self::parse(named.unwrap_or(&own), &text),
            (None, None) => Ok(Self::default()),
            (None, Some(path)) => Err(SettingsError::Missing {
                path: path.to_owned(),
            }),
        }
    }

    /// The settings that `text` says; errors name `path` as the file that it is from.
    ///
    /// # Errors
    /// [`SettingsError::File`] with the place of the first thing that is wrong.
    pub fn parse(path: &Utf8Path, text: &str) -> Result<Self, SettingsError> {
        let source = Source { path, text };
        let table = DeTable::parse(text).map_err(|error| {
            let what = error.message().to_owned();
            source.fault(error.span(), SettingsFault::Syntax(what))
        })?;
        source.refuse_unknown(table.get_ref())?;
        let settings: Self = toml::from_str(text).map_err(|error| {
            let what = error.message().to_owned();
            let name = name_at(table.get_ref(), error.span());
            source.fault(error.span(), SettingsFault::Type { name, what })
        })?;
        match settings.validate() {
            Ok(()) => Ok(settings),
            Err((section, invalid)) => Err(source.refused(table.get_ref(), section, invalid)),
        }
    }

    /// Checks the settings again after flags changed some.
    ///
    /// # Errors
    /// [`SettingsError::Value`]
    pub fn checked(self) -> Result<Self, SettingsError> {
        match self.validate() {
            Ok(()) => Ok(self),
            Err((section, Invalid { key, why })) => Err(SettingsError::Value { section, key, why }),
        }
    }

    /// Every setting as it is in effect, as a file that could be read again.
    ///
    /// # Errors
    /// A value that TOML has no way to write (an integer beyond 2^63).
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

/// The text of the file at `path`, or `None` when there is none.
fn text(path: &Utf8Path) -> Result<Option<String>, SettingsError> {
    let failed = |source| {
        SettingsError::Read(ReadError::Io {
            path: path.to_owned(),
            source,
        })
    };
    // Settings are often put in place by a link, and hold nothing that a link could give away.
    let real = match path.canonicalize_utf8() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let bytes = read_optional_limited(&real, SETTINGS_FILE_MAX_BYTES);
    let Some(bytes) = bytes.map_err(SettingsError::Read)? else {
        return Ok(None);
    };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let text = &text;
        Source { path, text }.fault(
            Some(valid..valid),
            SettingsFault::Syntax("is not UTF-8".to_owned()),
        )
    })
}

/// A text, and where it is from.
struct Source<'a> {
    path: &'a Utf8Path,
    text: &'a str,
}

impl Source<'_> {
    fn fault(&self, span: Option<Range<usize>>, fault: SettingsFault) -> SettingsError {
        let (line, column) = place(self.text, span.map_or(0, |span| span.start));
        SettingsError::File {
            path: self.path.to_owned(),
            line,
            column,
            fault,
        }
    }

    /// Refuses the first section and the first key that do not exist.
    fn refuse_unknown(&self, table: &DeTable<'_>) -> Result<(), SettingsError> {
        for (name, section) in table {
            let Some(keys) = Settings::keys(name.get_ref()) else {
                return Err(self.unknown("", name, Settings::SECTIONS));
            };
            // A value in place of a section is told of when it is read.
            for (key, _) in section.get_ref().as_table().into_iter().flatten() {
                if !keys.contains(&key.get_ref().as_ref()) {
                    return Err(self.unknown(&format!("{}.", name.get_ref()), key, keys));
                }
            }
        }
        Ok(())
    }

    fn unknown(
        &self,
        prefix: &str,
        name: &Spanned<toml::de::DeString<'_>>,
        known: &[&str],
    ) -> SettingsError {
        let named = |name: &str| format!("{prefix}{name}");
        let fault = SettingsFault::Unknown {
            name: named(name.get_ref()),
            nearest: nearest(name.get_ref(), known).map(named),
        };
        self.fault(Some(name.span()), fault)
    }

    /// A value that its section refuses, at its place: that of its section when it is a default.
    fn refused(&self, table: &DeTable<'_>, section: &str, invalid: Invalid) -> SettingsError {
        let found = table.get_key_value(section);
        let key = found.and_then(|(_, value)| value.get_ref().as_table()?.get(invalid.key));
        let span = key.map(Spanned::span);
        let span = span.or_else(|| found.map(|(name, _)| name.span()));
        let fault = SettingsFault::Value {
            name: format!("{section}.{}", invalid.key),
            why: invalid.why,
        };
        self.fault(span, fault)
    }
}

/// The name that `name` was meant to be, if one of `known` is alike.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let alike = known
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), *known));
    alike
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// The names that lead to the key or the value at `span`. The span of a table is that of its
/// header alone, so what is in it is looked at first.
fn name_at(table: &DeTable<'_>, span: Option<Range<usize>>) -> String {
    let names = span.and_then(|span| names_at(table, &span));
    names.unwrap_or_default().join(".")
}

fn names_at<'a>(table: &'a DeTable<'_>, span: &Range<usize>) -> Option<Vec<&'a str>> {
    let around = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    table.iter().find_map(|(key, value)| {
        let inner = value.get_ref().as_table();
        let mut names = inner
            .and_then(|table| names_at(table, span))
            .or_else(|| (around(key.span()) || around(value.span())).then(Vec::new))?;
        names.insert(0, key.get_ref());
        Some(names)
    })
}

/// The line and the column of a byte, both counted from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests;
