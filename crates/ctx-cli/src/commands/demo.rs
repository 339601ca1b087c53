//! `ctx demo`: the whole story, through the same code as the commands that it stands for.

use std::io;
use std::net::SocketAddr;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{self, ContextDir, DataDir};
use ctx_hub::client::HubAddress;
use ctx_hub::secret::AdminToken;
use ctx_hub::server::HubConfig;
use ctx_hub::types::EntryType;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::args::{
    InitArgs, PublishArgs, RegisterArgs, SubscribeArgs, SyncArgs, TimeoutArgs, TrustArgs,
};
use crate::commands::connect::{publish, register, subscribe, sync};
use crate::commands::hub::start::{self, Listen};
use crate::commands::{Cx, convert, init};
use crate::env;
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{Report, Screen, printable_lines};

/// The project that publishes, and the one that mirrors.
const PROJECTS: (&str, &str) = ("billing", "website");

/// What is published first, and what is published when the first has arrived.
const ENTRIES: [&str; 2] = [
    "Amounts are integers of cents\n\nFloating point lost a cent in every tenth invoice.",
    "Dates are UTC everywhere\n\nThe browser shows them in the reader's time zone.",
];

/// What the story showed.
#[derive(Debug, Serialize)]
struct DemoReport {
    steps: Vec<Step>,
    mirror_file: Utf8PathBuf,
    mirror: String,
}

/// A command, and its result.
#[derive(Debug, Serialize)]
struct Step {
    project: Option<&'static str>,
    command: String,
    result: serde_json::Value,
}

/// Tells the story in a temporary directory with a home of its own, and removes it.
///
/// # Errors
/// A command failed, or did not bring what it should.
pub(super) async fn run(cx: &Cx) -> Result<Exit, CliError> {
    let temporary = tempfile::Builder::new()
        .prefix("ctx-demo-")
        .tempdir()
        .map_err(|error| {
            CliError::new(Exit::Failed, "cannot make a temporary directory").because(error)
        })?;
    let root = Utf8Path::from_path(temporary.path())
        .ok_or_else(|| CliError::usage("the path of the temporary directory is not UTF-8"))?;
    let mut story = Story::new(root, cx);
    let told = story.tell().await;
    let removed = temporary.close();
    let mirror = told?;
    removed.map_err(|error| {
        CliError::new(Exit::Failed, "cannot remove the temporary directory").because(error)
    })?;
    if cx.screen.is_json() {
        cx.screen.json(&DemoReport {
            steps: story.steps,
            mirror_file: story.mirror_file,
            mirror,
        })?;
    } else {
        story.say("\nA hub and two projects, and nothing of it is left.\n")?;
    }
    Ok(Exit::Done)
}

/// The story so far.
struct Story<'a> {
    cx: &'a Cx,
    root: Utf8PathBuf,
    mirror_file: Utf8PathBuf,
    steps: Vec<Step>,
}

impl<'a> Story<'a> {
    fn new(root: &Utf8Path, cx: &'a Cx) -> Self {
        let website = root.join(PROJECTS.1).join(paths::CONTEXT_DIR);
        let mirror = ContextDir::new(website).mirror();
        Self {
            cx,
            root: root.to_owned(),
            mirror_file: mirror.path().join(EntryType::Decision.mirror_file()),
            steps: Vec::new(),
        }
    }

    /// Serves a hub for as long as the projects need it.
    async fn tell(&mut self) -> Result<String, CliError> {
        let data = DataDir::new(self.root.join(paths::HUB_DATA_DIR));
        let cx = self.cx_at(&self.root.clone());
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = HubConfig::new(data.clone(), env::VERSION);
        let (hub, report) = start::open(Listen::At(loopback), config, &cx).await?;
        let command = format!("ctx hub start --port 0 --data-dir {}", data.path());
        self.step(None, command, &report)?;
        let hub_addr = report.address.parse::<HubAddress>();
        let hub_addr = hub_addr.map_err(|error| convert::client(error.into()))?;
        let admin = hub
            .admin_token()
            .cloned()
            .ok_or_else(|| CliError::new(Exit::Failed, "the hub of the demo has no admin token"))?;

        let (stop, stopped) = oneshot::channel::<()>();
        // A sender that is dropped stops the hub as well, so that no failure leaves it running.
        let serving = tokio::spawn(start::serve(hub, async { drop(stopped.await) }));
        let told = self.projects(&hub_addr, &admin).await;
        drop(stop);
        let served = serving.await.map_err(|error| {
            CliError::new(Exit::Failed, "the hub of the demo ended abruptly").because(error)
        })?;
        served.and(told)
    }

    async fn projects(&mut self, hub: &HubAddress, admin: &AdminToken) -> Result<String, CliError> {
        let (publisher, reader) = PROJECTS;
        for name in [publisher, reader] {
            self.set_up(name, hub, admin).await?;
        }
        self.subscribe(reader)?;
        for entry in ENTRIES {
            self.publish(publisher, entry).await?;
            self.sync(reader).await?;
        }
        let path = self.mirror_file.clone();
        let mirror = fs_err::read_to_string(&path).map_err(|error| {
            CliError::new(Exit::Failed, "there is no mirror to show").because(error)
        })?;
        let file = path.strip_prefix(self.root.join(reader)).unwrap_or(&path);
        self.say(&format!(
            "\n{reader} $ cat {file}\n{}",
            printable_lines(&mirror)
        ))?;
        Ok(mirror)
    }

    async fn set_up(
        &mut self,
        name: &'static str,
        hub: &HubAddress,
        admin: &AdminToken,
    ) -> Result<(), CliError> {
        let dir = self.root.join(name);
        fs_err::create_dir(&dir)
            .map_err(|error| CliError::new(Exit::Failed, "cannot make a project").because(error))?;
        let cx = self.cx_at(&dir);
        let report = init::run(&InitArgs { gitignore: false }, &cx)?;
        self.step(Some(name), "ctx init".to_owned(), &report)?;
        let args = RegisterArgs {
            hub: hub.clone(),
            invitation: None,
            trust: TrustArgs::default(),
            token: Some(admin.expose().to_owned()),
            project: None,
            force: false,
            timeout: TimeoutArgs::default(),
        };
        let report = register::run(&args, &cx).await?;
        let token = paths::ADMIN_TOKEN_FILE;
        let command = format!("ctx connect register {hub} --token - < …/{token}");
        self.step(Some(name), command, &report)
    }

    fn subscribe(&mut self, name: &'static str) -> Result<(), CliError> {
        let args = SubscribeArgs {
            types: vec![EntryType::Decision, EntryType::Convention],
            all: false,
        };
        let report = subscribe::run(&args, &self.cx_at(&self.root.join(name)))?;
        let command = "ctx connect subscribe decision convention".to_owned();
        self.step(Some(name), command, &report)
    }

    async fn publish(&mut self, name: &'static str, text: &str) -> Result<(), CliError> {
        let args = PublishArgs {
            no_queue: true,
            entry_type: EntryType::Decision,
            text: text.to_owned(),
            id: None,
            timeout: TimeoutArgs::default(),
        };
        let report = publish::run(&args, &self.cx_at(&self.root.join(name))).await?;
        let quoted = text.replace('\'', "'\\''");
        let command = format!("ctx connect publish decision '{quoted}'");
        self.step(Some(name), command, &report)
    }

    /// Syncs, and sees to it that the one entry arrives that was published just now.
    async fn sync(&mut self, name: &'static str) -> Result<(), CliError> {
        let args = SyncArgs {
            wait: None,
            full: false,
            timeout: TimeoutArgs::default(),
        };
        let report = sync::run(&args, &self.cx_at(&self.root.join(name))).await?;
        self.step(Some(name), "ctx connect sync".to_owned(), &report)?;
        match report.new_entries {
            1 => Ok(()),
            other => Err(CliError::new(
                Exit::Failed,
                format!("the sync brought {other} new entries in place of 1"),
            )),
        }
    }

    /// What a command in `dir` works with: its own home, and messages as they are wanted here.
    fn cx_at(&self, dir: &Utf8Path) -> Cx {
        Cx {
            screen: Screen::plain(false, true),
            env: self.cx.env.with_home(&self.root),
            context: ContextDir::new(dir.join(paths::CONTEXT_DIR)),
            verbose: 0,
        }
    }

    /// Shows a command and its result, as soon as there is one.
    fn step(
        &mut self,
        project: Option<&'static str>,
        command: String,
        report: &impl Report,
    ) -> Result<(), CliError> {
        let mut text = Vec::new();
        report.text(&mut text).map_err(unwritable)?;
        let result = serde_json::to_value(report)
            .map_err(|error| CliError::new(Exit::Failed, "cannot write JSON").because(error))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let prompt = project.map_or_else(String::new, |name| format!("{name} "));
        let first = if self.steps.is_empty() { "" } else { "\n" };
        self.say(&format!("{first}{prompt}$ {command}\n{text}"))?;
        self.steps.push(Step {
            project,
            command,
            result,
        });
        Ok(())
    }

    fn say(&self, text: &str) -> Result<(), CliError> {
        self.cx.screen.text(text)
    }
}

fn unwritable(error: io::Error) -> CliError {
    CliError::new(Exit::Failed, "cannot write a result").because(error)
}
