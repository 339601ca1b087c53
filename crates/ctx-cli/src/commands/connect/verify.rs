//! `ctx connect verify`: what is wrong with the mirror, and mending it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use camino::Utf8PathBuf;
use ctx_config::paths::UserDir;
use ctx_hub::client::HubClient;
use ctx_hub::connection::{Connection, ConnectionError};
use ctx_hub::sync::verify::{self, HubCheck, Mend, VerifyProgress};
use ctx_hub::sync::{SyncError, SyncOptions};
use ctx_hub::types::TypeSet;
use ctx_io::Wait;
use serde::Serialize;

use super::token;
use crate::args::VerifyArgs;
use crate::commands::findings::{self, Row};
use crate::commands::{Cx, convert};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::signals;
use crate::ui::{ErrorDocument, Report, count};

/// What was found, and what was done about it.
#[derive(Debug, Serialize)]
struct VerifyReport {
    /// Whether nothing is wrong, as far as was looked.
    clean: bool,
    findings: Vec<Row>,
    /// Findings that are not listed.
    more: u64,
    entries: u64,
    files: BTreeMap<&'static str, FileReport>,
    /// Changed files that were kept, now or earlier.
    set_aside: Vec<Utf8PathBuf>,
    /// Whether a sync was at work, whose uncommitted part was not looked at.
    busy: bool,
    /// `compared`, `not_asked` or `failed`.
    hub: &'static str,
    /// Why the hub was not compared with.
    error: Option<crate::ui::ErrorBody>,
    /// What was mended; `null` without `--repair`.
    repaired: Option<Vec<MendReport>>,
    /// What to do next.
    hint: Option<String>,
}

/// What a mirror file holds.
#[derive(Debug, Serialize)]
struct FileReport {
    entries: u64,
    bytes: u64,
    /// Entries of an older ctx, which carry no sequence and were not compared.
    older: u64,
}

/// One thing that was mended.
#[derive(Debug, Serialize)]
struct MendReport {
    /// `closed`, `moved_aside`, `swept`, `cut`, `state_made` or `rebuilt`.
    what: &'static str,
    path: Option<Utf8PathBuf>,
    /// Where what was changed is kept.
    kept: Vec<Utf8PathBuf>,
}

impl Report for VerifyReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for mend in self.repaired.iter().flatten() {
            mend.text(out)?;
        }
        findings::write(out, &self.findings, self.more)?;
        let entries = count(self.entries, "entry", "entries");
        let compared = match self.hub {
            "compared" => "compared with the hub",
            _ => "not compared with the hub",
        };
        if self.clean {
            writeln!(out, "nothing is wrong: {entries}, {compared}")?;
        } else {
            let summary = findings::summary(&self.findings, self.more);
            writeln!(out, "{summary}; {entries}, {compared}")?;
        }
        let older: u64 = self.files.values().map(|file| file.older).sum();
        if older > 0 {
            let older = count(older, "entry", "entries");
            writeln!(
                out,
                "{older} of an older ctx without a sequence could not be compared"
            )?;
        }
        if self.busy {
            writeln!(
                out,
                "a sync is at work: what it has not committed was not looked at"
            )?;
        }
        match &self.hint {
            Some(hint) => writeln!(out, "next: {hint}"),
            None => Ok(()),
        }
    }
}

impl MendReport {
    fn of(mend: Mend) -> Self {
        let report = |what, path, kept| Self { what, path, kept };
        match mend {
            Mend::Closed { path } => report("closed", Some(path), Vec::new()),
            Mend::MovedAside { path, to } => report("moved_aside", Some(path), vec![to]),
            Mend::Swept { path } => report("swept", Some(path), Vec::new()),
            Mend::Cut { path, kept } => report("cut", Some(path), kept.into_iter().collect()),
            Mend::StateMade { path } => report("state_made", Some(path), Vec::new()),
            Mend::Rebuilt { set_aside } => report("rebuilt", None, set_aside),
            _ => report("mended", None, Vec::new()),
        }
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = self.path.as_ref().map_or("", |path| path.as_str());
        match self.what {
            "closed" => writeln!(out, "closed {path} to others")?,
            "moved_aside" => writeln!(out, "moved {path} aside")?,
            "swept" => writeln!(out, "cleared away {path}")?,
            "cut" => writeln!(out, "cut from {path} what was not mirrored")?,
            "state_made" => writeln!(out, "made {path} again from the mirror")?,
            _ => writeln!(out, "built the mirror anew from the hub")?,
        }
        self.kept
            .iter()
            .try_for_each(|path| writeln!(out, "kept {path}"))
    }
}

/// The hub to compare with, or why there is none.
struct Hub {
    client: Option<HubClient>,
    types: TypeSet,
    failed: Option<CliError>,
}

/// Verifies, and mends if told so.
///
/// # Errors
/// The project is not set up; with `--repair` also that the lock is held, or what a full sync fails
/// with. What is wrong with the mirror is in the report, and in the exit code.
pub(super) async fn run(args: &VerifyArgs, cx: &Cx) -> Result<Exit, CliError> {
    cx.require_context()?;
    let user = cx.user_dir()?;
    let ended = signals::told_to_end()?;
    let hub = find(args, cx, &user).await?;
    let (client, failed) = (hub.client.as_ref(), hub.failed);
    let mut tell = |progress: VerifyProgress| cx.screen.progress(&in_words(progress));
    let work = async {
        if !args.repair {
            let report = verify::verify(&cx.context, Some(&user), client, &mut tell).await;
            return Ok((report.map_err(convert::sync)?, None));
        }
        let options = options(args);
        let repaired = verify::repair(
            &cx.context,
            Some(&user),
            &hub.types,
            client,
            &options,
            &mut tell,
        );
        let repaired = repaired.await.map_err(convert::sync)?;
        let done = repaired.done.into_iter().map(MendReport::of).collect();
        Ok((repaired.after, Some(done)))
    };
    let done = tokio::select! {
        done = work => done,
        () = ended => Err(CliError::new(Exit::Failed, "the verification was interrupted")
            .hint("run it again; what a repair had done stays done")),
    };
    cx.screen.progress("");
    let (found, repaired) = done?;
    show(found, repaired, failed, cx)
}

fn show(
    found: verify::VerifyReport,
    repaired: Option<Vec<MendReport>>,
    failed: Option<CliError>,
    cx: &Cx,
) -> Result<Exit, CliError> {
    let hint = found.hint();
    let (hub, failed) = match (found.hub, failed) {
        (HubCheck::Compared(_), _) => ("compared", None),
        (_, Some(error)) => ("failed", Some(error)),
        // A finding already.
        (HubCheck::Failed(error), _) if matches!(*error, SyncError::Diverged { .. }) => {
            ("failed", None)
        }
        (HubCheck::Failed(error), _) => ("failed", Some(convert::sync(*error))),
        _ => ("not_asked", None),
    };
    let files = found.files.iter().map(|(entry_type, file)| {
        let report = FileReport {
            entries: file.entries,
            bytes: file.bytes,
            older: file.older,
        };
        (entry_type.as_str(), report)
    });
    let report = VerifyReport {
        clean: found.findings.is_empty(),
        more: found.more,
        entries: found.files.values().map(|file| file.entries).sum(),
        files: files.collect(),
        set_aside: found.set_aside,
        busy: found.busy,
        hub,
        error: failed.as_ref().map(ErrorDocument::body),
        repaired,
        hint,
        findings: found.findings.into_iter().map(row).collect(),
    };
    cx.screen.show(&report)?;
    if let Some(error) = &failed {
        cx.screen.error_text(error);
    }
    Ok(match failed {
        _ if !report.clean => Exit::Damaged,
        Some(error) => error.exit(),
        None => Exit::Done,
    })
}

fn row(finding: verify::Finding) -> Row {
    Row {
        path: finding.path,
        line: finding.line,
        sequence: finding.sequence.map(ctx_hub::types::Sequence::get),
        id: finding.id,
        kind: finding.kind.as_str(),
        detail: finding.detail,
    }
}

/// Dials the hub. A project that was never registered and has no mirror has nothing to verify.
async fn find(args: &VerifyArgs, cx: &Cx, user: &UserDir) -> Result<Hub, CliError> {
    let mut hub = Hub {
        client: None,
        types: TypeSet::all(),
        failed: None,
    };
    let connection = match Connection::load(&cx.context, user) {
        Ok(connection) if args.offline => connection,
        Ok(_) => token::open(args.timeout, "ctx connect verify", cx).await?,
        Err(error @ ConnectionError::NotRegistered { .. })
            if !cx.context.mirror().path().exists() =>
        {
            return Err(convert::connection(error));
        }
        // What is wrong with it is a finding.
        Err(_) => return Ok(hub),
    };
    hub.types = connection.types.clone();
    if !args.offline {
        match super::dial(&connection, super::timeouts(args.timeout), cx).await {
            Ok(client) => hub.client = Some(client),
            Err(error) => hub.failed = Some(error),
        }
    }
    Ok(hub)
}

fn options(args: &VerifyArgs) -> SyncOptions {
    SyncOptions {
        wait: args.wait.map_or(Wait::No, Wait::UpTo),
        command: "ctx connect verify --repair".to_owned(),
        version: env::VERSION.to_owned(),
        full: false,
    }
}

fn in_words(progress: VerifyProgress) -> String {
    match progress {
        VerifyProgress::Hub { entries } => format!("asking the hub: {entries} entries"),
        VerifyProgress::Files { bytes, total } => {
            let percent = bytes.saturating_mul(100) / total.max(1);
            format!("reading the mirror: {percent}%")
        }
        _ => String::new(),
    }
}
