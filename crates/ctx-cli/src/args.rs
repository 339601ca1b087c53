//! What can be typed: data only. Every command's help ends with examples.

use camino::Utf8PathBuf;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ctx_config::paths;

mod connect;
mod hub;
mod trust;
mod types;

pub(crate) use connect::{
    Connect, ListenArgs, MoveArgs, PublishArgs, RegisterArgs, RotateArgs, StatusArgs,
    SubscribeArgs, SyncArgs, TimeoutArgs, UnlockArgs, VerifyArgs,
};
pub(crate) use hub::{
    AuditArgs, BackupArgs, DataDirArgs, Hub, HubStatusArgs, HubUnlockArgs, Invitations,
    InvitationsArgs, InviteArgs, RestoreArgs, RevokeArgs, StartArgs, TargetArgs, Token,
};
pub(crate) use trust::TrustArgs;
pub(crate) use types::Since;

/// Carry decisions, learnings, conventions and tasks from one project to the others
#[derive(Debug, Parser)]
#[command(
    name = "ctx",
    version,
    long_about = "Carry decisions, learnings, conventions and tasks from one project to the others.\n\n\
        A project keeps its knowledge as plain files in .context/. A hub carries the entries worth \
        sharing to other projects, where they land in .context/hub/ as Markdown.",
    after_help = "Examples:\n  \
        ctx demo                                       # the whole story in one command\n  \
        ctx hub start                                  # serve a hub on this machine\n  \
        ctx init                                       # set up a project\n  \
        ctx connect register 127.0.0.1:9900 --token -  # make it known to the hub\n  \
        ctx connect sync                               # bring its mirror up to date",
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Write one JSON document to standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors and warnings; a JSON document is still written
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// The folder that ctx keeps in a project
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        value_parser = types::path(),
        default_value = paths::CONTEXT_DIR
    )]
    pub(crate) context_dir: Utf8PathBuf,
    /// Write a diagnostic log to standard error; twice for more (or set CTX_LOG to a filter)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How to write the log and messages to standard error (default: text; for a hub, what its
    /// settings say)
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// When to colour messages; NO_COLOR turns `auto` off
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

/// How a line on standard error is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create .context/ with its files; safe to repeat
    Init(InitArgs),
    /// Show the whole story: a hub and two projects in a temporary directory
    #[command(
        after_help = "Starts a hub on a free port of this machine, registers two projects, \
        publishes in one, syncs in the other, shows the mirror, and removes everything. Nothing \
        outside its temporary directory is read or written.\n\n\
        Examples:\n  ctx demo\n  ctx demo --json"
    )]
    Demo,
    /// Share entries with other projects through a hub
    #[command(visible_alias = "connection", subcommand)]
    Connect(Connect),
    /// Serve a hub and look after it
    #[command(subcommand)]
    Hub(Hub),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  \
        ctx completions bash > ~/.local/share/bash-completion/completions/ctx\n  \
        ctx completions fish > ~/.config/fish/completions/ctx.fish")]
    Completions(CompletionsArgs),
    /// Write a manual page for every command into a directory
    #[command(after_help = "Examples:\n  ctx man ~/.local/share/man/man1")]
    Man(ManArgs),
    /// Print the command-line reference as Markdown
    #[command(hide = true, after_help = "Examples:\n  ctx reference > cli.md")]
    Reference,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Leaves files alone that exist. Inside a git work tree it warns when git would \
    commit the mirror or the sealed connection file.\n\n\
    Examples:\n  ctx init\n  ctx init --gitignore"
)]
pub(crate) struct InitArgs {
    /// Add what git must not commit to .gitignore at the root of the work tree
    #[arg(long)]
    pub(crate) gitignore: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ManArgs {
    /// The directory; made when it is missing
    #[arg(value_name = "DIR", value_parser = types::path())]
    pub(crate) dir: Utf8PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn walk(command: &clap::Command, path: &str, check: &mut dyn FnMut(&str, &clap::Command)) {
        let path = format!("{path} {}", command.get_name());
        check(&path, command);
        for child in command.get_subcommands() {
            walk(child, &path, check);
        }
    }

    #[test]
    fn the_definitions_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_examples_and_every_argument_has_help() {
        walk(&Args::command(), "", &mut |path, command| {
            assert!(
                command.get_about().is_some(),
                "{path} says nothing of itself"
            );
            let after = command.get_after_help().map(ToString::to_string);
            assert!(
                after.is_some_and(|text| text.contains("Examples:\n")),
                "{path} shows no example"
            );
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{path} {} has no help",
                    argument.get_id()
                );
            }
        });
    }

    #[test]
    fn connect_is_also_spelled_connection() {
        let args = Args::try_parse_from(["ctx", "connection", "sync"]).unwrap();
        assert!(matches!(args.command, Command::Connect(Connect::Sync(_))));
    }
}
