//! Faults of configuration, rules and templates, in one form.
//!
//! Promises: each says the file, the line, the key, what is wrong, what was expected and how to mend it.
//! Never: a secret's value.

use std::fmt;
use std::path::PathBuf;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, or `environment`, or `embedded defaults`.
    pub file: PathBuf,
    /// Line from 1, where it is known.
    pub line: Option<usize>,
    /// The dotted key or the part (`intake.listen`, `email.html.hbs`).
    pub key: String,
    /// What is wrong, in lower case, without full stop.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// At least one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
