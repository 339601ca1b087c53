//! `ctx connect register`: exchanges an invitation or the admin token for a client token and keeps it
//! sealed.

use std::io::{self, Write};

use camino::Utf8PathBuf;
use ctx_hub::client::{Admission, ClientError, HubClient, Registration};
use ctx_hub::connection::Pending;
use ctx_hub::types::ProjectName;
use serde::Serialize;

use crate::args::RegisterArgs;
use crate::commands::{Cx, convert, route, token};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{Report, count, when};

/// A project that a hub knows now.
#[derive(Debug, Serialize)]
pub(crate) struct RegisterReport {
    project: String,
    hub: String,
    client_id: String,
    /// When its token expires, in Unix seconds; `null` when it does not.
    expires_at: Option<i64>,
    connection_file: Utf8PathBuf,
    /// How many entries wait, and go to this hub.
    queued: usize,
}

impl Report for RegisterReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { project, hub, .. } = self;
        writeln!(out, "registered {project} with the hub at {hub}")?;
        writeln!(out, "client {}", self.client_id)?;
        if let Some(moment) = self.expires_at {
            writeln!(out, "the token expires {}", when(moment))?;
        }
        if self.queued == 0 {
            return Ok(());
        }
        let queued = u64::try_from(self.queued).unwrap_or(u64::MAX);
        let entries = count(queued, "queued entry goes", "queued entries go");
        writeln!(
            out,
            "{entries} to this hub with the next publish, sync or listen"
        )
    }
}

/// Registers the project. Everything on this side is checked before the hub is asked, and its token is
/// sealed before: cut off at any instant, the same command is answered the same registration.
///
/// # Errors
/// Something on this side is missing or in the way, or the hub refuses.
pub(crate) async fn run(args: &RegisterArgs, cx: &Cx) -> Result<RegisterReport, CliError> {
    cx.require_context()?;
    let user = cx.user_dir()?;
    refuse_to_replace(args, cx)?;
    let project = project_name(args, cx)?;
    let route = route::asked(&args.hub, &args.trust, cx)?;
    let admission = token::admission(args, cx)?;
    let lock = super::token::lock("ctx connect register", cx)?;
    refuse_to_replace(args, cx)?;
    let pending = Pending::begin(&cx.context, &user, &route, &project);
    let pending = pending.map_err(convert::connection)?;
    let client = HubClient::connect(&route, super::timeouts(args.timeout))
        .await
        .map_err(convert::client)?;
    let (pending, registration) = ask(&client, &admission, &project, pending).await?;
    let Registration {
        client_id,
        expires_at,
        ..
    } = registration.clone();
    pending.finish(registration).map_err(|error| {
        convert::connection(error)
            .during(format!(
                "the hub registered client {client_id}, but its token could not be saved"
            ))
            .hint(format!(
                "run the same command again: the hub answers the same registration. If it is \
                 older and says that the project exists, have it ended with `ctx hub revoke \
                 {client_id}` first"
            ))
    })?;
    super::token::release(lock)?;
    Ok(RegisterReport {
        project: project.to_string(),
        hub: route.address.to_string(),
        client_id: client_id.to_string(),
        expires_at,
        connection_file: cx.context.connect_file(),
        queued: super::outbox::waiting(cx),
    })
}

/// Asks the hub. A token of an earlier attempt that the hub has known and ended is replaced once.
async fn ask(
    client: &HubClient,
    admission: &Admission,
    project: &ProjectName,
    pending: Pending,
) -> Result<(Pending, Registration), CliError> {
    let answered = client.register_as(admission, project, pending.token());
    match answered.await {
        Ok(registration) => Ok((pending, registration)),
        Err(ClientError::TokenInUse { .. }) => {
            let pending = pending.renew().map_err(convert::connection)?;
            let answered = client.register_as(admission, project, pending.token());
            let registration = answered.await.map_err(convert::client)?;
            Ok((pending, registration))
        }
        Err(error) => {
            let lost = matches!(
                error,
                ClientError::Gone { .. } | ClientError::Timeout { .. }
            );
            let error = convert::client(error);
            Err(if lost {
                error.hint(
                    "it may be registered: run the same command again, and the hub answers the \
                     same registration",
                )
            } else {
                error
            })
        }
    }
}

/// A registration is replaced only when told to: its token cannot be had again.
fn refuse_to_replace(args: &RegisterArgs, cx: &Cx) -> Result<(), CliError> {
    let path = cx.context.connect_file();
    if args.force || fs_err::symlink_metadata(&path).is_err() {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Failed,
        format!("this project is registered already: {path} exists"),
    )
    .hint("`ctx connect status` shows with which hub; --force replaces it"))
}

/// The name that was asked for, else that of the directory that holds the project's folder.
fn project_name(args: &RegisterArgs, cx: &Cx) -> Result<ProjectName, CliError> {
    if let Some(name) = &args.project {
        return Ok(name.clone());
    }
    let real = env::canonical(cx.context.path())?;
    let name = real.parent().and_then(|holder| holder.file_name());
    let Some(name) = name else {
        return Err(
            CliError::usage(format!("the directory that holds {real} has no name"))
                .hint("name the project with --project"),
        );
    };
    name.parse::<ProjectName>().map_err(|error| {
        CliError::usage(format!("the directory {name:?} cannot name the project"))
            .because(error)
            .hint("name the project with --project")
    })
}
