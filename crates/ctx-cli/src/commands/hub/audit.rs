//! `ctx hub audit`: what happened.

use std::collections::VecDeque;

use ctx_config::limits;
use ctx_config::paths::DataDir;
use ctx_hub::server::HubError;
use ctx_hub::server::audit::{AuditDamage, AuditError, AuditLine, AuditReader, AuditRecord, Found};
use jiff::Timestamp;

use crate::args::{AuditArgs, Since};
use crate::commands::{Cx, convert};
use crate::error::CliError;
use crate::signals;
use crate::ui::{count, printable};

/// Which lines are wanted.
struct Wanted<'a> {
    since: Option<Timestamp>,
    client: Option<&'a str>,
    project: Option<&'a str>,
    failed: bool,
}

/// Shows the trail, and goes on showing it where that is asked for.
///
/// # Errors
/// There is no hub, or its trail cannot be read.
pub(super) async fn run(args: &AuditArgs, cx: &Cx) -> Result<(), CliError> {
    let data = cx.env.data_dir(args.at.data_dir.as_deref())?;
    let ended = signals::told_to_end()?;
    if !data.path().is_dir() {
        let data_dir = data.path().to_owned();
        return Err(convert::hub(HubError::NoHub { data_dir }));
    }
    let wanted = Wanted::of(args);
    let mut reader = AuditReader::new(&data);
    let first = args
        .lines
        .or(args.follow.then_some(limits::AUDIT_FOLLOW_LINES));
    let mut any = match first {
        Some(most) => show_last(most, &mut reader, &wanted, (&data, cx))?,
        None => show_all(&mut reader, &wanted, (&data, cx))?,
    };
    if !args.follow {
        if !any {
            cx.screen.notice("nothing of the kind is on record");
        }
        return Ok(());
    }
    let following = async {
        while !cx.screen.is_closed() {
            tokio::time::sleep(limits::AUDIT_LOOK).await;
            any |= show_all(&mut reader, &wanted, (&data, cx))?;
        }
        Ok(())
    };
    tokio::select! {
        followed = following => followed,
        () = ended => Ok(()),
    }
}

/// Shows everything that is there by now; whether there was any.
fn show_all(
    reader: &mut AuditReader,
    wanted: &Wanted<'_>,
    (data, cx): (&DataDir, &Cx),
) -> Result<bool, CliError> {
    let mut any = false;
    while let Some((line, text)) = next(reader, wanted, (data, cx))? {
        show(&line, &text, cx)?;
        any = true;
        if cx.screen.is_closed() {
            break;
        }
    }
    Ok(any)
}

/// Shows the last lines of what is there by now; whether there were any.
fn show_last(
    most: usize,
    reader: &mut AuditReader,
    wanted: &Wanted<'_>,
    (data, cx): (&DataDir, &Cx),
) -> Result<bool, CliError> {
    let mut last = VecDeque::new();
    while let Some(line) = next(reader, wanted, (data, cx))? {
        last.push_back(line);
        if last.len() > most {
            last.pop_front();
        }
    }
    for (line, text) in &last {
        show(line, text, cx)?;
    }
    Ok(!last.is_empty())
}

/// The next line that is wanted; what is damaged is told and skipped.
fn next(
    reader: &mut AuditReader,
    wanted: &Wanted<'_>,
    (data, cx): (&DataDir, &Cx),
) -> Result<Option<(AuditLine, String)>, CliError> {
    let failed = |source: AuditError| {
        let data_dir = data.path().to_owned();
        convert::hub(HubError::Audit { data_dir, source })
    };
    while let Some(found) = reader.read_next().map_err(failed)? {
        match found {
            Found::Line { line, text, .. } if wanted.has(&line) => return Ok(Some((*line, text))),
            Found::Line { .. } => {}
            Found::Damaged(AuditDamage {
                path, line, why, ..
            }) => cx.screen.warning(
                &format!("{path}, line {line} is skipped: {why}"),
                Some("`ctx hub verify` says whether it is the rest of a write that was cut off"),
            ),
        }
    }
    Ok(None)
}

fn show(line: &AuditLine, text: &str, cx: &Cx) -> Result<(), CliError> {
    if cx.screen.is_json() {
        return cx.screen.raw(format!("{text}\n").as_bytes());
    }
    cx.screen.text(&format!("{}\n", row(line)))
}

impl<'a> Wanted<'a> {
    fn of(args: &'a AuditArgs) -> Self {
        let since = args.since.map(|since| match since {
            Since::At(moment) => moment,
            // A duration longer than there are moments means from the first one on.
            Since::Ago(ago) => Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN),
        });
        Self {
            since,
            client: args.client.as_ref().map(|client| client.as_str()),
            project: args.project.as_deref(),
            failed: args.failed,
        }
    }

    fn has(&self, line: &AuditLine) -> bool {
        let record = &line.record;
        let names = |given: Option<&str>, own: &Option<String>| {
            given.is_none() || given == own.as_deref() || given == record.target.as_deref()
        };
        let late = self
            .since
            .is_none_or(|since| line.moment().is_none_or(|at| at >= since));
        late && names(self.client, &record.client)
            && names(self.project, &record.project)
            && (!self.failed || line.is_failure())
    }
}

/// A line for people: when, what came of it, what, who, from where, and what else there is to say.
fn row(line: &AuditLine) -> String {
    let record = &line.record;
    let time = line.time.get(..19).unwrap_or(&line.time).replace('T', " ");
    let outcome = match (&record.code, &record.reason) {
        (Some(code), Some(reason)) => format!("{code} ({reason})"),
        (Some(code), None) => code.to_string(),
        (None, _) => "-".to_owned(),
    };
    let what = match (&*record.event, &record.call) {
        ("call", Some(call)) => call.to_string(),
        (event, Some(call)) => format!("{call} {event}"),
        (event, None) => event.to_owned(),
    };
    let who = match (&record.project, &record.client) {
        (Some(project), Some(client)) => {
            format!("{project} ({}…)", client.get(..8).unwrap_or(client))
        }
        _ => "-".to_owned(),
    };
    let from = record.address.as_deref().or(record.door.as_deref());
    let from = from.unwrap_or("-");
    let more = details(record).join(", ");
    let row = format!("{time}  {outcome:<30}  {what:<16}  {who:<24}  {from:<15}  {more}");
    printable(row.trim_end())
}

/// What a line says besides.
fn details(record: &AuditRecord) -> Vec<String> {
    let mut details = Vec::new();
    let mut say = |text: Option<String>| details.extend(text);
    let target = record.target.as_deref();
    say(record
        .change
        .as_ref()
        .map(|change| format!("{change} {}", target.unwrap_or_default())));
    say(record.entries.map(|n| count(n, "entry", "entries")));
    say(record.bytes.map(|n| count(n, "byte", "bytes")));
    say(record
        .claimed_origin
        .as_ref()
        .map(|origin| format!("claimed to be {origin}")));
    say(record
        .suppressed
        .map(|n| format!("{} without a line", count(n, "failure", "failures"))));
    say(record
        .refused
        .map(|n| format!("{} refused", count(n, "call", "calls"))));
    say(record
        .lost
        .map(|n| format!("{} lost", count(n, "line", "lines"))));
    say(record
        .since
        .as_ref()
        .map(|since| format!("not on record since {since}")));
    say(record.torn.map(|n| {
        format!(
            "behind {} of a write that was cut off",
            count(n, "byte", "bytes")
        )
    }));
    say(record
        .damage
        .as_ref()
        .map(|damage| format!("the file was {damage}")));
    say(record
        .version
        .as_ref()
        .map(|version| format!("version {version}")));
    say(record.pid.map(|pid| format!("process {pid}")));
    say(record.micros.map(duration));
    details
}

/// Microseconds, in the unit that suits them.
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_unit_that_suits_them() {
        let shown = [999, 1_234, 61_900_000].map(duration);
        assert_eq!(shown, ["999 µs", "1.2 ms", "61.9 s"]);
    }
}
