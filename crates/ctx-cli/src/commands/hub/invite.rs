//! `ctx hub invite`: prints the command that registers a project.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use ctx_hub::client::{HubAddress, HubHealth, NewlyInvited};
use ctx_hub::types::ProjectName;
use serde::Serialize;

use super::target::{self, Target};
use crate::args::InviteArgs;
use crate::commands::Cx;
use crate::error::CliError;
use crate::ui::{Report, when};

/// A project that is invited. The invitation is shown this once.
#[derive(Serialize)]
pub(super) struct InviteReport {
    command: String,
    invitation: String,
    invitation_id: String,
    project: String,
    address: String,
    uses: u32,
    /// Unix seconds.
    expires_at: i64,
}

impl Report for InviteReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.command)
    }
}

/// How projects reach the hub.
struct Reach {
    /// With its scheme, if it takes one.
    address: String,
    /// Of its certificate, lower-case hex; empty when there is nothing to pin.
    fingerprint: String,
}

/// Invites a project.
///
/// # Errors
/// The project is registered already, nobody can tell where the hub is reached, or the hub does not
/// answer.
pub(super) async fn run(args: &InviteArgs, cx: &Cx) -> Result<InviteReport, CliError> {
    let target = target::find(&args.target, cx).await?;
    let made = make(args, &target).await;
    let closed = target.close().await;
    let (reach, made) = made?;
    closed?;
    if is_of_this_machine(&reach.address) {
        cx.screen.warning(
            &format!("{} is an address of this machine alone", reach.address),
            Some("give the one that the project reaches with --address"),
        );
    }
    let until = when(made.info.expires_at);
    let id = &made.info.id;
    cx.screen.notice(&format!(
        "run this where {project} is, until {until}; `ctx hub invitations end {id}` ends it:",
        project = args.project
    ));
    Ok(InviteReport {
        command: command(&reach, made.invitation.expose(), &args.project),
        invitation: made.invitation.expose().to_owned(),
        invitation_id: id.to_string(),
        project: made.info.project,
        address: reach.address,
        uses: made.info.uses,
        expires_at: made.info.expires_at,
    })
}

/// Makes the invitation, once it is known that its address can be told.
async fn make(args: &InviteArgs, target: &Target) -> Result<(Reach, NewlyInvited), CliError> {
    let health = target.health().await?;
    let known = match (&args.address, &args.target.hub) {
        (Some(given), _) => Some(given.to_string()),
        (None, Some(dialled)) => Some(dialled.to_string()),
        (None, None) => bound(&health),
    };
    if known.is_none() && health.pid == 0 {
        return Err(CliError::usage(
            "no hub runs there, so where projects reach it cannot be told",
        )
        .hint("give the address with --address"));
    }
    let made = target
        .invite(&args.project, args.expires, args.uses)
        .await?;
    // What was typed goes before what the settings say, and that before what was found out.
    let address = match (&args.address, &made.public_address) {
        (None, Some(public)) => public.clone(),
        _ => known.unwrap_or_default(),
    };
    Ok((reach(address, &health), made))
}

/// `address` as projects have to write it.
fn reach(address: String, _health: &HubHealth) -> Reach {
    Reach {
        address,
        fingerprint: String::new(),
    }
}

/// Where the hub listens; the name of this machine in place of all its addresses.
fn bound(health: &HubHealth) -> Option<String> {
    let first = health.addresses.first()?;
    match first.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            let host = ctx_io::process::host();
            Some(format!("{host}:{}", address.port()))
        }
        _ => Some(first.clone()),
    }
}

fn is_of_this_machine(address: &str) -> bool {
    let Ok(address) = address.parse::<HubAddress>() else {
        return false;
    };
    let host = address.host();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The line that registers the project.
fn command(reach: &Reach, invitation: &str, project: &ProjectName) -> String {
    let mut line = format!("ctx connect register {}", quoted(&reach.address));
    if !reach.fingerprint.is_empty() {
        line.push_str(&format!(" --fingerprint {}", reach.fingerprint));
    }
    line.push_str(&format!(" --invitation {invitation}"));
    let project = project.as_str();
    // What begins with a dash would be read as an option.
    let between = if project.starts_with('-') { '=' } else { ' ' };
    line.push_str(&format!(" --project{between}{}", quoted(project)));
    line
}

/// `text` as one word of a shell's line.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=[]".contains(c);
    let brackets = text.contains(['[', ']']);
    if !text.is_empty() && !brackets && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(address: &str, fingerprint: &str, project: &str) -> String {
        let reach = Reach {
            address: address.to_owned(),
            fingerprint: fingerprint.to_owned(),
        };
        command(&reach, "ctx_inv_0", &project.parse().unwrap())
    }

    #[test]
    fn the_line_survives_a_shell_whatever_the_project_is_called() {
        assert_eq!(
            line("https://hub:9900", "00ff", "billing"),
            "ctx connect register https://hub:9900 --fingerprint 00ff --invitation ctx_inv_0 \
             --project billing"
        );
        assert_eq!(
            line("hub:9900", "", "it's $HOME; rm -rf /"),
            "ctx connect register hub:9900 --invitation ctx_inv_0 --project 'it'\\''s $HOME; rm -rf /'"
        );
        assert!(line("hub:9900", "", "-x").ends_with(" --project=-x"));
        assert!(line("[::1]:9900", "", "p").contains(" '[::1]:9900' "));
    }

    #[test]
    fn an_address_of_this_machine_alone_is_told() {
        for address in ["127.0.0.1:9900", "[::1]:9900", "localhost:9900"] {
            assert!(is_of_this_machine(address), "{address}");
        }
        for address in ["hub.example:9900", "10.0.0.7:9900"] {
            assert!(!is_of_this_machine(address), "{address}");
        }
    }
}
