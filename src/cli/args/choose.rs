//! Which notifications a command means.
//!
//! Promises: a list and a change take the same words; a change needs a choice; what would be ignored is refused.
//! Never: a change of everything because nothing was said.

use clap::{Args as ClapArgs, Subcommand};

use crate::cli::support::Which;

#[derive(Subcommand)]
pub(in crate::cli) enum NotificationsCommand {
    /// List
    List(Listed),
    /// One, with the timeline of its event
    Show {
        /// Its id
        id: String,
    },
    /// Withdraw: what waits or is dead is never sent
    Cancel(Chosen),
    /// Look at it again now
    Requeue(Chosen),
}

#[derive(Subcommand)]
pub(in crate::cli) enum DeadCommand {
    /// List
    List(ListedDead),
    /// Send again after mending
    Requeue(ChosenDead),
    /// Withdraw
    Cancel(ChosenDead),
}

#[derive(ClapArgs)]
pub(in crate::cli) struct Words {
    /// Of this template
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Of this org
    #[arg(long, value_name = "ID")]
    org: Option<i64>,
    /// For this reason: brake, contact_unknown, refused, …
    #[arg(long, value_name = "WORD")]
    reason: Option<String>,
    /// At most this many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

#[derive(ClapArgs)]
pub(in crate::cli) struct Listed {
    #[command(flatten)]
    words: Words,
    /// In this state: waiting, attempting, sent, suppressed, expired, dead_letter, cancelled
    #[arg(long, value_name = "WORD")]
    state: Option<String>,
    /// Behind this one
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

#[derive(ClapArgs)]
pub(in crate::cli) struct ListedDead {
    #[command(flatten)]
    words: Words,
    /// Behind this one
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

#[derive(ClapArgs)]
pub(in crate::cli) struct Chosen {
    /// These notifications
    #[arg(conflicts_with_all = ["all", "template", "org", "reason", "limit", "state"])]
    ids: Vec<String>,
    /// All of them (with or without the words below)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    words: Words,
    /// In this state: waiting, suppressed, expired, dead_letter
    #[arg(long, value_name = "WORD")]
    state: Option<String>,
}

#[derive(ClapArgs)]
pub(in crate::cli) struct ChosenDead {
    /// These notifications
    #[arg(conflicts_with_all = ["all", "template", "org", "reason", "limit"])]
    ids: Vec<String>,
    /// All of them (with or without the words below)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    words: Words,
}

impl Words {
    fn which(self) -> Which {
        let Self { template, org, reason, limit } = self;
        Which { template, org, reason, limit: limit.and_then(|n| usize::try_from(n).ok()), ..Which::default() }
    }

    fn says_nothing(&self) -> bool {
        self.template.is_none() && self.org.is_none() && self.reason.is_none()
    }
}

impl From<Listed> for Which {
    fn from(Listed { words, state, after }: Listed) -> Self {
        Self { state, after, ..words.which() }
    }
}

impl From<ListedDead> for Which {
    fn from(ListedDead { words, after }: ListedDead) -> Self {
        Self { state: Some("dead_letter".into()), after, ..words.which() }
    }
}

const NOTHING: &str = "nothing was chosen: give ids, --template, --org, --reason, or --all";

impl TryFrom<Chosen> for Which {
    type Error = anyhow::Error;
    fn try_from(Chosen { ids, all, words, state }: Chosen) -> anyhow::Result<Self> {
        if ids.is_empty() && !all && words.says_nothing() && state.is_none() {
            anyhow::bail!("{NOTHING}, or --state");
        }
        Ok(Self { ids, all, state, ..words.which() })
    }
}

impl TryFrom<ChosenDead> for Which {
    type Error = anyhow::Error;
    fn try_from(ChosenDead { ids, all, words }: ChosenDead) -> anyhow::Result<Self> {
        // The state alone is no choice: it is the command's, not the caller's.
        if ids.is_empty() && !all && words.says_nothing() {
            anyhow::bail!(NOTHING);
        }
        Ok(Self { ids, all, state: Some("dead_letter".into()), ..words.which() })
    }
}
