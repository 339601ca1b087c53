//! `ctx hub invite`: prints the command that registers a project.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use ctx_hub::client::{HubAddress, HubHealth, NewlyInvited, Scheme};
use ctx_hub::types::{Fingerprint, ProjectName};
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
    /// Of a certificate that no authority vouches for.
    fingerprint: Option<Fingerprint>,
    /// That a project has to insist, for nothing is encrypted on the way.
    insecure: bool,
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
fn reach(address: String, health: &HubHealth) -> Reach {
    let Ok(known) = address.parse::<HubAddress>() else {
        // Said by the hub's own settings, which its operator has to mend.
        return Reach {
            address,
            fingerprint: None,
            insecure: false,
        };
    };
    let scheme = known.scheme().or_else(|| scheme(&known, health));
    let address = match scheme {
        Some(scheme) => known.clone().with_scheme(scheme),
        None => known.clone(),
    };
    let is_clear = scheme == Some(Scheme::Clear);
    Reach {
        fingerprint: health
            .fingerprint
            .clone()
            .filter(|_| health.self_signed && !is_clear),
        insecure: is_clear && !known.is_loopback(),
        address: address.to_string(),
    }
}

/// What an address without a scheme means: what the hub speaks, and where it speaks in the clear on
/// its own machine alone, what a proxy before it has to.
fn scheme(address: &HubAddress, health: &HubHealth) -> Option<Scheme> {
    let is_local = |bound: &String| {
        let bound = bound.parse::<SocketAddr>();
        bound.is_ok_and(|bound| bound.ip().is_loopback())
    };
    if health.encrypted {
        Some(Scheme::Tls)
    } else if address.is_loopback() || health.addresses.is_empty() {
        // Of a hub that does not run nobody can tell.
        None
    } else if health.addresses.iter().all(is_local) {
        Some(Scheme::Tls)
    } else {
        Some(Scheme::Clear)
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
    if let Some(fingerprint) = &reach.fingerprint {
        line.push_str(&format!(" --fingerprint {fingerprint}"));
    }
    if reach.insecure {
        line.push_str(" --insecure");
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
    use std::collections::BTreeMap;

    use ctx_hub::types::Sequence;

    use super::*;

    fn line(address: &str, project: &str) -> String {
        let reach = Reach {
            address: address.to_owned(),
            fingerprint: None,
            insecure: false,
        };
        command(&reach, "ctx_inv_0", &project.parse().unwrap())
    }

    fn health(bound: &str, certificate: Option<bool>) -> HubHealth {
        HubHealth {
            hub_id: "0".repeat(32).parse().unwrap(),
            version: String::new(),
            pid: 1,
            started_at: 0,
            addresses: vec![bound.to_owned()],
            data_dir: String::new(),
            encrypted: certificate.is_some(),
            fingerprint: certificate.map(|_| "0f".repeat(32).parse().unwrap()),
            certificate_expires_at: None,
            self_signed: certificate.unwrap_or(false),
            troubles: Vec::new(),
            head: Sequence::START,
            total_entries: 0,
            connected_clients: 0,
            registered_clients: 0,
            entries_by_type: BTreeMap::new(),
            entries_by_project: BTreeMap::new(),
        }
    }

    #[test]
    fn the_line_says_how_the_hub_is_asked() {
        let pin = format!(" --fingerprint {}", "0f".repeat(32));
        for (address, bound, certificate, expected) in [
            // What the hub speaks, with the pin of what nobody vouches for.
            (
                "hub",
                "10.0.0.7:9900",
                Some(true),
                format!("https://hub:9900{pin}"),
            ),
            (
                "hub",
                "10.0.0.7:9900",
                Some(false),
                "https://hub:9900".to_owned(),
            ),
            ("127.0.0.1:7", "127.0.0.1:7", None, "127.0.0.1:7".to_owned()),
            // Before a hub that speaks in the clear on its own machine stands a proxy.
            ("hub", "127.0.0.1:7", None, "https://hub:9900".to_owned()),
            (
                "hub",
                "10.0.0.7:9900",
                None,
                "http://hub:9900 --insecure".to_owned(),
            ),
            // What was written counts.
            (
                "http://hub",
                "127.0.0.1:7",
                None,
                "http://hub:9900 --insecure".to_owned(),
            ),
            (
                "https://hub:1",
                "10.0.0.7:1",
                Some(true),
                format!("https://hub:1{pin}"),
            ),
        ] {
            let reach = reach(address.to_owned(), &health(bound, certificate));
            let line = command(&reach, "ctx_inv_0", &"p".parse().unwrap());
            let expected =
                format!("ctx connect register {expected} --invitation ctx_inv_0 --project p");
            assert_eq!(line, expected, "{address} {bound}");
        }
    }

    #[test]
    fn the_line_survives_a_shell_whatever_the_project_is_called() {
        assert_eq!(
            line("https://hub:9900", "billing"),
            "ctx connect register https://hub:9900 --invitation ctx_inv_0 --project billing"
        );
        assert_eq!(
            line("hub:9900", "it's $HOME; rm -rf /"),
            "ctx connect register hub:9900 --invitation ctx_inv_0 --project 'it'\\''s $HOME; rm -rf /'"
        );
        assert!(line("hub:9900", "-x").ends_with(" --project=-x"));
        assert!(line("[::1]:9900", "p").contains(" '[::1]:9900' "));
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
