//! `ctx connect …`

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use ctx_hub::client::HubAddress;
use ctx_hub::types::{EntryId, EntryType, ProjectName};

use super::{TrustArgs, types};

/// What a project does with its hub.
#[derive(Debug, Subcommand)]
#[command(
    about = "Share entries with other projects through a hub",
    after_help = "Examples:\n  \
        ctx connect register https://hub.example:9900 --token -\n  \
        ctx connect subscribe decision convention\n  \
        ctx connect publish decision \"Dates are UTC everywhere\"\n  \
        ctx connect sync"
)]
pub(crate) enum Connect {
    /// Make this project known to a hub, and keep its token sealed
    Register(RegisterArgs),
    /// Reach the hub at another address or another way, with the same token
    Move(MoveArgs),
    /// Choose which types of entries to mirror
    Subscribe(SubscribeArgs),
    /// Send an entry to the hub
    Publish(PublishArgs),
    /// Bring the mirror up to date
    Sync(SyncArgs),
    /// Stay, and mirror entries as they arrive
    Listen(ListenArgs),
    /// Show the hub, the project, the mirror, its lock and what is queued
    Status(StatusArgs),
    /// Replace the project's token; the old one goes on for a short while
    Rotate(RotateArgs),
    /// Show the sync lock; remove it when its holder is dead
    Unlock(UnlockArgs),
    /// Find what is wrong with the mirror, and mend it
    Verify(VerifyArgs),
}

/// How patient to be with the hub.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub(crate) struct TimeoutArgs {
    /// How long the hub may stay silent before it counts as unreachable (default: 5s to connect,
    /// 15s for an answer, 30s within a stream)
    #[arg(long, value_name = "DURATION", value_parser = types::deadline)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "A project registers with an invitation, which `ctx hub invite` prints with the \
    whole command, or with the hub's admin token. Neither is kept. What others on the machine can \
    see in the list of processes is no place for the admin token: give it on standard input or in \
    CTX_HUB_ADMIN_TOKEN.\n\n\
    The project's own token is sealed before the hub is asked. When the answer was lost, the same \
    command again is answered the same registration.\n\n\
    A hub on another machine is asked over TLS. Its certificate has to come from an authority that \
    this machine trusts, unless --ca-cert or --fingerprint says whom to trust instead.\n\n\
    Examples:\n  \
    ctx connect register hub.example:9900 --invitation ctx_inv_… --project billing\n  \
    ctx connect register 127.0.0.1:9900 --token - < ~/.ctx/hub-data/admin.token\n  \
    ctx connect register https://hub.example --project billing --token ctx_adm_…\n  \
    CTX_HUB_ADMIN_TOKEN=ctx_adm_… ctx connect register https://10.0.0.7 --fingerprint 3f5e…"
)]
pub(crate) struct RegisterArgs {
    /// The hub: `https://` and host, host:port or `[v6]:port`; on this machine also without https
    #[arg(value_name = "HUB", value_parser = types::hub_address)]
    pub(crate) hub: HubAddress,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// The hub's admin token, or - to read it from standard input (default: CTX_HUB_ADMIN_TOKEN)
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub(crate) token: Option<String>,
    /// An invitation for this project, or - to read it from standard input (default:
    /// CTX_HUB_INVITATION, which goes before the admin token there)
    #[arg(
        long,
        value_name = "INVITATION",
        allow_hyphen_values = true,
        conflicts_with = "token"
    )]
    pub(crate) invitation: Option<String>,
    /// The project's name at the hub (default: the name of the directory that holds .context/)
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<ProjectName>,
    /// Register anew although this project is registered already
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "For a hub that moved, that speaks TLS now, or whose certificate was renewed. The \
    project keeps its token, its mirror and what is queued. Before anything is changed, the hub is \
    asked whether it knows the token and has the log that the mirror was made from.\n\n\
    Examples:\n  \
    ctx connect move https://hub.example\n  \
    ctx connect move https://10.0.0.7 --fingerprint 3f5e…\n  \
    ctx connect move https://hub.example --ca-cert company.pem"
)]
pub(crate) struct MoveArgs {
    /// The hub: `https://` and host, host:port or `[v6]:port`; on this machine also without https
    #[arg(value_name = "HUB", value_parser = types::hub_address)]
    pub(crate) hub: HubAddress,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Replaces the earlier choice. Types that are new to the choice arrive from \
    their first entry on with the next sync.\n\n\
    Examples:\n  ctx connect subscribe decision convention\n  ctx connect subscribe --all"
)]
#[group(id = "choice", required = true, multiple = false)]
pub(crate) struct SubscribeArgs {
    /// Types to mirror
    #[arg(value_name = "TYPE", value_parser = types::entry_type(), group = "choice")]
    pub(crate) types: Vec<EntryType>,
    /// Mirror every type
    #[arg(long, group = "choice")]
    pub(crate) all: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The text is sent as it is given, up to 1,048,576 bytes of UTF-8. When the \
    answer of the hub was lost, the same entry is sent again and stored once.\n\n\
    When the hub cannot be reached or has no room, the entry is queued in .context/hub/outbox/, \
    which is no failure: the next publish, sync or listen that reaches the hub sends it, before \
    anything that is published later.\n\n\
    Examples:\n  \
    ctx connect publish decision \"Dates are UTC everywhere\"\n  \
    ctx connect publish learning - < notes.md\n  \
    ctx connect publish task \"Rotate the key\" --no-queue"
)]
pub(crate) struct PublishArgs {
    /// What kind of entry it is
    #[arg(value_name = "TYPE", value_parser = types::entry_type())]
    pub(crate) entry_type: EntryType,
    /// The text, or - to read it from standard input
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: String,
    /// The entry's final id (default: a random one). Publishing the same id again stores nothing
    /// and answers the first sequence, so a repeat after a lost answer is safe
    #[arg(long, value_name = "ID", value_parser = types::entry_id)]
    pub(crate) id: Option<EntryId>,
    /// Fail when the hub cannot take the entry now; do not queue it
    #[arg(long)]
    pub(crate) no_queue: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Every entry arrives once, however many syncs run at a time and whenever \
    one of them is killed. When another one holds the lock, this one ends with exit code 3 \
    unless told to wait. What is queued is sent first.\n\n\
    Examples:\n  ctx connect sync\n  ctx connect sync --wait 30s\n  ctx connect sync --full"
)]
pub(crate) struct SyncArgs {
    /// Wait so long for the sync lock while another process holds it
    #[arg(long, value_name = "DURATION", value_parser = types::duration)]
    pub(crate) wait: Option<Duration>,
    /// Build the mirror anew from the hub's first entry on
    #[arg(long)]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Writes a line for each entry once it is in the mirror; with --json each \
    line is a document of its own. Waits for a hub that cannot be reached, dials again by itself, \
    and goes on when a full disk has space again. What is queued is sent. Ctrl-C or SIGTERM ends it \
    with exit code 0.\n\n\
    Examples:\n  ctx connect listen\n  ctx connect listen --json"
)]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "What is known here is shown even when the hub cannot be reached; the exit \
    code is 4 then.\n\n\
    Examples:\n  ctx connect status\n  ctx connect status --json"
)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Whatever runs in this project meanwhile goes on: the old token is valid until \
    the hub's overlap is over, ten minutes unless its operator chose otherwise. When this is \
    killed, the next command finishes it.\n\n\
    A sync does the same by itself when less than a third of the token's time is left. When a token \
    is in wrong hands, have the client ended with `ctx hub revoke` instead.\n\n\
    Examples:\n  ctx connect rotate\n  ctx connect rotate --json"
)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "A lock whose holder died is taken over by the next sync, so this is \
    seldom needed. A lock whose holder cannot be told (an older ctx left it, or the file system \
    has no locks) is removed only by its id.\n\n\
    Examples:\n  ctx connect unlock\n  ctx connect unlock --id legacy-1234-5678"
)]
pub(crate) struct UnlockArgs {
    /// Remove the lock of this id, because you know that nobody uses it
    #[arg(long, value_name = "LOCK_ID")]
    pub(crate) id: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Reads every mirror file and compares each entry with the hub: edits, text \
    that was not mirrored, duplicates, holes, forged entries, a damaged state, files in the \
    outbox that cannot be sent. Takes no lock and changes nothing. The exit code is 7 when something was found, and 4 when nothing was but the \
    hub could not be reached.\n\n\
    With --repair the mirror is made whole, from the hub where entries are needed; what a person \
    wrote is kept beside it.\n\n\
    Examples:\n  ctx connect verify\n  ctx connect verify --offline --json\n  \
    ctx connect verify --repair --wait 30s"
)]
pub(crate) struct VerifyArgs {
    /// Mend what was found, and verify again
    #[arg(long)]
    pub(crate) repair: bool,
    /// Do not ask the hub
    #[arg(long)]
    pub(crate) offline: bool,
    /// With --repair: wait so long for the sync lock while another process holds it
    #[arg(long, value_name = "DURATION", value_parser = types::duration, requires = "repair")]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}
