//! `ctx hub …`

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args as ClapArgs, Subcommand};
use ctx_config::{limits, wire};
use ctx_hub::client::HubAddress;
use ctx_hub::server::settings::TlsSettings;
use ctx_hub::types::{ClientId, InvitationId, ProjectName};

use super::{TrustArgs, types};

/// What an operator does with a hub.
#[derive(Debug, Subcommand)]
#[command(
    about = "Serve a hub and look after it",
    after_help = "Examples:\n  \
        ctx hub start --daemon\n  \
        ctx hub invite --project billing\n  \
        ctx hub clients\n  \
        ctx hub stop"
)]
pub(crate) enum Hub {
    /// Serve a hub
    Start(StartArgs),
    /// Let calls under way finish, then stop the hub of a data directory
    #[command(
        after_help = "Asks the hub itself, through its data directory, and waits until it \
        has ended. No process is ever signalled. When no hub runs there, the exit code is 4.\n\n\
        Examples:\n  ctx hub stop\n  ctx hub stop --data-dir /var/lib/ctx"
    )]
    Stop(DataDirArgs),
    /// Show a hub's health and figures
    #[command(
        after_help = "When no hub runs on the data directory, its figures are read from \
        the store and the exit code is 4. With --exit-code it is a probe: 0 when the hub serves and \
        can store, 1 when it cannot store, 4 when it does not answer or none runs; nothing is opened.\n\n\
        Examples:\n  ctx hub status\n  ctx hub status --exit-code --quiet\n  \
        ctx hub status --hub https://hub.example --token -"
    )]
    Status(HubStatusArgs),
    /// List every client that was ever registered
    #[command(after_help = "Works with and without a running hub.\n\n\
        Examples:\n  ctx hub clients\n  ctx hub clients --data-dir /var/lib/ctx --json")]
    Clients(TargetArgs),
    /// End a client's tokens and its streams at once
    Revoke(RevokeArgs),
    /// Invite a project: print the command that registers it
    Invite(InviteArgs),
    /// List every invitation that was ever made, or end one
    Invitations(InvitationsArgs),
    /// Look after the admin token
    #[command(subcommand)]
    Token(Token),
    /// Show the lock of a data directory; remove it when its hub is dead
    Unlock(HubUnlockArgs),
    /// Show what happened: every call, by whom, from where, and what came of it
    Audit(AuditArgs),
    /// Find what is wrong with a data directory
    #[command(
        after_help = "Reads the whole store: the integrity of the database, gaps, every entry, \
        the counts, the clients; the audit trail, line by line; and the admin token and the modes \
        of files. Works with and \
        without a running hub, and never writes. The exit code is 7 when something was found.\n\n\
        Examples:\n  ctx hub verify\n  ctx hub verify --data-dir /var/lib/ctx --json"
    )]
    Verify(DataDirArgs),
    /// Copy a data directory, with the hub running or not
    Backup(BackupArgs),
    /// Make a data directory of a backup
    Restore(RestoreArgs),
}

/// Which data directory.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct DataDirArgs {
    /// The hub's data directory (default: ~/.ctx/hub-data)
    #[arg(long, value_name = "DIR", value_parser = types::path())]
    pub(crate) data_dir: Option<Utf8PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Prints the address once it listens. SIGTERM and Ctrl-C let calls under \
    way finish first.\n\n\
    Without a certificate a hub speaks in the clear, and listens on this machine alone. With \
    --tls-cert and --tls-key, or with --tls-self-signed, it speaks TLS. The files are read again on \
    SIGHUP and when they have changed; connections that are open go on. A self-signed certificate \
    stays the same from start to start for ten years; clients pin its fingerprint, which is printed \
    at the start and by `ctx hub status`. Behind a proxy that ends TLS, listen on 127.0.0.1.\n\n\
    Examples:\n  \
    ctx hub start\n  \
    ctx hub start --port 0\n  \
    ctx hub start --config /etc/ctx/hub.toml --check\n  \
    ctx hub start --bind 10.0.0.7 --tls-self-signed --tls-name hub.example --daemon\n  \
    ctx hub start --bind 0.0.0.0 --tls-cert chain.pem --tls-key key.pem --data-dir /var/lib/ctx"
)]
pub(crate) struct StartArgs {
    /// Address to listen on: ip, ip:port or `[v6]:port`; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        value_parser = bind_address,
        default_value_t = SocketAddr::from(([127, 0, 0, 1], wire::DEFAULT_PORT))
    )]
    pub(crate) bind: SocketAddr,
    /// The same as --bind 127.0.0.1:N
    #[arg(long, value_name = "N", conflicts_with = "bind")]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) at: DataDirArgs,
    /// The settings file (default: hub.toml in the data directory, if there is one)
    #[arg(long, value_name = "FILE", value_parser = types::path())]
    pub(crate) config: Option<Utf8PathBuf>,
    /// Check what a start would read and print the settings in effect; start nothing
    #[arg(long, conflicts_with = "daemon")]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) tls: ServeTlsArgs,
    /// How long the tokens live that are issued from now on, as 90d; those issued before stay as they
    /// are (default: for ever)
    #[arg(long, value_name = "DURATION", value_parser = types::deadline)]
    pub(crate) token_ttl: Option<Duration>,
    /// Serve in the background; return once the hub answers
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Become the background process that --daemon started
    #[arg(long, hide = true, conflicts_with_all = ["daemon", "check"])]
    pub(crate) detached: bool,
}

/// With which certificate a hub speaks TLS.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct ServeTlsArgs {
    /// PEM file with the hub's certificate and those between it and its authority
    #[arg(long, value_name = "FILE", value_parser = types::path(), requires = "tls_key")]
    pub(crate) tls_cert: Option<Utf8PathBuf>,
    /// PEM file with the private key of the certificate
    #[arg(long, value_name = "FILE", value_parser = types::path(), requires = "tls_cert")]
    pub(crate) tls_key: Option<Utf8PathBuf>,
    /// Make a certificate, keep it in the data directory, and use that
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(crate) tls_self_signed: bool,
    /// A name or IP address that the self-signed certificate is also for; may be given repeatedly
    #[arg(long, value_name = "NAME", requires = "tls_self_signed")]
    pub(crate) tls_name: Vec<String>,
    /// Listen beyond this machine in the clear, although others could read tokens and entries
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key", "tls_self_signed"])]
    pub(crate) insecure: bool,
}

impl ServeTlsArgs {
    /// What was typed, to be typed again.
    pub(crate) fn given(&self) -> Vec<String> {
        let with = |flag: &str, value: &str| [flag.to_owned(), value.to_owned()];
        let flag = |given: bool, flag: &str| given.then(|| flag.to_owned());
        let files = [("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key)];
        let files = files
            .into_iter()
            .filter_map(|(name, file)| Some(with(name, file.as_ref()?.as_str())));
        let names = self.tls_name.iter().map(|name| with("--tls-name", name));
        let mut given: Vec<String> = files.chain(names).flatten().collect();
        given.extend(flag(self.tls_self_signed, "--tls-self-signed"));
        given.extend(flag(self.insecure, "--insecure"));
        given
    }

    /// Puts what was typed in place of what the settings say.
    pub(crate) fn over(&self, settings: &mut TlsSettings) {
        if self.tls_cert.is_some() || self.tls_self_signed {
            settings.cert.clone_from(&self.tls_cert);
            settings.key.clone_from(&self.tls_key);
            settings.self_signed = self.tls_self_signed;
            if !self.tls_name.is_empty() || !self.tls_self_signed {
                settings.names.clone_from(&self.tls_name);
            }
        }
    }
}

impl StartArgs {
    /// Where to listen.
    pub(crate) fn address(&self) -> SocketAddr {
        match self.port {
            Some(port) => SocketAddr::from(([127, 0, 0, 1], port)),
            None => self.bind,
        }
    }
}

/// Which hub to administer.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct TargetArgs {
    /// The hub's data directory on this machine (default: ~/.ctx/hub-data)
    #[arg(
        long,
        value_name = "DIR",
        value_parser = types::path(),
        conflicts_with_all = ["hub", "token", "ca_cert", "fingerprint", "insecure"]
    )]
    pub(crate) data_dir: Option<Utf8PathBuf>,
    /// A hub elsewhere: `https://` and host, host:port or `[v6]:port`; takes the admin token
    #[arg(long, value_name = "ADDR", value_parser = types::hub_address)]
    pub(crate) hub: Option<HubAddress>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// The admin token, or - to read it from standard input (default: CTX_HUB_ADMIN_TOKEN)
    #[arg(
        long,
        value_name = "TOKEN",
        allow_hyphen_values = true,
        requires = "hub"
    )]
    pub(crate) token: Option<String>,
    #[command(flatten)]
    pub(crate) timeout: super::TimeoutArgs,
}

/// How a hub is.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct HubStatusArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Say with the exit code whether the hub serves and can store
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Prints one line, to be run in the project that is invited. It is the only time \
    that the invitation is shown; the hub keeps a hash of it. It registers this one project, under \
    this name, within its time and as often as --uses says; a use more than the first is of use once \
    the client before it was revoked. Revoking a client ends the open invitations of its project. \
    Works with and without a running hub.\n\n\
    The address is the one of --address, else public_address in the hub's settings, else the one \
    that the hub is bound to, with the name of this machine when it is bound to all of them.\n\n\
    Examples:\n  \
    ctx hub invite --project billing\n  \
    ctx hub invite --project billing --expires 2h --address hub.example:9900\n  \
    ctx hub invite --project billing --data-dir /var/lib/ctx --json"
)]
pub(crate) struct InviteArgs {
    /// The name of the project, under which it registers
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) project: ProjectName,
    /// How long it can be used, at most 30 days
    #[arg(long, value_name = "DURATION", value_parser = types::invitation_ttl, default_value = "24h")]
    pub(crate) expires: Duration,
    /// How often it can be used, at most 1,000 times
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::INVITATION_USES_MAX)),
        default_value_t = 1
    )]
    pub(crate) uses: u32,
    /// Where projects reach the hub: host, host:port or `[v6]:port`
    #[arg(long, value_name = "ADDR", value_parser = types::hub_address)]
    pub(crate) address: Option<HubAddress>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Works with and without a running hub.\n\n\
    Examples:\n  ctx hub invitations\n  ctx hub invitations end 0123456789abcdef"
)]
pub(crate) struct InvitationsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<Invitations>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// What is done with an invitation.
#[derive(Debug, Subcommand)]
pub(crate) enum Invitations {
    /// End an invitation at once
    End(EndArgs),
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "What was registered with it stays: `ctx hub revoke` ends that.\n\n\
    Examples:\n  ctx hub invitations end 0123456789abcdef"
)]
pub(crate) struct EndArgs {
    /// The invitation, as `ctx hub invitations` lists it
    #[arg(value_name = "INVITATION_ID", value_parser = types::invitation_id)]
    pub(crate) invitation: InvitationId,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// What is done with the admin token.
#[derive(Debug, Subcommand)]
#[command(
    about = "Look after the admin token",
    after_help = "Examples:\n  ctx hub token rotate"
)]
pub(crate) enum Token {
    /// Make a new admin token in place of the one before, and show it this once
    #[command(
        after_help = "The token before is worth nothing from then on, and its file, admin.token, is \
        removed. The hub keeps a hash of the new one: keep the token where you keep secrets. Asks a \
        running hub through its data directory, never over the network; works without a running hub, \
        too. Cut off half-way, run it again.\n\n\
        Examples:\n  ctx hub token rotate\n  ctx hub token rotate --data-dir /var/lib/ctx --json"
    )]
    Rotate(DataDirArgs),
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "All its tokens end, its open streams end within a second, and so do the open \
    invitations of its project. The project's name can be registered again with the admin token, or \
    with an invitation that is made afterwards. Works with and without a running hub.\n\n\
    Examples:\n  ctx hub revoke 0123456789abcdef0123456789abcdef\n  \
    ctx hub revoke --project billing"
)]
#[group(id = "whom", required = true, multiple = false, args = ["client", "project"])]
pub(crate) struct RevokeArgs {
    /// The client, as `ctx hub clients` lists it
    #[arg(value_name = "CLIENT_ID", value_parser = types::client_id)]
    pub(crate) client: Option<ClientId>,
    /// The client of this project
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<ProjectName>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Reads the audit trail in the data directory, the oldest line first, with and \
    without a running hub. With --json, every line is one JSON document, as it stands in the \
    trail. What is damaged is told on standard error and skipped. Times are UTC.\n\n\
    Examples:\n  \
    ctx hub audit\n  \
    ctx hub audit --follow\n  \
    ctx hub audit --failed --since 24h\n  \
    ctx hub audit --project alpha -n 20\n  \
    ctx hub audit --since 2026-11-23T08:00:00Z --json"
)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) at: DataDirArgs,
    /// Stay, and show lines as they are written; Ctrl-C ends it
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only what was written since then: 30m or 24h ago, or from a date or a time (UTC) on
    #[arg(long, value_name = "DURATION|TIME", value_parser = types::since)]
    pub(crate) since: Option<types::Since>,
    /// Only what is about this client
    #[arg(long, value_name = "CLIENT_ID", value_parser = types::client_id)]
    pub(crate) client: Option<ClientId>,
    /// Only what is about this project
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Only what was refused or failed
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only the last lines; with --follow, so many before those that follow (default there: 10)
    #[arg(long, short = 'n', value_name = "LINES")]
    pub(crate) lines: Option<usize>,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The lock of a hub that died is taken over by the next one, so this is seldom \
    needed. A lock whose holder cannot be told (it is damaged, or the file system has no locks) is \
    removed only by its id.\n\n\
    Examples:\n  ctx hub unlock\n  ctx hub unlock --data-dir /var/lib/ctx --id legacy-1234-5678"
)]
pub(crate) struct HubUnlockArgs {
    #[command(flatten)]
    pub(crate) at: DataDirArgs,
    /// Remove the lock of this id, because you know that no hub uses it
    #[arg(long, value_name = "LOCK_ID")]
    pub(crate) id: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The directory appears whole, after the copy was looked through as `ctx hub verify` \
    does, or not at all. It holds the store as it was at one moment, and a manifest with the SHA-256 \
    of each file. It never holds the admin token. Publishers go on meanwhile.\n\n\
    Examples:\n  \
    ctx hub backup /var/backups/ctx/monday\n  \
    ctx hub backup /var/backups/ctx/monday --data-dir /var/lib/ctx --json"
)]
pub(crate) struct BackupArgs {
    /// The directory to make; one that exists has to be empty
    #[arg(value_name = "DIR", value_parser = types::path())]
    pub(crate) dir: Utf8PathBuf,
    #[command(flatten)]
    pub(crate) at: DataDirArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Compares every file with the manifest and looks through the store before the data \
    directory appears. One that exists has to be empty: move the old one away first, and keep it. \
    What was published after the backup is gone from the hub, and tokens that were ended after it \
    are good again.\n\n\
    Examples:\n  ctx hub restore /var/backups/ctx/monday --data-dir /var/lib/ctx"
)]
pub(crate) struct RestoreArgs {
    /// The directory that `ctx hub backup` made
    #[arg(value_name = "BACKUP", value_parser = types::path())]
    pub(crate) backup: Utf8PathBuf,
    #[command(flatten)]
    pub(crate) at: DataDirArgs,
}

/// An address to listen on. A name is refused: which interface it means can change.
fn bind_address(text: &str) -> Result<SocketAddr, BadBind> {
    let whole = text.parse::<SocketAddr>();
    whole.or_else(|_| {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>()
            .map(|ip| SocketAddr::new(ip, wire::DEFAULT_PORT))
            .map_err(|_| BadBind)
    })
}

#[derive(Debug, thiserror::Error)]
#[error("write an IP address and a port, as 127.0.0.1:9900 or [::1]:9900")]
struct BadBind;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_address_may_leave_out_the_port() {
        let read = |text| bind_address(text).map(|address| address.to_string());
        assert_eq!(read("10.0.0.7").unwrap(), "10.0.0.7:9900");
        assert_eq!(read("[::1]").unwrap(), "[::1]:9900");
        assert_eq!(read("[::1]:0").unwrap(), "[::1]:0");
        assert!(read("localhost:9900").is_err());
        assert!(read("10.0.0.7:99999").is_err());
    }
}
