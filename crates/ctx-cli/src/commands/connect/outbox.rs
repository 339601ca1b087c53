//! What is queued, and what became of it, as people and programs read it.

use std::time::Duration;

use camino::Utf8PathBuf;
use ctx_hub::outbox::{Outbox, OutboxError, Pending, Refused, SendReport, Unusable};
use serde::Serialize;

use crate::commands::Cx;
use crate::env;
use crate::ui::{age, count, on_one_line};

/// What waits in the outbox.
#[derive(Debug, Serialize)]
pub(super) struct OutboxReport {
    /// How many entries wait.
    entries: usize,
    /// How large their files are.
    bytes: u64,
    /// Of the entry that is sent first.
    oldest_id: Option<String>,
    /// How long ago it was published.
    oldest_age_seconds: Option<u64>,
    /// Entries that a hub refused for good.
    refused: Vec<RefusedReport>,
    /// Files that cannot be sent.
    unusable: Vec<UnusableReport>,
    /// Why nothing of this is known.
    error: Option<String>,
}

/// An entry that a hub refused for good.
#[derive(Debug, Serialize)]
struct RefusedReport {
    path: Utf8PathBuf,
    reason: String,
}

/// A file that cannot be sent.
#[derive(Debug, Serialize)]
struct UnusableReport {
    path: Utf8PathBuf,
    problem: String,
}

impl OutboxReport {
    /// Looks into the outbox, and warns of what in it needs a person.
    pub(super) fn look(cx: &Cx) -> Self {
        match Outbox::of(&cx.context).pending() {
            Ok(pending) => {
                pending.refused.iter().for_each(|one| warn_refused(one, cx));
                pending
                    .unusable
                    .iter()
                    .for_each(|one| warn_unusable(one, cx));
                Self::of(pending)
            }
            Err(error) => {
                let text = on_one_line(&error);
                warn_trouble(&error, cx);
                Self {
                    error: Some(text),
                    ..Self::of(Pending::default())
                }
            }
        }
    }

    fn of(pending: Pending) -> Self {
        let oldest = pending.oldest.as_ref();
        let since = |timestamp: i64| env::now().saturating_sub(timestamp);
        Self {
            entries: pending.entries,
            bytes: pending.bytes,
            oldest_id: oldest.map(|oldest| oldest.id.to_string()),
            // An entry of the future, as after a clock was set back, is as old as a new one.
            oldest_age_seconds: oldest
                .map(|oldest| u64::try_from(since(oldest.timestamp)).unwrap_or(0)),
            refused: pending.refused.into_iter().map(Into::into).collect(),
            unusable: pending.unusable.iter().map(UnusableReport::of).collect(),
            error: None,
        }
    }

    /// The gist, on one line.
    pub(super) fn text(&self) -> String {
        let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        if self.error.is_some() {
            return "cannot be read".to_owned();
        }
        let mut text = match self.oldest_age_seconds {
            Some(seconds) => format!(
                "{} queued, the oldest for {}",
                count(number(self.entries), "entry", "entries"),
                age(Duration::from_secs(seconds))
            ),
            None => "empty".to_owned(),
        };
        for (files, what) in [
            (self.refused.len(), "refused by the hub"),
            (self.unusable.len(), "damaged"),
        ] {
            if files > 0 {
                text.push_str(&format!(", {files} {what}"));
            }
        }
        text
    }
}

impl From<Refused> for RefusedReport {
    fn from(refused: Refused) -> Self {
        let Refused { path, reason, .. } = refused;
        Self { path, reason }
    }
}

impl UnusableReport {
    fn of(unusable: &Unusable) -> Self {
        Self {
            path: unusable.path.clone(),
            problem: on_one_line(&unusable.why),
        }
    }
}

/// How many entries wait, for a command that has other things to say; none when that is not known.
pub(super) fn waiting(cx: &Cx) -> usize {
    Outbox::of(&cx.context)
        .pending()
        .map_or(0, |pending| pending.entries)
}

/// Says what became of entries that were queued.
pub(super) fn tell(report: &SendReport, cx: &Cx) {
    if !report.sent.is_empty() {
        let sent = u64::try_from(report.sent.len()).unwrap_or(u64::MAX);
        let entries = count(sent, "queued entry", "queued entries");
        cx.screen.notice(&format!("sent {entries}"));
    }
    report.refused.iter().for_each(|one| warn_refused(one, cx));
    report
        .unusable
        .iter()
        .for_each(|one| warn_unusable(one, cx));
    if let Some(error) = &report.stopped {
        let text = format!("entries stay queued: {}", on_one_line(error));
        cx.screen.warning(&text, error.hint().as_deref());
    }
}

/// Says that the outbox cannot be used.
pub(super) fn warn_trouble(error: &OutboxError, cx: &Cx) {
    let text = format!("what is queued cannot be sent: {}", on_one_line(error));
    cx.screen.warning(&text, error.hint().as_deref());
}

fn warn_refused(refused: &Refused, cx: &Cx) {
    let Refused { path, reason, .. } = refused;
    let reason = if reason.is_empty() {
        "no reason is known"
    } else {
        reason
    };
    cx.screen.warning(
        &format!("an entry was refused and is kept in {path}: {reason}"),
        Some("publish anew what is worth it, then move the file away"),
    );
}

fn warn_unusable(unusable: &Unusable, cx: &Cx) {
    let hint = unusable.hint();
    cx.screen.warning(&on_one_line(unusable), hint.as_deref());
}
